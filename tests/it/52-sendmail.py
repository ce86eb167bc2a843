#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Lessons by mail, with the settings of README: exim, as sendmail, pipes what
comes to spam@ and ham@ to a program, and msmtp brings it to a server. What
they can't take is not moved."""

import glob
import os
import re

import pkg
import readme
from harness import (HAM, MAIL_UID, SPAM, Dovecot, equal, free_port, main,
                     row, stored, test, wait_until)
from private import add_accounts, make_dir, write
from sink import Sink

HEADING = 'sendmail to training addresses'
LEARNED = '{}.*Info: antispam: {} learned as {} by pipe'
FAILED = '{}.*Error: antispam: learn.spam. with pipe failed: {}'
# An MTA would add what is missing here, and a newline at the end.
HEAD = 'From: Ann <ann@example.net>\r\nTo: Bob <bob@example.com>\r\n' \
    'Subject: {}\r\nMessage-ID: <{}@example.net>\r\n' \
    'Date: Sat, 21 Nov 2026 07:26:52 +0000\r\n'
MESSAGES = {
    'plain': 'Hello.\r\n',
    'no body': '',
    'dots': '.\r\n..\r\n.\r\n.x\r\nafter\r\n',
    'From lines': 'From bob@example.org  Sat Nov 21 07:26:52 2026\r\n\r\n'
                  'From the desk\r\n>From\r\n',
    'bytes': ''.join(chr(c) for c in range(1, 256) if chr(c) not in '\r\n')
             + '\r\n',
    'long lines': 'x' * 900 + '\r\n' + 'y' * 990 + '\r\n',
    '300 kB': 'a line of it, and another\r\n' * 12000,
    'headers': 'To: nobody@example.org\r\nCc: nobody@example.org\r\n',
}
EXIM = r'''
exim_user = {uid}
exim_group = {uid}
trusted_users = {uid}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%s
primary_hostname = mx.example.org
domainlist local_domains = example.org
keep_environment =
never_users =
deliver_drop_privilege
disable_ipv6
local_from_check = false
# What it would add.
received_header_text =
begin routers
aliases:
  driver = redirect
  domains = +local_domains
  data = ${{lookup{{$local_part}}lsearch{{{dir}/aliases}}}}
  pipe_transport = pipe
begin transports
pipe:
  driver = pipe
  message_prefix =
  message_suffix =
begin retry
* * F,1h,5m
'''
RECORD = '''#!/bin/sh
# What it has got has its name when it is complete.
cat >"{dir}/.$1.$$" && mv "{dir}/.$1.$$" "{dir}/$1.$$"
'''


def message(name, number=0):
    """As a client sends it."""
    text = HEAD.format(name, f'{name.replace(" ", "-")}.{number}')
    if name == 'headers':
        return (text + MESSAGES[name] + '\r\nHello.\r\n').encode()
    return (text + '\r\n' + MESSAGES[name]).encode('latin-1')


def put(d, user, *messages):
    with d.fill(user) as c:
        reply = c.append('INBOX', *messages)
        equal(reply.status, 'OK', str(reply))


def moved(d, user, source, dest):
    with d.imap(user) as c:
        uids = c.select(source)
        reply = c.move(uids, dest)
        equal((reply.status, c.uids()), ('OK', []), str(reply))


def refused(d, user, why):
    """To Junk, but it stays where it is, and the log says why."""
    put(d, user, message('plain'))
    with d.imap(user) as c:
        uids = c.select('INBOX')
        reply = c.move(uids, 'Junk')
        equal((reply.status, reply.code, c.uids(), c.count('Junk')),
              ('NO', 'UNAVAILABLE', uids, 0), str(reply))
        if re.search('exim|msmtp|sendmail|recipient', reply.text):
            raise AssertionError(f'what the user reads: {reply}')
    d.assert_log(FAILED.format(user, why))


def settings():
    """README's, but for the program and what it needs to be private; and
    inline, so that a failure is seen at once."""
    found = readme.settings(HEADING, pkg.dovecot_version())
    found['antispam_training'] = 'inline'
    equal(found['antispam_pipe_program'], '/usr/sbin/sendmail')
    return found


def with_args(found, *first):
    return ';'.join([*first, found['antispam_pipe_program_args']])


# exim

class Exim:
    """Its configuration and spool, and what its aliases' program has got."""

    def __init__(self, d):
        self.dir = f'{d.dir}/exim'
        exim = pkg.copy_program('exim4-daemon-light', 'usr/sbin/exim4',
                                self.dir)
        os.symlink(exim, f'{self.dir}/sendmail')
        self.spool = make_dir(f'{self.dir}/spool', MAIL_UID)
        self.got = make_dir(f'{self.dir}/got', MAIL_UID)
        make_dir(f'{self.dir}/log', MAIL_UID)
        conf = EXIM.format(dir=self.dir, uid=MAIL_UID)
        write(f'{self.dir}/conf', conf)
        write(f'{self.dir}/broken', conf.replace('begin', 'nonsense'))
        record = write(f'{self.dir}/record', RECORD.format(dir=self.got),
                       0o755)
        write(f'{self.dir}/aliases', f'spam: "|{record} spam"\n'
              f'ham: "|{record} ham"\n')
        add_accounts(d, {'Debian-exim': MAIL_UID})

    def take(self, count):
        """What has arrived: (address, message), sorted. exim delivers when
        sendmail has ended."""
        wait_until(lambda: len(self.paths()) >= count
                   and not os.listdir(f'{self.spool}/input'), 60,
                   f'{count} mails by exim')
        found = []
        for path in self.paths():
            with open(path, 'rb') as file:
                found.append((os.path.basename(path).split('.')[0],
                              file.read()))
            os.unlink(path)
        return sorted(found)

    def paths(self):
        return glob.glob(f'{self.got}/*')


def by_exim(d, exim, name):
    put(d, 'bob', message(name))
    moved(d, 'bob', 'INBOX', 'Junk')
    equal(exim.take(1), [(SPAM, stored(message(name)))], 'at spam@')
    moved(d, 'bob', 'Junk', 'INBOX')
    equal(exim.take(1), [(HAM, stored(message(name)))], 'at ham@')
    moved(d, 'bob', 'INBOX', 'Trash')


def many_by_exim(d, exim):
    messages = [message('plain', number) for number in range(30)]
    put(d, 'cat', *messages)
    moved(d, 'cat', 'INBOX', 'SPAM')
    equal(exim.take(30), sorted((SPAM, stored(text)) for text in messages),
          'at spam@')
    d.assert_log(LEARNED.format('cat', 30, 'spam'))


@test
def sendmail():
    found = settings()
    pkg.unpacked('exim4-daemon-light')
    directory = '@DIR@/exim'
    private = {
        **found, 'antispam_pipe_program': f'{directory}/sendmail',
        'antispam_pipe_program_args': with_args(found, '-C',
                                                f'{directory}/conf'),
        'antispam_pipe_env': f'LD_LIBRARY_PATH={directory}',
    }
    users = {
        'bob': {}, 'cat': {},
        'dan': {'antispam_pipe_program_args':
                with_args(found, '-C', f'{directory}/broken')},
    }
    with Dovecot(settings=private, users=users, name='exim') as d:
        exim = Exim(d)
        for name in MESSAGES:
            row(f'exim: {name}, to spam@ and ham@', by_exim, d, exim, name)
        row('exim: 30 messages in one MOVE', many_by_exim, d, exim)
        row('exim: a wrong configuration', refused, d, 'dan',
            'exited with status 1: .*configuration.*broken')


# msmtp

def by_msmtp(d, sink, name):
    text = message(name)
    put(d, 'bob', text)
    for source, dest, to in (('INBOX', 'Junk', 'spam@example.org'),
                             ('Junk', 'Work', 'ham@example.org')):
        moved(d, 'bob', source, dest)
        mails = sink.take()
        equal([(mail.sender, mail.recipients) for mail in mails],
              [('postmaster@example.org', [to])], 'envelopes')
        equal(mails[0].message, text, 'message')


def many_by_msmtp(d, sink):
    messages = [message('plain', number) for number in range(10)]
    put(d, 'cat', *messages)
    moved(d, 'cat', 'INBOX', 'SPAM')
    equal(sorted(mail.message for mail in sink.take()), sorted(messages),
          'messages')
    d.assert_log(LEARNED.format('cat', 10, 'spam'))


@test
def msmtp():
    found = settings()
    pkg.unpacked('msmtp')
    with Sink() as sink:
        def args(port):
            return with_args(found, '-C', '/dev/null', '--host=127.0.0.1',
                             f'--port={port}', '--auth=off', '--tls=off')

        def to(name):
            return {'antispam_pipe_program_spam_arg': f'{name}@example.org'}

        private = {
            **found, 'antispam_pipe_program': '@DIR@/msmtp/msmtp',
            'antispam_pipe_program_args': args(sink.port),
            'antispam_pipe_env': 'LD_LIBRARY_PATH=@DIR@/msmtp',
        }
        users = {
            'bob': {}, 'cat': {}, 'dan': to('nosuch'), 'eve': to('busy'),
            'fay': {'antispam_pipe_program_args': args(free_port())},
            'gus': {**to('silent'), 'antispam_timeout': '300ms'},
        }
        with Dovecot(settings=private, users=users, name='msmtp') as d:
            pkg.copy_program('msmtp', 'usr/bin/msmtp', f'{d.dir}/msmtp')
            for name in MESSAGES:
                row(f'msmtp: {name}, to spam@ and ham@', by_msmtp, d, sink,
                    name)
            row('msmtp: 10 messages in one MOVE', many_by_msmtp, d, sink)
            row('msmtp: a recipient who is refused', refused, d, 'dan',
                'exited with status 65: msmtp: recipient address '
                'nosuch@example.org not accepted')
            row('msmtp: a recipient who may be tried later', refused, d,
                'eve', 'exited with status 69: msmtp: recipient address')
            row('msmtp: no server', refused, d, 'fay',
                'exited with status 75: msmtp: cannot connect to 127.0.0.1')
            row('msmtp: a server that does not answer', refused, d, 'gus',
                'timed out after 300 ms')
            row('msmtp: nothing else has arrived', equal, sink.take(), [])
        row('msmtp: the server had no trouble', equal, sink.errors, [])


main()

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The backend spamd and the real spamd: each lesson arrives, once, for the
right user, a flip flips, and what goes wrong is said. Its databases tell."""

import os
import signal
import socket
import time

from daemons import Spamd
from harness import Dovecot, Skip, equal, mail, main, row, short, \
    test, wait_until

LEARNED = 'Info: antispam: {} learned as {} by spamd'
FAILED = '{}.*Error: antispam: learn.spam. with spamd failed: {}'
PILLS = 'cheap pills, buy pills now, best pills, pharmacy without a doctor'
MEETING = 'the minutes of our meeting, and the agenda of the next one'


def texts(text, count):
    return [mail(f'{text[:4]} {i}', f'{text} {i}\r\n') for i in range(count)]


def put(d, user, folder, *messages):
    with d.fill(user) as c:
        reply = c.append(folder, *messages)
        equal(reply.status, 'OK', str(reply))


def move(d, user, source, dest):
    """Move all that is there."""
    with d.imap(user) as c:
        reply = c.move(c.select(source), dest)
        equal((reply.status, c.uids()), ('OK', []), str(reply))


def refused(d, user, why, seconds=0):
    """One message, to Junk, which stays where it is."""
    put(d, user, 'INBOX', mail('refused', PILLS))
    with d.imap(user) as c:
        uids = c.select('INBOX')
        began = time.monotonic()
        reply = c.move(uids, 'Junk')
        took = time.monotonic() - began
        equal((reply.status, reply.code, c.uids(), c.count('Junk')),
              ('NO', 'UNAVAILABLE', uids, 0), str(reply))
        if 'spamd' in str(reply) or took < seconds or took > seconds + 5:
            raise AssertionError(f'{reply} after {took:.2f} s')
    d.assert_log(FAILED.format(user, why))


def once(d, spamd):
    """Also if the same message comes along again: spamd remembers."""
    put(d, 'bob', 'INBOX', mail('once', PILLS))
    with d.imap('bob') as c:
        uids = c.select('INBOX')
        equal(c.copy(uids, 'SPAM').status, 'OK')
        equal(spamd.counts('bob'), (1, 0), 'after a copy to SPAM')
        equal(c.move(uids, 'Junk').status, 'OK')
    equal(spamd.counts('bob'), (1, 0), 'after it was moved to Junk, too')
    d.assert_log('bob.*' + LEARNED.format(1, 'spam'), 2)


def flip(d, spamd):
    move(d, 'bob', 'Junk', 'INBOX')
    equal(spamd.counts('bob'), (0, 1), 'after it was moved back')
    move(d, 'bob', 'INBOX', 'Junk')
    equal(spamd.counts('bob'), (1, 0), 'after it was moved to Junk again')


def nobody_else(spamd, *users):
    equal(sorted(os.listdir(f'{spamd.dir}/users')), sorted(users),
          'users who have a database')


def verdicts(d, spamd):
    """Of messages that it has never seen."""
    put(d, 'cat', 'INBOX', *texts(PILLS, 8))
    put(d, 'cat', 'SPAM', *texts(MEETING, 6))
    unseen = mail('unseen', f'{PILLS}\r\n')
    equal(spamd.judge('cat', unseen)[0], False, 'verdict at first')
    move(d, 'cat', 'INBOX', 'Junk')
    move(d, 'cat', 'SPAM', 'Work')
    equal(spamd.counts('cat'), (8, 6), 'learned')
    equal(spamd.judge('cat', unseen)[0], True, 'verdict on pills')
    equal(spamd.judge('cat', mail('unseen', f'{MEETING}\r\n'))[0], False,
          'verdict on a meeting')
    equal(spamd.judge('bob', unseen)[0], False, "bob's verdict on pills")
    d.assert_log('cat.*' + LEARNED.format(8, 'spam'))
    d.assert_log('cat.*' + LEARNED.format(6, 'ham'))


def named(d, spamd):
    """antispam_spamd_user, by TCP."""
    put(d, 'dan', 'INBOX', mail('for all', PILLS))
    move(d, 'dan', 'INBOX', 'Junk')
    equal(spamd.counts('everyone'), (1, 0), 'learned')
    equal(spamd.counts('dan'), (0, 0), "in the user's own")


def bytewise(d, spamd):
    """Nothing is lost or added: the same message, told by hand, is known."""
    # Without a Message-ID, all of the text is what spamd knows it by.
    message = mail('bytes', '8 bit: \xe4\xf6\xfc, no end of line')
    message = message.replace(b'\r\n', b'\n')
    put(d, 'eve', 'INBOX', message.replace(b'\n', b'\r\n'))
    move(d, 'eve', 'INBOX', 'Junk')
    equal(spamd.counts('eve'), (1, 0), 'learned')
    answer = spamd.tell('eve', message, True)
    equal(b'DidSet' in answer, False, short(answer))
    answer = spamd.tell('eve', message + b'x\n', True)
    equal(b'DidSet' in answer, True, short(answer))


def big(d, spamd):
    """No limit of spamd's; nothing is held in memory."""
    put(d, 'fay', 'INBOX', mail('big', f'{PILLS}\r\n' * 40000))
    move(d, 'fay', 'INBOX', 'Junk')
    equal(spamd.counts('fay'), (1, 0), 'learned')


def virtual(d, spamd):
    """An address is a user's name, too."""
    put(d, 'gus@example.org', 'INBOX', mail('address', PILLS))
    move(d, 'gus@example.org', 'INBOX', 'Junk')
    equal(spamd.counts('gus@example.org'), (1, 0), 'learned')


def unwritable(d, spamd):
    """spamd says the same as if it had known the message; its log tells."""
    path = f'{spamd.dir}/users/hal'
    os.mkdir(path)
    os.chmod(path, 0o555)
    put(d, 'hal', 'INBOX', mail('unwritable', PILLS))
    move(d, 'hal', 'INBOX', 'Junk')
    equal(spamd.counts('hal'), (0, 0), 'learned')
    if 'bayes: ' not in spamd.said():
        raise AssertionError("spamd's log does not tell")
    os.rmdir(path)


def silent(d, spamd):
    """What it was told meanwhile it learns when it wakes up; the next try
    finds it known."""
    spamd.signal(signal.SIGSTOP)
    try:
        refused(d, 'ian', "spamd can't be asked: timed out after 2 s, while "
                'it waited for the answer', 2)
    finally:
        spamd.signal(signal.SIGCONT)
    wait_until(lambda: 'Tell: Setting local for ian' in spamd.said(), 10,
               'the lesson')
    move(d, 'ian', 'INBOX', 'Junk')
    equal(spamd.counts('ian'), (1, 0), 'learned')


def no_tell(d, spamd):
    spamd.stop()
    spamd.start(tell=False)
    refused(d, 'kay', 'spamd answered 69: .*TELL commands are not enabled.* '
            r'\(start spamd with the option --allow-tell\)')


def absent(d, spamd):
    spamd.stop()
    refused(d, 'kay', "spamd can't be asked: connect.*/s. failed: No such "
            'file or directory')


def refuses(d, spamd):
    """A socket that nobody listens at."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(spamd.socket)
    os.chmod(spamd.socket, 0o666)
    refused(d, 'kay', "spamd can't be asked: connect.*/s. failed: "
            'Connection refused')
    os.chmod(spamd.socket, 0o600)
    refused(d, 'kay', "spamd can't be asked: connect.*/s. failed: "
            'Permission denied')
    os.unlink(spamd.socket)


def back(d, spamd):
    """What was refused is learned when spamd is there again."""
    spamd.start()
    before = spamd.counts('kay')
    with d.imap('kay') as c:
        count = len(c.select('INBOX'))
    move(d, 'kay', 'INBOX', 'Junk')
    # All of them have the same text, so spamd knows them by the first one.
    spam, ham = spamd.counts('kay')
    equal((spam > before[0], ham), (True, 0), f'{count} were moved')


def wrong(d):
    put(d, 'joe', 'INBOX', mail('wrong', PILLS))
    move(d, 'joe', 'INBOX', 'Junk')
    d.assert_log('joe.*Error: antispam: nothing is learned in this session: '
                 'antispam_spamd_socket = localhost: it has no port; write '
                 "host:port, or a socket's absolute path")


@test
def spamd():
    if not os.path.exists(Spamd.program):
        raise Skip('spamd is not installed')
    settings = {'antispam_backend': 'spamd',
                'antispam_spamd_socket': '@DIR@/spamd/s'}
    users = {
        'bob': {}, 'cat': {}, 'dan': {}, 'eve': {}, 'fay': {},
        'gus@example.org': {}, 'hal': {},
        'ian': {'antispam_timeout': '2 s'},
        'kay': {},
        'joe': {'antispam_spamd_socket': 'localhost'},
    }
    with Dovecot(settings=settings, users=users, name='spamd') as d, \
            Spamd(f'{d.dir}/spamd').start() as daemon:
        row('one message, twice to the spam folders', once, d, daemon)
        row('out of Junk, and back again', flip, d, daemon)
        row('a database for each user', nobody_else, daemon, 'bob')
        row('several at once, and verdicts', verdicts, d, daemon)
        row('byte for byte', bytewise, d, daemon)
        row('2.7 MB', big, d, daemon)
        row('a user with a domain', virtual, d, daemon)
        row('a database that can not be made', unwritable, d, daemon)
        row('spamd is silent', silent, d, daemon)
        row('spamd without --allow-tell', no_tell, d, daemon)
        row('no spamd', absent, d, daemon)
        row('spamd is gone, its socket is not', refuses, d, daemon)
        row('spamd is back', back, d, daemon)
        row('a wrong setting', wrong, d)


@test
def tcp():
    if not os.path.exists(Spamd.program):
        raise Skip('spamd is not installed')
    with Dovecot(name='spamd, TCP', settings={'antispam_backend': 'none'},
                 users={'dan': {}}) as first:
        # Its directory and port are what the second one is told.
        with Spamd(f'{first.dir}/spamd').start() as daemon:
            settings = {'antispam_backend': 'spamd',
                        'antispam_spamd_socket': f'localhost:{daemon.port}',
                        'antispam_spamd_user': 'everyone'}
            with Dovecot(settings=settings, users={'dan': {}},
                         name='spamd by TCP') as d:
                row('one database for all, by TCP', named, d, daemon)


main()

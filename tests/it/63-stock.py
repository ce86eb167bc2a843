#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""spamd, and rspamd with its Redis, as Debian configures them and README
changes that, with README's settings of the plugin: followed to the letter. All
of it has a network of its own, where the daemons' own ports are free."""

import ctypes
import fcntl
import os
import pwd
import re
import shutil
import socket
import struct

import pkg
import readme
from daemons import Redis, Rspamd, Spamd
from harness import Dovecot, Skip, equal, mail, main, row, test, wait_until
from private import Process, add_accounts, home, write

CLONE_NEWNET, SIOCSIFFLAGS, UP = 0x40000000, 0x8914, 0x49
PILLS = 'cheap pills, buy pills now, the best of pills from our pharmacy\r\n'


def own_network():
    """For this process and all that it starts; nothing but a loopback."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise Skip('this machine allows no network of its own')
    with socket.socket() as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', UP))


def own(d, path, user):
    """A directory of the user's, in the place of the machine's."""
    entry = pwd.getpwnam(user)
    private = f'{d.dir}/own{path}'
    os.makedirs(private)
    os.chown(private, entry.pw_uid, entry.pw_gid)
    done = d.enter('sh', '-c', 'mkdir -p "$2" && mount --bind "$1" "$2"', 'sh',
                   private, path)
    if done.returncode != 0:
        raise AssertionError(f'mount: {done.stderr.decode()}')
    return private


def lines_of_readme(pattern):
    found = re.findall(pattern, readme.text())
    if not found:
        raise AssertionError(f'README has no {pattern}')
    return found


def answers(port, question=b''):
    try:
        with socket.create_connection(('127.0.0.1', port), 10) as s:
            s.sendall(question)
            return bool(not question or s.recv(10))
    except OSError:
        return False


def settings(heading):
    """Those of README, without waiting for a user who takes a lesson back."""
    return {**readme.settings(heading, pkg.dovecot_version()),
            'antispam_queue_delay': '0'}


def learn(d, user, backend, count=1):
    with d.fill(user) as c:
        message = mail('stock', PILLS * 5 + user + '\r\n')
        equal(c.append('INBOX', message).status, 'OK')
    with d.imap(user) as c:
        reply = c.move(c.select('INBOX'), 'Junk')
        equal(reply.status, 'OK', str(reply))
    said = f'Info: antispam: user {user}: 1 learned as spam by {backend}'
    wait_until(lambda: d.log(said), 20, said)
    d.assert_log('Info: antispam: .*1 learned as spam by ' + backend, count)


# spamd

def spamd_options(words):
    return next(options.split() for options in
                lines_of_readme(r'(?m)^    OPTIONS="(.*)"$')
                if words in options)


def with_spamd(d, options, user, bayes):
    """Its port is the one that it has by default."""
    with Process(d, 'spamd', *options, '-s', f'{d.dir}/spamd.said') as process:
        wait_until(lambda: answers(783, b'PING SPAMC/1.5\r\n\r\n'), 30,
                   process.said() or 'spamd')
        learn(d, user, 'spamd')
        out = d.enter('sa-learn', '-p', '/dev/null', '--dbpath', bayes,
                      '--dump', 'magic').stdout.decode()
        equal(re.findall(r'(\d+) +\d+ +non-token data: (nspam|nham)\n', out),
              [('1', 'nspam'), ('0', 'nham')], out)


def users_of_the_system():
    with Dovecot(settings=settings('SpamAssassin: spamd'), users={'ann': {}},
                 name='spamd, users of the system') as d:
        add_accounts(d, {'ann': 12346})
        with_spamd(d, spamd_options('--helper-home-dir'), 'ann',
                   f'{home(d, "ann")}/.spamassassin/bayes')


def users_of_mail():
    with Dovecot(settings=settings('SpamAssassin: spamd'), users={'joe': {}},
                 name='spamd, users of mail alone') as d:
        own(d, '/var/lib/spamassassin', 'debian-spamd')
        command = lines_of_readme(r'(?m)^    (install .*spamassassin.*)$')[0]
        equal(d.enter('sh', '-c', command).returncode, 0, command)
        dump = lines_of_readme(r'(?m)^    sa-learn --dbpath (\S*joe/bayes) ')
        with_spamd(d, spamd_options('--virtual-config-dir'), 'joe', dump[0])


@test
def spamd():
    if not os.path.exists(Spamd.program):
        raise Skip('spamd is not installed')
    row('README: spamd, users of the system', users_of_the_system)
    row('README: spamd, users of mail alone', users_of_mail)


# rspamd

def redis_has(d, key, wanted):
    out = d.enter('redis-cli', 'HGET', key, 'learns_spam').stdout.decode()
    equal(out.strip(), wanted, f'{key} learns_spam')


def with_rspamd(d, user, key, count):
    """It compiles its rules when it first starts."""
    uid = pwd.getpwnam('_rspamd').pw_uid
    with Process(d, 'rspamd', '-f', uid=uid) as process:
        wait_until(lambda: answers(11334, b'GET /ping HTTP/1.0\r\n\r\n'), 120,
                   process.said() or 'rspamd')
        learn(d, user, 'rspamd', count)
        redis_has(d, key, '1')


def rspamd_for_all(d, local):
    write(f'{local}/redis.conf', lines_of_readme(
        r'(?m)^    (servers = "127.*";)$')[0] + '\n')
    with_rspamd(d, 'joe', 'RS', 1)


def rspamd_per_user(d, local):
    per_user = lines_of_readme(r'`(per_user = true;)` in\s+`\S+bayes.conf`')
    write(f'{local}/classifier-bayes.conf', per_user[0] + '\n')
    with_rspamd(d, 'ann', 'RSann', 2)


@test
def rspamd():
    if not os.path.exists(Rspamd.program) or \
            not os.path.exists(Redis.program):
        raise Skip('rspamd is not installed')
    users = {'joe': {}, 'ann': {'antispam_rspamd_deliver_to': '@USER@'}}
    with Dovecot(settings=settings('rspamd'), users=users,
                 name='rspamd as Debian has it') as d:
        for path in ('/var/lib/redis', '/var/log/redis', '/run/redis'):
            own(d, path, 'redis')
        for path in ('/var/lib/rspamd', '/var/log/rspamd', '/run/rspamd',
                     '/etc/rspamd'):
            private = own(d, path, '_rspamd')
        with open('/etc/rspamd/rspamd.conf', encoding='utf-8'):
            shutil.copytree('/etc/rspamd', private, dirs_exist_ok=True)
        os.makedirs(f'{private}/local.d', exist_ok=True)
        with Process(d, 'redis-server', '/etc/redis/redis.conf',
                     '--daemonize', 'no',
                     uid=pwd.getpwnam('redis').pw_uid):
            wait_until(lambda: answers(6379, b'PING\r\n'), 20, 'Redis')
            row('README: rspamd', rspamd_for_all, d, f'{private}/local.d')
            row('README: rspamd, a database for each user', rspamd_per_user,
                d, f'{private}/local.d')


own_network()
main()

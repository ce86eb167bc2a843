#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The backend rspamd and the real rspamd with its Redis: each lesson arrives,
once, for the right user, a flip flips, and what goes wrong is said. Redis
tells."""

import os
import random
import signal
import socket
import time

from daemons import Rspamd
from harness import MAIL_UID, Dovecot, Skip, equal, mail, main, row, short, \
    test, wait_until

LEARNED = 'Info: antispam: {} learned as {} by rspamd'
FAILED = '{}.*Error: antispam: learn.spam. with rspamd failed: {}'
PILLS = ('cheap', 'pills', 'pharmacy', 'doctor', 'casino', 'bonus', 'loan')
MEETING = ('minutes', 'agenda', 'meeting', 'project', 'budget', 'draft')


# What makes plain English: rspamd guesses the language by samples that it takes
# at random, and of another one it would know a message by other words.
ENGLISH = '''the and that with this from have they will your about which when
there their would what some time people into could than other then look only
come over think also back after work first well even want because these give
most'''.split()


def text(words, number):
    """Sentences that hold some of the words."""
    rng = random.Random(f'{words}{number}')
    lines = []
    for _ in range(12):
        line = rng.choices(ENGLISH, k=8) + rng.choices(words, k=3)
        rng.shuffle(line)
        lines.append(' '.join(line).capitalize() + '.\r\n')
    return mail(f'{words[0]} {number}', ''.join(lines))


def put(d, user, folder, *messages):
    with d.fill(user) as c:
        reply = c.append(folder, *messages)
        equal(reply.status, 'OK', str(reply))


def move(d, user, source, dest):
    """Move all that is there."""
    with d.imap(user) as c:
        reply = c.move(c.select(source), dest)
        equal((reply.status, c.uids()), ('OK', []), str(reply))


def refused(d, user, why, seconds=0, message=None):
    """One message, to Junk, which stays where it is."""
    put(d, user, 'INBOX', message or text(PILLS, why))
    with d.imap(user) as c:
        uids, there = c.select('INBOX'), c.count('Junk')
        began = time.monotonic()
        reply = c.move(uids, 'Junk')
        took = time.monotonic() - began
        equal((reply.status, reply.code, c.uids(), c.count('Junk')),
              ('NO', 'UNAVAILABLE', uids, there), str(reply))
        if 'rspamd' in str(reply) or took < seconds or took > seconds + 5:
            raise AssertionError(f'{reply} after {took:.2f} s')
    d.assert_log(FAILED.format(user, why))
    with d.fill(user) as c:
        c.select('INBOX')
        c.store(uids, r'+FLAGS (\Deleted)')
        c.cmd('EXPUNGE')


def no_secret(d):
    """Wherever the plugin could have said it."""
    found = [line for line in d.log() if Rspamd.password in line]
    equal(found, [], 'lines with the password')


def once(d, rspamd):
    """Also if the same message comes along at once again: rspamd remembers."""
    put(d, 'bob', 'INBOX', text(PILLS, 'once'))
    with d.imap('bob') as c:
        uids = c.select('INBOX')
        equal(c.copy(uids, 'SPAM').status, 'OK')
        equal(rspamd.counts(), (1, 0), 'after a copy to SPAM')
        equal(c.move(uids, 'Junk').status, 'OK')
    equal(rspamd.counts(), (1, 0), 'after it was moved to Junk, too')
    d.assert_log('bob.*' + LEARNED.format(1, 'spam'), 2)


def flip(d, rspamd):
    move(d, 'bob', 'Junk', 'INBOX')
    equal(rspamd.counts(), (0, 1), 'after it was moved back')
    move(d, 'bob', 'INBOX', 'Junk')
    equal(rspamd.counts(), (1, 0), 'after it was moved to Junk again')


def verdicts(d, rspamd):
    """Of messages that it has never seen; eight at once, side by side."""
    before = rspamd.counts()
    put(d, 'cat', 'INBOX', *(text(PILLS, i) for i in range(8)))
    put(d, 'cat', 'SPAM', *(text(MEETING, i) for i in range(8)))
    equal(rspamd.judge(text(PILLS, 'unseen'))[0], False, 'verdict at first')
    move(d, 'cat', 'INBOX', 'Junk')
    move(d, 'cat', 'SPAM', 'Work')
    equal(rspamd.counts(), (before[0] + 8, before[1] + 8), 'learned')
    # It reads its counts now and then.
    wait_until(lambda: rspamd.judge(text(PILLS, 'unseen'))[0], 20,
               'a verdict on pills')
    equal(rspamd.judge(text(MEETING, 'unseen'))[0], False,
          'verdict on a meeting')
    d.assert_log('cat.*' + LEARNED.format(8, 'spam'))
    d.assert_log('cat.*' + LEARNED.format(8, 'ham'))


def bytewise(d, rspamd):
    """Nothing is lost or added: the same message, told by hand, is known."""
    message = text(PILLS, 'bytes').replace(b'\r\n', b'\n') \
        + '8 bit: \xe4\xf6\xfc, no end of line'.encode()
    put(d, 'bob', 'INBOX', message.replace(b'\n', b'\r\n'))
    move(d, 'bob', 'INBOX', 'Junk')
    answer = rspamd.post('/learnspam', message, 'Learn-Type: bulk')
    equal(answer.split()[1], b'208', short(answer))


def by_tcp(d, rspamd):
    """With the password."""
    before = rspamd.counts()
    put(d, 'dan', 'INBOX', text(PILLS, 'tcp'))
    move(d, 'dan', 'INBOX', 'Junk')
    equal(rspamd.counts(), (before[0] + 1, before[1]), 'learned')


def too_short(d, rspamd):
    """rspamd does not want it: moved."""
    before = rspamd.counts()
    put(d, 'eve', 'INBOX', mail('short', 'a b\r\n'))
    move(d, 'eve', 'INBOX', 'Junk')
    equal(rspamd.counts(), before, 'learned')
    d.assert_log('eve.*Info: antispam: 1 declined by rspamd')


def sure_already(d, rspamd):
    """What rspamd is sure of it does not learn, unless antispam_rspamd_bulk
    says so."""
    before = rspamd.counts()
    sure = mail('sure', ' '.join(PILLS * 30) + ' {}\r\n')
    answer = rspamd.post('/learnspam', sure)
    if answer.split()[1] != b'204':
        raise AssertionError(f'rspamd was not sure: {short(answer)}')
    put(d, 'eve', 'INBOX', sure)
    move(d, 'eve', 'INBOX', 'Junk')
    equal(rspamd.counts(), before, 'learned')
    d.assert_log('eve.*Info: antispam: 1 declined by rspamd', 2)
    put(d, 'fay', 'INBOX', sure)
    move(d, 'fay', 'INBOX', 'Junk')
    equal(rspamd.counts(), (before[0] + 1, before[1]), 'learned')


def empty(d):
    """Will always fail: moved, with an error."""
    d.doveadm('save', '-u', 'bob', '-m', 'INBOX', input=b'')
    with d.imap('bob') as c:
        uids = c.select('INBOX')
        equal(c.move(uids, 'Junk').status, 'OK')
    d.assert_log(FAILED.format('bob', 'rspamd answered 400: Empty body is not '
                               'permitted'))


def wrong_classifier(d):
    refused(d, 'gus', 'rspamd answered 404: cannot find classifier with name '
            r'none \(see antispam_rspamd_classifier\)')


def no_password(d):
    refused(d, 'hal', 'rspamd answered 401: .*antispam_rspamd_password_file '
            "must hold the controller's enable_password")


def wrong_password(d):
    refused(d, 'joe', 'rspamd answered 401: .*antispam_rspamd_password_file '
            "must hold the controller's enable_password")


def no_password_file(d):
    refused(d, 'ken', 'antispam_rspamd_password_file: open.*Permission denied'
            '.*; the user to whom the mail belongs must be able to read it')


def scanner(d):
    refused(d, 'leo', 'rspamd answered 500: invalid command .*the '
            "controller's port is 11334 by default")


def wrong_path(d):
    refused(d, 'liv', 'rspamd answered 404: Not found .is '
            "antispam_rspamd_url the one of rspamd's controller")


def whole_url(rspamd):
    """Why no HTTP client will do that takes a unix socket for a proxy."""
    answer = rspamd.post('http://localhost/learnspam', text(PILLS, 'url'))
    equal(answer.split()[1], b'404', short(answer))


def silent(d, rspamd):
    """What it was told meanwhile it learns when it wakes up."""
    spam, ham = rspamd.counts()
    rspamd.signal(signal.SIGSTOP)
    try:
        refused(d, 'mia', "rspamd can't be asked: timed out after 2 s, while "
                'it waited for the answer', 2)
    finally:
        rspamd.signal(signal.SIGCONT)
    wait_until(lambda: rspamd.counts() == (spam + 1, ham), 10, 'the lesson')


def redis_down(d, rspamd):
    """Not learned; what rspamd answers depends on its version."""
    rspamd.redis.stop()
    answer = rspamd.post('/learnspam', text(PILLS, 'redis'),
                         'Learn-Type: bulk')
    status = int(answer.split()[1])
    if status == 200:
        raise Skip('this rspamd says "success" though Redis is down')
    refused(d, 'bob', f'rspamd answered {status}: ')


def absent(d, rspamd):
    rspamd.stop()
    if os.path.exists(rspamd.socket):
        os.unlink(rspamd.socket)
    refused(d, 'bob', "rspamd can't be asked: connect.*/ctl. failed: No such "
            'file or directory')
    refused(d, 'dan', "rspamd can't be asked: connect.127.0.0.1:.*failed: "
            'Connection refused')


def refuses(d, rspamd):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(rspamd.socket)
    os.chmod(rspamd.socket, 0o666)
    refused(d, 'bob', "rspamd can't be asked: connect.*/ctl. failed: "
            'Connection refused')
    os.unlink(rspamd.socket)


def back(d, rspamd):
    rspamd.start()
    put(d, 'bob', 'INBOX', text(PILLS, 'back'))
    move(d, 'bob', 'INBOX', 'Junk')
    # In these tests Redis remembers nothing.
    equal(rspamd.counts(), (1, 0), 'learned')


def secret(directory, name, text_, mode=0o600, uid=MAIL_UID):
    path = f'{directory}/{name}'
    with open(path, 'w', encoding='ascii') as file:
        file.write(text_)
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    return path


@test
def rspamd():
    if not os.path.exists(Rspamd.program):
        raise Skip('rspamd is not installed')
    with Dovecot(name='rspamd, its directory',
                 settings={'antispam_backend': 'none'}) as first, \
            Rspamd(f'{first.dir}/rspamd').start() as daemon:
        url = {'antispam_rspamd_url': f'http://localhost:{daemon.port}'}

        def password(name, *args):
            return {**url, 'antispam_rspamd_password_file':
                    secret(first.dir, name, *args)}
        settings = {'antispam_backend': 'rspamd',
                    'antispam_rspamd_url': daemon.socket,
                    'antispam_rspamd_bulk': 'yes'}
        users = {
            'bob': {}, 'cat': {}, 'fay': {},
            'eve': {'antispam_rspamd_bulk': 'no'},
            'dan': password('right', daemon.password + '\n'),
            'gus': {'antispam_rspamd_classifier': 'none'},
            'hal': url,
            'joe': password('wrong', 'read-pw\n'),
            'ken': password('root', daemon.password, 0o600, 0),
            'leo': {'antispam_rspamd_url': daemon.scanner},
            'liv': {'antispam_rspamd_url':
                    f'http://localhost:{daemon.port}/none/'},
            'mia': {'antispam_timeout': '2 s'},
        }
        with Dovecot(settings=settings, users=users, name='rspamd') as d:
            row('one message, twice to the spam folders', once, d, daemon)
            row('out of Junk, and back again', flip, d, daemon)
            row('several at once, and verdicts', verdicts, d, daemon)
            row('byte for byte', bytewise, d, daemon)
            row('by TCP, with the password', by_tcp, d, daemon)
            row('too short a message', too_short, d, daemon)
            row('a message that it is sure of', sure_already, d, daemon)
            row('an empty message', empty, d)
            row('a classifier that it does not have', wrong_classifier, d)
            row('no password', no_password, d)
            row('the wrong password', wrong_password, d)
            row('a password that may not be read', no_password_file, d)
            row('the worker that scans', scanner, d)
            row('a wrong path', wrong_path, d)
            row('a whole URL in the request', whole_url, daemon)
            row('rspamd is silent', silent, d, daemon)
            row('Redis is down', redis_down, d, daemon)
            row('no rspamd', absent, d, daemon)
            row('rspamd is gone, its socket is not', refuses, d, daemon)
            row('rspamd is back', back, d, daemon)
            row('the password is not in the log', no_secret, d)


def own(d, rspamd):
    put(d, 'bob', 'INBOX', text(PILLS, 'own'))
    move(d, 'bob', 'INBOX', 'Junk')
    put(d, 'ann@example.org', 'SPAM', text(PILLS, 'own'))
    move(d, 'ann@example.org', 'SPAM', 'INBOX')
    equal((rspamd.counts('bob'), rspamd.counts('ann@example.org'),
           rspamd.counts('cat')), ((1, 0), (0, 1), (0, 0)), 'learned')


@test
def per_user():
    if not os.path.exists(Rspamd.program):
        raise Skip('rspamd is not installed')
    settings = {'antispam_backend': 'rspamd',
                'antispam_rspamd_url': '@DIR@/rspamd/ctl',
                'antispam_rspamd_deliver_to': '@USER@'}
    with Dovecot(settings=settings,
                 users={'bob': {}, 'ann@example.org': {}},
                 name='rspamd per user') as d, \
            Rspamd(f'{d.dir}/rspamd', per_user=True).start() as daemon:
        row('a database for each user', own, d, daemon)


main()

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""antispam-trainer as a service: Dovecot's master starts it, it makes the
queue's directory when it is wanted, takes none that is unsafe, and goes when
there is nothing to do; nobody who talks to it can hurt it."""

import os
import pwd
import signal
import stat
import time

import pkg
from harness import PIPE, Skip, equal, mail, main, row, test, wait_until
from trainer import Trainer, wait_a_little

IS_NEW = pkg.dovecot_version() >= (2, 4)
QUEUED = {**PIPE, 'antispam_training': 'queued'}
NOT_READ = 'antispam-trainer.*Error: the queue is not read: '
# A user that each system has, and who is nobody here.
OTHER = pwd.getpwnam('mail')


def owner_and_mode(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid, oct(stat.S_IMODE(st.st_mode))


def silent(d):
    equal(d.log('antispam'), [], 'lines of it')


# Coming and going

@test
def no_queue():
    """Where it is not used."""
    with Trainer(settings=PIPE, name='no queue', queue=False) as d:
        row('no queue: it looks when Dovecot starts, and goes', comes_and_goes,
            d, lambda: None)
        row('no queue: woken, it looks and goes', comes_and_goes, d,
            lambda: d.say('scan'))
        row('no queue: no directory, not a word', leaves_nothing, d)


def comes_and_goes(d, wake):
    wake()
    d.wait_for_start()
    d.wait_for_end()


def leaves_nothing(d):
    equal(os.listdir(d.varlib_dir), [], 'directories')
    silent(d)


@test
def wrong_without_queue():
    """A wrong setting is for sessions to say."""
    if IS_NEW:
        raise Skip('Dovecot 2.4 does not start with it')
    with Trainer(settings={**PIPE, 'antispam_queue_lifetime': '0 s'},
                 name='wrong, no queue') as d:
        d.wait_for_start()
        d.wait_for_end()
        row('wrong setting, no queue: not a word', silent, d)


@test
def queued():
    with Trainer(settings=QUEUED, name='queued') as d:
        row('queued: the directory is made', is_made, d)
        row('queued: it goes', d.wait_for_end)
        row('queued: removed meanwhile, it is made when it is woken',
            made_again, d)
        row('queued: not a word', silent, d)


def is_made(d):
    wait_until(lambda: os.path.exists(d.queue_dir), 5, 'the directory')
    wait_until(lambda: owner_and_mode(d.queue_dir) == (0, 0, '0o1733'), 1,
               'its owner and mode')


def made_again(d):
    os.rmdir(d.queue_dir)
    d.say('1763.12.abc')
    is_made(d)


@test
def default_dir():
    with Trainer(settings=QUEUED, queue=False, name='default') as d:
        wait_until(lambda: os.listdir(d.varlib_dir), 5, 'a directory')
        row('without antispam_queue_dir: /var/lib/dovecot/antispam', equal,
            os.listdir(d.varlib_dir), ['antispam'])


@test
def asked():
    with Trainer(settings=PIPE, name='asked') as d:
        row('not queued, told of a transaction: no directory', not_made, d,
            'scan', '', '1763.12.abc')
        d.say('dir')
        row('not queued, asked for it: the directory is made', is_made, d)


def not_made(d, *lines):
    d.say_and_wait(*lines)
    equal(os.path.exists(d.queue_dir), False, 'the directory')


@test
def protocol():
    """The settings of protocol imap count."""
    lines = ['antispam_training = queued']
    if not IS_NEW:
        lines = ['plugin {', *lines, '}']
    for name, made in (('imap', True), ('lda', False)):
        text = '\n'.join([f'protocol {name} {{', *lines, '}'])
        with Trainer(settings=PIPE, text=text, name=f'protocol {name}') as d:
            d.wait_for_start()
            d.wait_for_end()
            row(f'queued for protocol {name}: the directory', equal,
                os.path.exists(d.queue_dir), made)


@test
def reload_and_stop():
    with Trainer(settings=QUEUED, name='reload') as d:
        is_made(d)
        row('reload: another one takes its place', replaced_by_reload, d)
        row('reload: an idle one goes, too', idle_reload, d)
        # and the stop comes while it runs
        d.say('scan')
        d.wait_for_start()


def reload(d):
    before = len(d.log('SIGHUP received'))
    d.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(d.log('SIGHUP received')) > before, 15, 'a reload')
    d.expect_log('SIGHUP received - reloading configuration')


def replaced_by_reload(d):
    with d.connect() as client:
        client.sendall(b'scan\n')
        old = d.wait_for_start()
        reload(d)
        wait_until(lambda: d.pids() not in ([], [old]) and
                   old not in d.pids(), 15, 'another one')
        equal(client.recv(1), b'', 'what it says to who is connected')
    d.say('scan')
    d.wait_for_end()


def idle_reload(d):
    reload(d)
    d.wait_for_start()
    d.wait_for_end()


@test
def killed():
    with Trainer(settings=QUEUED, name='killed') as d:
        is_made(d)
        row('killed: the next wake-up starts another one', starts_anew, d)


def starts_anew(d):
    pid = d.wait_for_start()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in d.pids(), 5, 'its end')
    d.broken.update(d.assert_log(f'child {pid} killed with signal 9'))
    os.rmdir(d.queue_dir)
    d.say('scan')
    d.wait_for_start()
    is_made(d)


@test
def one_client():
    """As an admin may have it."""
    with Trainer(settings=QUEUED, service=['client_limit = 1'],
                 name='client_limit = 1') as d:
        is_made(d)
        os.rmdir(d.queue_dir)
        for _ in range(3):
            d.say_and_wait('scan')
        row('client_limit = 1: it works', is_made, d)
        row('client_limit = 1: it goes', d.wait_for_end)
        # who is second waits, and Dovecot's master says so
        d.expect_log(r'client_limit \(1\) reached')


# The directory

def make_dir(mode, uid=0):
    def make(path):
        os.mkdir(path)
        os.chown(path, uid, uid)
        os.chmod(path, mode)
    return make


def make_file(path):
    with open(path, 'wb'):
        pass


def remove(path):
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
    else:
        os.rmdir(path)


# What lies there, and what is said of it.
UNSAFE = [
    ('a link', lambda path: os.symlink('/', path), 'it is a symbolic link'),
    ('a link to nothing', lambda path: os.symlink('nosuch', path),
     'it is a symbolic link'),
    ('a file', make_file, 'it is a file'),
    ('of another user', make_dir(0o1733, OTHER.pw_uid),
     'it belongs to mail, .*type: chown root:root @ && chmod 1733 @ '
     r'\(if all mail is mail\'s: write user = mail within service '
     r'antispam-trainer \{ \}\)$'),
    ('not sticky', make_dir(0o733), r'\(mode 0733\); type: chmod 1733 @$'),
    ('for a group', make_dir(0o770), r'\(mode 0770\); type: chmod 1733 @$'),
]


@test
def unsafe():
    with Trainer(settings=QUEUED, name='unsafe') as d:
        is_made(d)
        remove(d.queue_dir)
        for name, make, problem in UNSAFE:
            make(d.queue_dir)
            row(f'{name}: one error that says what to do', one_error, d,
                problem)
            remove(d.queue_dir)
            row(f'{name}: mended, it is used', used, d)
            remove(d.queue_dir)
        for mode, uid, problem in (
                (0o777, 0, r'above it is writable .*type: chmod go-w @DIR@$'),
                (0o755, OTHER.pw_uid,
                 'above it belongs to mail, .*type: chown root @DIR@$')):
            os.chmod(d.dir, mode)
            os.chown(d.dir, uid, 0)
            name = f'below a directory of uid {uid}, mode {mode:o}'
            row(f'{name}: one error that says what to do', one_error, d,
                problem)
            row(f'{name}: none is made', equal, os.path.exists(d.queue_dir),
                False)
            os.chmod(d.dir, 0o755)
            os.chown(d.dir, 0, 0)


def one_error(d, problem):
    """However often it is woken, in one life."""
    problem = problem.replace('@DIR@', d.dir).replace('@', d.queue_dir)
    before = len(d.log(NOT_READ))
    with d.connect() as awake:
        for _ in range(3):
            d.say_and_wait('scan', 'dir', '1763.12.abc')
        wait_until(lambda: len(d.log(NOT_READ)) > before, 5, 'an error')
        wait_a_little()
        equal(awake.fileno() >= 0, True)
    d.expect_log(f'{NOT_READ}antispam_queue_dir = {d.queue_dir}: .*{problem}')
    equal(d.faults(), [], 'other faults')
    equal(len(d.log(NOT_READ)), before + 1, 'errors')


def used(d):
    d.say_and_wait('scan')
    is_made(d)
    equal(d.faults(), [], 'faults')


@test
def missing_parent():
    with Trainer(settings={**QUEUED, 'antispam_queue_dir': '@DIR@/a/b/c'},
                 queue=False, name='missing') as d:
        wait_until(lambda: d.log(NOT_READ), 5, 'an error')
        row('nothing above it: one error that says what to do', d.assert_log,
            rf'{NOT_READ}.* {d.dir}/a/b; type: mkdir -p {d.dir}/a/b$')
        row('nothing above it: nothing is made', equal,
            os.path.exists(f'{d.dir}/a'), False)


@test
def wrong_setting():
    """On 2.4 Dovecot does not start with it: see the test of settings."""
    if IS_NEW:
        raise Skip('Dovecot 2.4 does not start with it')
    with Trainer(settings={**QUEUED, 'antispam_queue_lifetime': '0 s'},
                 name='wrong') as d:
        wait_until(lambda: d.log(NOT_READ), 5, 'an error')
        d.say_and_wait('scan', 'dir')
        row('wrong setting: one error', d.assert_log,
            f'{NOT_READ}antispam_queue_lifetime = 0 s: .*5 days')
        row('wrong setting: no directory', equal,
            os.path.exists(d.queue_dir), False)
    with Trainer(settings={**QUEUED, 'antispam_spam_regex': '(',
                           'antispam_timeout': 'soon'},
                 name='wrong elsewhere') as d:
        row('another wrong setting: none of its business', is_made, d)
        row('another wrong setting: not a word', silent, d)


# Where all mail is one user's

def vmail(prepare, name='vmail', **settings):
    return Trainer(settings={**QUEUED, **settings}, prepare=prepare,
                   service=[f'user = {OTHER.pw_name}'], name=name)


@test
def own_directory():
    with vmail(lambda d: make_dir(0o700, OTHER.pw_uid)(d.queue_dir)) as d:
        pid = d.wait_for_start()
        wait_until(lambda: uid_of(pid) == OTHER.pw_uid, 5, 'its uid')
        d.say_and_wait('scan')
        d.wait_for_end()
        row('vmail: its own directory, mode 0700', equal,
            owner_and_mode(d.queue_dir),
            (OTHER.pw_uid, OTHER.pw_uid, '0o700'))
        row('vmail: not a word', silent, d)


def uid_of(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        line = next(line for line in file if line.startswith('Uid:'))
    found = set(line.split()[1:])
    return int(found.pop()) if len(found) == 1 else None


@test
def own_parent():
    def prepare(d):
        make_dir(0o755, OTHER.pw_uid)(f'{d.dir}/mail')
    with vmail(prepare, name='vmail, own parent',
               antispam_queue_dir='@DIR@/mail/queue') as d:
        path = f'{d.dir}/mail/queue'
        wait_until(lambda: os.path.exists(path), 5, 'the directory')
        row('vmail: where it may, it makes the directory', equal,
            owner_and_mode(path)[::2], (OTHER.pw_uid, '0o700'))


# What lies there, and what is said
NOT_VMAILS = [
    ('nothing', lambda path: None,
     "can't make it: Permission denied; type: install -d -o mail -m 0700 @$"),
    ("root's", make_dir(0o1733),
     "can't read it: Permission denied; .*type: install -d -o mail -m 0700 "
     '@$'),
    ("another user's", make_dir(0o700, OTHER.pw_uid + 1),
     'it belongs to .*: chown mail @ && chmod 0700 @'),
    ('for a group', make_dir(0o770, OTHER.pw_uid), 'type: chmod 0700 @$'),
]


@test
def not_vmails():
    for name, make, problem in NOT_VMAILS:
        with vmail(lambda d, make=make: make(d.queue_dir),
                   name=f'vmail, {name}') as d:
            wait_until(lambda d=d: d.log(NOT_READ), 15, 'an error')
            d.say_and_wait('scan', 'dir')
            row(f'vmail, {name}: one error that says what to do',
                d.assert_log, NOT_READ + f'antispam_queue_dir = {d.queue_dir}:'
                '.*' + problem.replace('@', d.queue_dir))


# Who talks to it

@test
def hostile():
    with Trainer(settings=QUEUED, name='hostile') as d:
        is_made(d)
        pid = d.wait_for_start()
        for attack in (endless_line, many_lines, garbage, halves, silence,
                       thousands):
            row(f'{attack.__name__.replace("_", " ")}: it serves others',
                serves_others, d, attack)
        row('all that was one process', equal, d.pids(), [pid])
        row('not a word', silent, d)
        d.wait_for_end()


def serves_others(d, attack):
    os.rmdir(d.queue_dir)
    attack(d)
    began = time.monotonic()
    d.say_and_wait('scan')
    is_made(d)
    equal(time.monotonic() - began < 1, True, 'in time')


def is_hung_up_on(client, seconds):
    """Without a word."""
    client.settimeout(seconds)
    try:
        return client.recv(1) == b''
    except ConnectionResetError:
        return True


def flood(d, data, count):
    """Say it until it hangs up; returns how often it was said."""
    with d.connect() as client:
        for said in range(count):
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                return said
        equal(is_hung_up_on(client, 10), True, 'it hangs up')
    return count


def endless_line(d):
    equal(flood(d, b'x' * 4096, 10000) < 10000, True, 'it hangs up')


def many_lines(d):
    equal(flood(d, b'scan\n' * 800, 10000) < 10000, True, 'it hangs up')


def garbage(d):
    flood(d, bytes(range(256)) * 4 + b'\n', 100)
    flood(d, b'\0\0\n../../etc\n/etc/passwd\n%s%n\n\x1b[2J\n', 100)


def halves(d):
    """A name in pieces, and one that never ends."""
    with d.connect() as client:
        for piece in (b'1763', b'.12.', b'abc', b'\n1763.13'):
            client.sendall(piece)
            time.sleep(0.01)


def silence(d):
    """Who says nothing is hung up on, also one who says a little now and
    then."""
    with d.connect() as quiet, d.connect() as slow:
        for _ in range(4):
            slow.sendall(b's')
            time.sleep(0.5)
        equal(is_hung_up_on(quiet, 10), True, 'it hangs up')
        equal(is_hung_up_on(slow, 10), True, 'it hangs up')


def thousands(d):
    """Some may wait; as long as they do, nobody else comes through."""
    clients = []
    try:
        for _ in range(2000):
            clients.append(d.connect())
        wait_until(lambda: count_open(clients[:1000]) == 0, 10,
                   'the end of the first')
    finally:
        for client in clients:
            client.close()


def count_open(clients):
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            count += client.recv(1) != b''
        except BlockingIOError:
            count += 1
        except ConnectionResetError:
            pass
    return count


@test
def sessions():
    """They do not notice."""
    with Trainer(settings=PIPE, name='sessions') as d:
        with d.imap('joe') as c:
            equal(c.append('INBOX', mail('x')).status, 'OK')
            row('inline: a lesson, as ever', equal,
                c.move(c.select('INBOX')[0], 'SPAM').status, 'OK')
        equal(len(d.lessons()), 1, 'lessons')


main()

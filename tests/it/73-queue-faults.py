#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The queue and its reader when something goes wrong: what was promised to be
learned is learned when that is mended, and the mail is moved meanwhile."""

import glob
import os
import re
import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import jobs
from faults import FaultyDovecot, Peak
from harness import (MAIL_UID, SPAM, Dovecot, equal, mail, main, row, stored,
                     test, wait_until)

KB = 1024
FAILED_TRY = r'Error: antispam: user {}: learn\(spam\) with .+ failed: '
RELOADED = 'SIGHUP received - reloading'


class Measured(jobs.Measured, FaultyDovecot):
    pass


def message(user, number=0, size=0):
    body = f'to {user}\r\n'
    return mail(f'{user} {number}', body + 'line\r\n' * (size // 6))


POISON = [message('poison', number) for number in range(50)]


def spam(*messages):
    """What is wanted of the filter."""
    return [(SPAM, stored(text)) for text in messages]


def move(d, user, *messages):
    """Have the user move messages to SPAM in one command."""
    with d.imap(user) as c:
        equal(c.append('INBOX', *messages).status, 'OK')
        move_all(c)


def move_all(c):
    reply = c.move(c.select('INBOX'), 'SPAM')
    equal(reply.status, 'OK', str(reply))


def own_program(d, user, mode=0o755, script=''):
    """A filter of the user's own: it counts its starts, and runs the recording
    one unless the script ends before."""
    starts = f'{d.dir}/starts-{user}'
    if not os.path.exists(starts):
        with open(starts, 'wb'):
            pass
        os.chown(starts, MAIL_UID, MAIL_UID)
    path = f'{d.dir}/filter-{user}'
    with open(path + '.new', 'w', encoding='utf-8') as file:
        file.write(f'#!/bin/sh\necho >>{starts}\n{script}\n'
                   f'exec {d.dir}/filter/record.sh "$@"\n')
    os.chmod(path + '.new', mode)
    os.rename(path + '.new', path)


def starts(d, user):
    return os.path.getsize(f'{d.dir}/starts-{user}')


def with_programs(*users, **settings):
    """Fields for users that have a filter of their own."""
    return {user: {'antispam_pipe_program': f'@DIR@/filter-{user}',
                   **settings} for user in users}


def kill_trainer(d):
    """At once. Dovecot starts another one when it is woken."""
    pid = jobs.trainer(d)
    os.kill(pid, signal.SIGKILL)
    killed = f'service.antispam-trainer.: child {pid} killed with signal 9'
    wait_until(lambda: d.log(killed), 10, 'the end of the trainer in the log')
    d.assert_log(killed)


def wake(d):
    """Until there is a trainer again: Dovecot may wait before it starts
    one."""
    def there():
        jobs.scan(d)
        return jobs.trainer(d) is not None
    wait_until(there, 20, 'another trainer')


def restart(d):
    """All of Dovecot."""
    jobs.stop(d)
    jobs.start(d)


# The queue can't be written

@test
def full_disk():
    with Measured(name='a full disk', settings={
            **jobs.QUEUED, 'antispam_queue_delay': '10ms',
            'antispam_allow_append_to_spam': 'yes'}) as d:
        jobs.mount_queue(d, 'size=4k')
        jobs.scan(d)
        for blocks in (*range(1, 7), 100):
            row(f'{blocks} blocks, 3 messages of 4 kB', filled, d,
                f'size={4 * blocks}k', f'small-{blocks}', 4 * KB, 3)
        for blocks in (1, 30, 60, 100, 150, 190, 300):
            row(f'{blocks} blocks, 4 messages of 200 kB', filled, d,
                f'size={4 * blocks}k', f'big-{blocks}', 200 * KB, 4)
        for blocks in (1, 300):
            row(f'{blocks} blocks, 4 messages of 200 kB appended', filled, d,
                f'size={4 * blocks}k', f'append-{blocks}', 200 * KB, 4, True)
        for inodes in range(1, 5):
            row(f'{inodes} inodes', filled, d, f'size=1m,nr_inodes={inodes}',
                f'inodes-{inodes}', 4 * KB, 3)


def filled(d, options, user, size, count, append=False):
    """What can't be written is lost, and counted; the rest is learned."""
    done = d.enter('mount', '-o', 'remount,' + options, d.queue_dir)
    equal(done.returncode, 0, done.stderr.decode())
    messages = [message(user, i, size) for i in range(count)]
    with d.imap(user) as c:
        if append:
            equal(c.append('SPAM', *messages).status, 'OK')
        else:
            equal(c.append('INBOX', *messages).status, 'OK')
            move_all(c)
        equal((c.count('INBOX'), c.count('SPAM')), (0, count), 'messages')
    said = d.log(rf'imap\({user}\).*will never be learned')
    lost = sum(int(re.search(r'antispam: (\d+) of the', line)[1])
               for line in said)
    d.expected.update(said)
    equal(len(said), int(lost > 0), 'log lines')
    for line in said:
        if 'No space left on device' not in line:
            raise AssertionError(line)
    got = jobs.taught(d)
    equal((sum(got.values()) + lost, got - Counter(spam(*messages))),
          (count, Counter()), f'lessons, {lost} lost')
    equal(os.listdir(jobs.queue(d)), [], 'left in the queue')
    d.assert_events(**{name: number for name, number in (
        ('queued', count - lost), ('learned', count - lost), ('lost', lost))
        if number})


@test
def broken_queue():
    with Measured(name='a broken queue', settings={
            **jobs.QUEUED, 'antispam_queue_delay': '10ms'}) as d:
        row('nobody listens: one warning a session, and nothing is lost',
            no_socket, d)
        for name, why, break_it, mend_it in (
                ('not writable', 'Permission denied',
                 lambda path: os.chmod(path, 0o1700),
                 lambda path: os.chmod(path, 0o1733)),
                ('not sticky', 'others may remove what waits there',
                 lambda path: os.chmod(path, 0o733),
                 lambda path: os.chmod(path, 0o1733)),
                ("somebody else's", 'it belongs to',
                 lambda path: os.chown(path, 12399, 0),
                 lambda path: os.chown(path, 0, 0)),
                ('a file', 'it is a file',
                 lambda path: (os.rmdir(path), open(path, 'wb').close()),
                 os.unlink),
                ('a symbolic link', 'it is a symbolic link',
                 lambda path: os.symlink('/tmp', path), os.unlink)):
            row(f'the queue is {name}', unusable, d, name, why, break_it,
                mend_it)
        row('the queue is missing: the trainer makes it', missing, d)


def no_socket(d):
    path = f'{d.dir}/run/antispam-trainer'
    wait_until(lambda: jobs.trainer(d), 10, 'the trainer')
    os.rename(path, path + '.away')
    with d.imap('socket') as c:
        for number in range(3):
            equal(c.append('INBOX', message('socket', number)).status, 'OK')
            move_all(c)
    d.assert_log(r'imap\(socket\).*Warning: antispam: connect\(\S+\) failed: '
                 r'.*waits until antispam-trainer runs')
    equal(len(jobs.transactions(d, 'socket')), 3, 'transactions')
    os.rename(path + '.away', path)
    jobs.scan(d)
    jobs.assert_taught(d, spam(*(message('socket', i) for i in range(3))))
    d.assert_events(queued=3, learned=3)


def unusable(d, user, why, break_it, mend_it):
    user = re.sub(r'\W', '-', user)
    path = d.queue_dir
    if os.path.isdir(path) and why.endswith(('file', 'link')):
        os.rmdir(path)
        if why.endswith('file'):
            os.mkdir(path)
    break_it(path)
    try:
        move(d, user, message(user))
    finally:
        mend_it(path)
    lines = d.assert_log(rf'imap\({user}\).*Error: antispam: 1 of the '
                         r'messages that were moved will never be learned')
    equal(why in lines[0], True, lines[0])
    d.assert_events(lost=1)
    # The trainer may have seen it, too.
    d.expect_log("the queue (is not|can't be) read")


def missing(d):
    """The next who moves something has it made."""
    move(d, 'missing', message('missing'))
    jobs.assert_taught(d, spam(message('missing')))
    d.assert_events(queued=1, learned=1)


# The filter

@test
def filters():
    users = with_programs('down', 'poison', 'lookup', 'forgotten')
    users.update(with_programs('hangs', antispam_timeout='1s'))
    with FaultyDovecot(name='filters', users=users, settings={
            **jobs.QUEUED, 'antispam_queue_delay': '10ms',
            'antispam_queue_lifetime': '5s'}) as d:
        for user in users:
            own_program(d, user)
        fail_for_long(d)
        row('down until the end of the lifetime: tried more and more seldom, '
            'then kept', down, d)
        row('what was kept is learned, once somebody wants it', kept, d)
        row('one message that it never takes, among 50', poison, d)
        row('it hangs', hangs, d)
        row('the user can\'t be looked up for a while', lookup, d)


def fail_for_long(d):
    """What two rows wait for."""
    own_program(d, 'down', script='echo no database; exit 1')
    move(d, 'down', message('down', 1), message('down', 2))
    own_program(d, 'poison', script="""
tmp=$(mktemp) && cat >"$tmp" && exec <"$tmp" && rm "$tmp"
! grep -q "poison 25$" || { echo poisoned; exit 1; }
exec </proc/self/fd/0""")
    move(d, 'poison', *POISON)
    d.others = jobs.taught(d)


def failed(d, user):
    """The one transaction of the user that was put aside."""
    found = [jobs.read(f'{jobs.queue(d)}/{name}') for name in jobs.failed(d)]
    tx, = [tx for tx in found if tx.user == user]
    return tx


def down(d):
    tx = failed(d, 'down')
    equal([line[2] for line in tx.state()], ['failed'] * len(tx.state()))
    equal('no database' in tx.state()[0][5], True, tx.state())
    equal(sorted((SPAM, tx.message(job)) for job in tx.jobs),
          sorted(spam(message('down', 1), message('down', 2))), 'kept')
    # From 50 ms, doubling to 500 ms: some 14 times, two messages each.
    if not 8 < starts(d, 'down') < 50:
        raise AssertionError(f'{starts(d, "down")} starts')
    d.expect_log(FAILED_TRY.format('down'))
    given_up = d.log('user down: .*it is given up, and kept in')
    # for both messages, unless they were tried last in two runs
    equal(len(given_up) in (1, 2), True, f'log lines: {given_up}')


def kept(d):
    """By a rename, and without what has become of it."""
    path = failed(d, 'down').path
    own_program(d, 'down')
    os.unlink(f'{path}/state')
    os.rename(path, path.replace('/failed.', '/job.'))
    jobs.scan(d)
    jobs.assert_taught(d, spam(message('down', 1), message('down', 2)))


def poison(d):
    jobs.assert_same(d.others, Counter(spam(*POISON[:25], *POISON[26:])))
    tx = failed(d, 'poison')
    bad = [number for line in tx.state() if line[2] == 'failed'
           for number in range(int(line[0]), int(line[1]) + 1)]
    equal([(SPAM, tx.message(tx.jobs[number])) for number in bad],
          spam(POISON[25]), 'failed')
    d.expect_log(FAILED_TRY.format('poison') + 'exited with status 1: poison')
    shutil.rmtree(tx.path)


def hangs(d):
    own_program(d, 'hangs', script='sleep 1000')
    move(d, 'hangs', message('hangs'))
    wait_until(lambda: d.log(FAILED_TRY.format('hangs')), 10, 'its end')
    own_program(d, 'hangs')
    jobs.assert_taught(d, spam(message('hangs')))
    d.expect_log(FAILED_TRY.format('hangs') + 'timed out after 1 s')


def lookup(d):
    """Dovecot's userdb gives nonsense."""
    with jobs.held(d):
        move(d, 'lookup', message('lookup'))
        fields = d.options.users['lookup']
        jobs.rewrite_users(d, lookup={**fields, 'uid': 'nonsense'})
    wait_until(lambda: len(d.log(FAILED_TRY.format('lookup'))) > 3, 10,
               'a few tries')
    began = len(d.log(FAILED_TRY.format('lookup')))
    time.sleep(1)
    tries = len(d.log(FAILED_TRY.format('lookup'))) - began
    jobs.rewrite_users(d, lookup=fields)
    jobs.assert_taught(d, spam(message('lookup')))
    if tries > 5:
        raise AssertionError(f'{tries} tries in a second')
    d.expect_log('lookup')


# The reader

@test
def restarts():
    with FaultyDovecot(name='restarts', users=with_programs('u', 'clock'),
                       settings={**jobs.QUEUED,
                                 'antispam_queue_lifetime': '100s'}) as d:
        row('a trainer that is killed after a failed try: the next one '
            'knows of it, and tries again', killed_after_try, d)
        row('a clock that was set: what waits for the past is tried at once',
            past, d)
        row('reloads within a long batch: each lesson once', reloads, d)
        row('a restart within a long batch: each lesson once', restarted, d)
        row('a child is killed within a long batch: what it has done is '
            'known, the rest is done again', child_killed, d)


def killed_after_try(d):
    own_program(d, 'u', 0o644)
    move(d, 'u', message('u'))
    wait_until(lambda: d.log('tried again in'), 10, 'a failed try')
    d.expect_log(FAILED_TRY.format('u') + r"/\S+ can't be executed")
    kill_trainer(d)
    own_program(d, 'u')
    wake(d)
    jobs.assert_taught(d, spam(message('u')))
    d.expect_log(FAILED_TRY.format('u') + r"/\S+ can't be executed")


def past(d):
    own_program(d, 'clock')
    text = stored(message('clock'))
    for number, when in enumerate((1, int(time.time()) - 10 ** 8)):
        name = f'job.past.{number}'
        jobs.put(d, name, MAIL_UID, jobs.lesson('clock', text, age=10 ** 8),
                 {'state': f'0\t0\twaiting\t3\t{when}\tno\n'.encode()})
        jobs.say(d, name)
    jobs.assert_taught(d, spam(message('clock')) * 2)


def long_batch(d, user, count=60):
    d.recorder.control(sleep='0.1')
    messages = [message(user, i) for i in range(count)]
    move(d, user, *messages[:count // 2])
    move(d, user, *messages[count // 2:])
    wait_until(lambda: len(os.listdir(d.recorder.calls)) > 3, 10, 'a lesson')
    return spam(*messages)


def reloads(d):
    wanted = long_batch(d, 'reloads')
    for _ in range(3):
        d.doveadm('reload')
        time.sleep(0.2)
    jobs.scan(d)
    jobs.assert_taught(d, wanted)
    d.expect_log(RELOADED)


def restarted(d):
    wanted = long_batch(d, 'restarted')
    restart(d)
    jobs.assert_taught(d, wanted)
    d.recorder.control(sleep=None)


def child_killed(d):
    """Each lesson is counted as learned once, though the filter may have begun
    with some of them twice."""
    wanted = Counter(long_batch(d, 'killed'))
    done = os.path.join(d.recorder.calls, '*', 'done')
    wait_until(lambda: len(glob.glob(done)) > 20, 20, 'some lessons')
    for pid in jobs.children(d):
        os.kill(pid, signal.SIGKILL)
    d.recorder.control(sleep=None)
    jobs.wait_empty(d)
    got = jobs.taught(d)
    # The filter that it fed may have seen the beginning of a message.
    odd = [text for _, text in got - wanted
           if not any(whole.startswith(text) for _, whole in wanted)]
    equal((wanted - got, odd), (Counter(), []))
    if sum(got.values()) > 60 + 16:
        raise AssertionError(f'{sum(got.values())} lessons')

    def counted():
        return sum(int(re.search(r'(\d+) learned as spam', line)[1])
                   for line in d.log('user killed: .*learned as spam'))
    wait_until(lambda: counted() >= 60, 5, 'the last summary')
    equal(counted(), 60, 'counted')
    d.assert_log(FAILED_TRY.format('killed') + '.*killed by signal 9')


@test
def two_readers():
    with Dovecot(name='first of two', settings={
            **jobs.QUEUED, 'antispam_queue_delay': '50ms'}) as first:
        with Dovecot(name='second of two', settings={
                **jobs.QUEUED, 'antispam_queue_delay': '50ms',
                'antispam_queue_dir': first.queue_dir}) as second:
            row('two trainers: each lesson once', shared, first, second)


def shared(first, second):
    messages = []
    for number in range(40):
        mine = [message(f'shared-{number % 5}', number * 10 + i)
                for i in range(3)]
        move(first, f'shared-{number % 5}', *mine)
        messages += mine
        for d in (first, second):
            jobs.scan(d)
    wait_until(lambda: jobs.is_empty(first), 30, 'the end of all lessons')
    for d in (first, second):
        wait_until(lambda d=d: not jobs.children(d), 10, 'their children')
    lessons = first.lessons(), second.lessons()
    print(f'# {len(lessons[0])} by the first, {len(lessons[1])} by the second')
    jobs.assert_same(Counter((lesson.what, lesson.message)
                             for lesson in lessons[0] + lessons[1]),
                     Counter(spam(*messages)))


@test
def many_users():
    children = 3
    with Dovecot(name='many users', settings={
            **jobs.QUEUED, 'antispam_queue_delay': '10ms',
            'antispam_trainer_max_children': str(children)}) as d:
        d.recorder.control(sleep='0.2')
        row('50 sessions: not more children than are allowed', at_once, d,
            children, lambda: None)
        row('50 sessions, and a reload: not more than twice as many', at_once,
            d, 2 * children, lambda: d.doveadm('reload'))


def at_once(d, most, meanwhile, count=50):
    users = [f'user-{number}' for number in range(count)]
    with ExitStack() as stack:
        sessions = [stack.enter_context(d.imap(user)) for user in users]
        for user, c in zip(users, sessions):
            equal(c.append('INBOX', message(user)).status, 'OK')
        with Peak(lambda: len(jobs.children(d))) as peak, \
                ThreadPoolExecutor(10) as pool:
            done = [pool.submit(move_all, c) for c in sessions]
            wait_until(lambda: jobs.children(d), 10, 'a child')
            meanwhile()
            for future in done:
                future.result()
            jobs.scan(d)
            jobs.assert_taught(d, spam(*map(message, users)))
    print(f'# {peak.value} children at once')
    if peak.value > most:
        raise AssertionError(f'{peak.value} children')
    # Dovecot makes its sockets anew.
    d.expect_log(RELOADED + '|waits until antispam-trainer runs')


main()

# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What happens to a command while it runs: what of a fault matrix's rows is
more than one command after the other. Each function is given the row's Run."""

import os
import signal
import socket
import time

from faults import REFUSED, Peak, Program, Watched
from harness import (MAIL_UID, alive, descendants, equal, read_stat,
                     wait_until)

EXPUNGED = ('NO', 'EXPUNGEISSUED',
            'Some of the requested messages no longer exist')
# What Dovecot itself says of each file in a folder that is gone.
NO_TMP_FILE = (r'Error: unlink\(\S+/tmp/\S+\) failed: No such file or '
               r'directory .*')


def answer(reply):
    """Dovecot takes the full stop for the time it took."""
    return reply.status, reply.code, reply.text.split(' (')[0].rstrip('.')


def assert_untouched(run, before):
    equal(run.all_contents(), before, 'destination and source')


def assert_taught(run, count):
    equal(run.lessons(), list(range(count)), 'lessons')
    run.assert_spool()


def folder(run, name):
    """Where a Maildir folder lies."""
    return f'{run.d.home(run.user)}/mail/.{name}'


def hidden(run):
    """Names of hidden files in the spool."""
    return [name for name in os.listdir(run.seen('spool'))
            if name.startswith('.')]


def ended_lessons(run):
    """How many messages the filter has, so far."""
    if not isinstance(run.backend, Program):
        return len(hidden(run))
    calls = run.path('calls')
    return sum(os.path.exists(f'{calls}/{name}/done')
               for name in os.listdir(calls))


def go(run):
    """Let fault.sh go on."""
    with open(run.path('go'), 'wb'):
        pass


# Other commands than COPY and MOVE, and other settings

def appends(run):
    """All in one command."""
    before = run.all_contents()
    reply = run.c.append('SPAM', *run.messages)
    equal(answer(reply), REFUSED)
    run.c.do('NOOP')
    assert_untouched(run, before)
    assert_taught(run, 0)
    run.expect(run.failed(run.fault.why, 'APPEND'))


def fails_in_parallel(run):
    """Which ones are taught, and how many run at the same time, may differ;
    that two are taught, and that the rest is not started, does not."""
    before = run.all_contents()
    reply = run.c.move(['1:*'], 'SPAM')
    equal(answer(reply), REFUSED)
    assert_untouched(run, before)
    equal(len(run.lessons()), 2, 'lessons')
    # Three more than those that were taught run at the first failure.
    if run.starts() > 2 + 4:
        raise AssertionError(f'{run.starts()} programs were started')
    run.expect_some(run.failed(run.fault.why, r'UID \d+ of Work'))
    run.expect(run.in_vain(2))


# The storage refuses

def quota_refuses(run):
    """The first message fits, the second does not."""
    before = run.all_contents()
    for command in run.fault.commands:
        run.c.select('Work')
        reply = getattr(run.c, command)(['1:*'], 'SPAM')
        equal((reply.status, reply.code), ('NO', 'OVERQUOTA'), str(reply))
        assert_untouched(run, before)
        assert_taught(run, 0)


# Other sessions

def source_expunged(run):
    """By a second session, which the first one has not heard of yet."""
    for command in run.fault.commands:
        dest = run.contents('SPAM')
        uids = run.c.select('Work')
        with run.d.imap(run.user) as other:
            other.select('Work')
            equal(other.store(uids[1], r'+FLAGS (\Deleted)').status, 'OK')
            other.do('EXPUNGE')
        reply = getattr(run.c, command)(uids, 'SPAM')
        equal(answer(reply), EXPUNGED)
        equal(run.contents('SPAM'), dest, 'destination')
        equal(run.c.select('Work'), uids[:1] + uids[2:], 'source')
        assert_taught(run, 0)


def source_file_removed(run):
    """Not even the index knows of it."""
    for command in run.fault.commands:
        dest = run.contents('SPAM')
        uids = run.c.select('Work')
        files = [entry.path for name in ('cur', 'new') for entry in
                 os.scandir(f'{folder(run, "Work")}/{name}')]
        os.unlink(sorted(files, key=os.path.getmtime)[-1])
        reply = getattr(run.c, command)(uids, 'SPAM')
        equal(answer(reply), EXPUNGED)
        equal(run.contents('SPAM'), dest, 'destination')
        equal(len(run.c.select('Work')), len(uids) - 1, 'source')
        assert_taught(run, 0)


def source_expunged_in_a_race(run):
    """Whoever is first: what is not copied is not taught either."""
    numbers = list(range(len(run.messages)))
    for tries in range(4):
        run.c.select('SPAM')
        run.c.store(['1:*'], r'+FLAGS.SILENT (\Deleted)')
        run.c.do('EXPUNGE')
        uids = run.c.select('Work')
        with run.d.imap(run.user) as other, run.command() as reply:
            other.select('Work')
            time.sleep(tries * 0.005)
            other.store(uids[-1], r'+FLAGS (\Deleted)')
            other.do('EXPUNGE')
            reply = reply.result()
        copied = len(run.contents('SPAM'))
        left = numbers[:len(uids)]
        if reply.status == 'OK':
            equal(copied, len(uids), 'copied')
            equal(run.lessons(), left, 'lessons')
            run.expect(run.learned(len(uids)))
        else:
            equal(answer(reply), EXPUNGED)
            equal(copied, 0, 'copied')
            equal(run.lessons(), [], 'lessons')
        run.assert_spool()


def destination_deleted(run):
    """Before the command: the client is told to create it."""
    before = run.contents('Work')
    for command in run.fault.commands:
        with run.d.imap(run.user) as other:
            other.create('Doomed')
            run.c.count('Doomed')
            other.do('DELETE', 'Doomed')
        reply = getattr(run.c, command)(['1:*'], 'Doomed')
        equal((reply.status, reply.code), ('NO', 'TRYCREATE'), str(reply))
        equal(run.contents('Work'), before, 'source')
        assert_taught(run, 0)


def destination_deleted_meanwhile(run):
    """While the filter learns. What it has learned stays learned."""
    before = run.contents('Work')
    with run.d.imap(run.user) as other:
        other.create('Doomed')
        with run.command('move') as reply:
            wait_until(run.has_started, 10, 'the program')
            other.do('DELETE', 'Doomed')
            go(run)
            reply = reply.result()
        equal(reply.status, 'NO', str(reply))
    run.c.do('NOOP')
    equal(run.contents('Work'), before, 'source')
    assert_taught(run, len(run.messages))
    run.expect_some(NO_TMP_FILE)
    run.expect(run.in_vain(len(run.messages)))


def destination_deleted_while_spooling(run):
    populate(run)
    before = run.contents('Work')
    with run.d.imap(run.user) as other:
        other.create('Doomed')
        with run.command('move') as reply:
            stop_with_hidden_file(run)
            other.do('DELETE', 'Doomed')
            run.watched.kill(signal.SIGCONT)
            reply = reply.result()
        equal(reply.status, 'NO', str(reply))
    equal(run.contents('Work'), before, 'source')
    assert_taught(run, 0)
    run.expect_some(NO_TMP_FILE)
    # Its guess at why it could not link the message.
    run.expect(r'Error: Mailbox Work: maildir_file_do\(\S+\): '
               r'Filename keeps changing for UID=\d+')


# The client goes

def disconnect(run):
    run.c.sock.shutdown(socket.SHUT_RDWR)


def reply_is_lost(future):
    if future.exception() is None:
        raise AssertionError(f'there was an answer: {future.result()}')


def client_leaves_program(run):
    """Dovecot has asked for the last time whether the client is there: the
    command is carried out."""
    before = run.all_contents()
    with run.command('move') as reply:
        wait_until(run.has_started, 10, 'the program')
        disconnect(run)
        go(run)
        reply_is_lost(reply)
    run.end()
    with run.session():
        equal(run.all_contents(), (before[1], []), 'destination and source')
    assert_taught(run, len(run.messages))
    run.expect(run.learned(len(run.messages)))


def client_leaves_spool(run):
    """Dovecot asks once in 100 messages: nothing is copied, nothing taught."""
    populate(run)
    before = run.all_contents()
    with run.command() as reply:
        stop_with_hidden_file(run)
        equal(run.lessons(), [], 'lessons')
        disconnect(run)
        run.watched.kill(signal.SIGCONT)
        reply_is_lost(reply)
    run.end()
    assert_taught(run, 0)
    with run.session():
        assert_untouched(run, before)


def stop_with_hidden_file(run):
    end = time.monotonic() + 20
    while not hidden(run):
        if time.monotonic() > end:
            raise AssertionError('no hidden file within 20 s')
        time.sleep(0.001)
    run.watched.kill(signal.SIGSTOP)
    wait_until(lambda: read_stat(run.watched.pid)[0] == 'T', 5, 'SIGSTOP')


# The process is killed

def killed_while_spooling(run):
    """A hidden file is left, which nobody takes for a message."""
    before = run.all_contents()
    with run.command() as reply:
        stop_with_hidden_file(run)
        run.kill()
        reply_is_lost(reply)
    left = len(hidden(run))
    run.assert_spool(hidden=left)
    again(run, before, left)


def killed_before_commit(run):
    """All is learned, and the storage waits for a lock."""
    before = run.all_contents()
    lock = folder(run, 'SPAM') + '/dovecot-uidlist.lock'
    with open(lock, 'wb'):
        os.chown(lock, MAIL_UID, MAIL_UID)
    count = len(run.messages)
    with run.command() as reply:
        wait_until(lambda: ended_lessons(run) == count, 10, 'the lessons')
        run.kill()
        reply_is_lost(reply)
    os.unlink(lock)
    left = 0
    if isinstance(run.backend, Program):
        equal(run.lessons(), list(range(count)), 'lessons')
    else:
        left = count
        run.assert_spool(hidden=left)
    again(run, before, left)


def killed_while_a_program_runs(run):
    """The program goes on, and ends like any other."""
    before = run.all_contents()
    with run.command() as reply:
        wait_until(run.has_started, 10, 'the program')
        run.kill()
        reply_is_lost(reply)
    equal([pid for pid in run.started() if not alive(pid)], [],
          'the program ended with imap')
    go(run)
    run.assert_gone()
    ours = descendants(run.d.process.pid)
    equal([pid for pid in run.started() if pid in ours], [], 'zombies')
    # Whoever wants to say something dies of that: nobody listens.
    taught = run.lessons()
    if taught not in ([0], []):
        raise AssertionError(f'lessons: {taught}')
    again(run, before, 0)


def again(run, before, left):
    """The next session can do it."""
    with run.session():
        assert_untouched(run, before)
        run.c.select('Work')
        equal(run.c.copy(['1:*'], 'SPAM').status, 'OK')
        equal(run.all_contents(), (before[0] + before[1], before[1]),
              'destination and source')
    equal(run.lessons(), list(range(len(run.messages))), 'lessons')
    run.assert_spool(hidden=left)
    run.expect(run.learned(len(run.messages)))


# Very many messages

# What the plugin may take beside what Dovecot does: 256 kB of messages, and
# what it knows of each one.
CROWD_MEMORY = 3 * 1024 * 1024
# A transaction's own, and, while they run, each program's.
CROWD_FDS, PROGRAM_FDS = 8, 4


def crowd(run):
    """One command on run.fault.crowd messages: what it takes, beside the same
    command without the plugin."""
    populate(run)
    count = run.fault.crowd
    with run.d.fill(run.user) as c:
        c.create('Archive')
        c.select('Work')
        plain = measured(Watched(run.d, 'fill-' + run.user, 2), c, 'Archive')
    ours = measured(run.watched, run.c, 'SPAM')
    equal(run.c.count('SPAM'), count, 'copied')
    if not run.fault.blind:
        equal(run.lessons(), sorted(i % len(run.messages)
                                    for i in range(count)), 'lessons')
    run.assert_spool()
    run.expect(run.learned(count))
    run.note(f'memory {ours[0] >> 10} kB, without the plugin '
             f'{plain[0] >> 10} kB; descriptors {ours[1]}, without the '
             f'plugin {plain[1]}')
    if ours[0] > plain[0] + CROWD_MEMORY:
        raise AssertionError(f'{ours[0]} bytes of memory, {plain[0]} without '
                             'the plugin')
    fds = CROWD_FDS
    if isinstance(run.backend, Program):
        fds += PROGRAM_FDS * int(run.fault.settings['antispam_max_parallel'])
    if ours[1] > plain[1] + fds:
        raise AssertionError(f'{ours[1]} descriptors, {plain[1]} without the '
                             'plugin')


def populate(run):
    """Make a crowd of the messages in Work, as another Maildir client would:
    each is there many times."""
    cur = folder(run, 'Work') + '/cur'
    files = sorted(entry.path for entry in os.scandir(cur))
    equal(len(files), len(run.messages), 'messages')
    for i in range(len(files), run.fault.crowd):
        os.link(files[i % len(files)], f'{cur}/{2000000000 + i}.{i}.crowd:2,')
    equal(len(run.c.select('Work')), run.fault.crowd, 'messages')


def measured(watched, c, dest):
    """The growth of memory and of descriptors by a COPY of all."""
    c.count(dest)
    watched.forget_peak()
    memory, fds = watched.memory('VmRSS'), len(watched.all_fds())
    with Peak(lambda: len(watched.all_fds())) as peak:
        reply = c.copy(['1:*'], dest)
    equal(reply.status, 'OK', str(reply))
    return watched.memory('VmHWM') - memory, peak.value - fds

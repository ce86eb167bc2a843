#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Rounds of random moves while processes are killed at random: nothing that
was moved is lost, and nothing is learned that was not moved.

ROUNDS=500 SEED=1 tests/it/72-queue-crash.py [rounds]

In each round some users move, copy and append messages in several sessions at
once. Each message is in one command alone. If that was answered OK the message
is in the destination; if not, the folders tell what came of it. After each
round:

- a message that is in the destination was learned: at least once, and exactly
  once unless the trainer or one of its children was killed in that round
- one that is not was learned only if an imap process was killed, or ended with
  Dovecot: what it has written ahead is learned, since nobody can tell whether
  the storage would have committed; then, too, once, but for the same exception
- what was learned is a message of that round, byte for byte, as what it is.
  When a child is killed, the program that it feeds may see the beginning of a
  message alone; that counts for nothing
- no mail is lost: it is in the destination or in its source
- no transaction waits, is locked, or has failed. What killed processes have
  left without a valid job file is rubbish, which the trainer removes after ten
  minutes; it is removed here
"""

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import jobs
from pkg import dovecot_version
from faults import FaultyDovecot
from harness import (HAM, SPAM, equal, main, row, stored, test, wait_until)
from imap import Imap

ROUNDS = int(os.environ.get('ROUNDS', '25'))
SEED = int(os.environ.get('SEED', '0')) or random.SystemRandom().randrange(
    1, 10 ** 6)
USERS = ('ann', 'bob', 'cid')
STORAGES = {'ann': 'maildir', 'bob': 'sdbox', 'cid': 'mdbox'}
SESSIONS = 4
# To kill: the imap process of one session; the trainer; one of its children;
# Dovecot and all of it, at once; and what only ends or reloads it.
FAULTS = ('none', 'imap', 'imap', 'trainer', 'child', 'child', 'all kinds',
          'reload', 'restart', 'power')
# Messages of a command.
MANY = (1, 1, 2, 5, 12)
# A lock file that is older was left by somebody who was killed.
LOCK_SECS = 3
# What was seen, for people: how much of it the rounds reached.
seen = Counter()


class Command:
    """One command of one session, and its messages."""

    def __init__(self, user, kind, texts):
        self.user, self.kind, self.texts = user, kind, texts
        self.what = HAM if kind == 'out' else SPAM
        self.dest = 'INBOX' if kind == 'out' else 'SPAM'
        self.reply = None


def body(name, rng):
    """A message that no other one is like."""
    filler = bytes(rng.randrange(32, 127) for _ in range(rng.randrange(200)))
    size = rng.choice((0, 0, 3000, 70000))
    return (b'From: Ann <ann@example.org>\r\nSubject: ' + name.encode()
            + b'\r\n\r\n' + filler + b'\r\n' + b'x' * 70 * (size // 70)
            + b'\r\n')


class Round:
    def __init__(self, d, number):
        self.d, self.number = d, number
        self.rng = random.Random(f'{SEED} {number}')
        self.fault = self.rng.choice(FAULTS)
        self.commands, self.pids = [], []
        # What was killed: it may have told nobody what it had done.
        self.killed_imap = self.killed_teacher = False

    def __str__(self):
        return f'round {self.number}, {self.fault}'

    # The moves

    def make(self):
        for number in range(SESSIONS):
            user = self.rng.choice(USERS)
            for turn in range(self.rng.randrange(1, 4)):
                kind = self.rng.choice(('in', 'in', 'copy', 'out', 'append'))
                texts = [body(f'{self.number}-{number}-{turn}-{i}', self.rng)
                         for i in range(self.rng.choice(MANY))]
                self.commands.append((number, Command(user, kind, texts)))

    def fill(self):
        """Each command has its messages in a folder of its own."""
        for number, (_, command) in enumerate(self.commands):
            command.source = f'r{self.number}-{number}'
            if command.kind == 'append':
                command.source = 'INBOX'
                continue
            # What is moved out of the spam folder must lie there.
            if command.kind == 'out':
                command.source = f'SPAM/{command.source}'
            again(self.fill_one, command)

    def fill_one(self, command):
        with unplugged(self.d, command.user) as c:
            c.cmd('DELETE', f'"{command.source}"')
            c.create(command.source)
            equal(c.append(command.source, *command.texts).status, 'OK')

    def run(self):
        threads = []
        for number in range(SESSIONS):
            mine = [c for n, c in self.commands if n == number]
            threads.append(threading.Thread(target=self.session,
                                            args=(mine,)))
        for thread in threads:
            thread.start()
        try:
            self.break_things(threads)
        finally:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
                    no_locks(self.d)

    def session(self, commands):
        """All commands of one session, which may end before its time."""
        c = None
        try:
            c = Imap(self.d.port, commands[0].user, timeout=20)
            for command in commands:
                self.one(c, command)
            c.logout()
        except (AssertionError, OSError):
            # The server has gone.
            pass
        finally:
            if c is not None:
                c.sock.close()

    @staticmethod
    def one(c, command):
        if command.kind == 'append':
            command.reply = c.append('SPAM', *command.texts).status
            return
        uids = c.select(command.source)
        change = c.copy if command.kind == 'copy' else c.move
        command.reply = change(uids, command.dest).status

    # The faults

    def break_things(self, threads):
        kinds = [self.fault] if self.fault != 'all kinds' else \
            [self.rng.choice(FAULTS) for _ in range(3)]
        for kind in kinds:
            time.sleep(self.rng.choice((0.0, 0.02, 0.05, 0.1, 0.2, 0.4))
                       * self.rng.random())
            getattr(self, 'break_' + kind.replace(' ', '_'))()

    def break_none(self):
        pass

    def break_all_kinds(self):
        pass

    def break_imap(self):
        self.killed_imap = True
        found = imaps(self.d)
        self.rng.shuffle(found)
        for pid in found[:self.rng.choice((1, 2, 10))]:
            kill(pid)

    def break_trainer(self):
        self.killed_teacher = True
        for pid in jobs.trainers(self.d):
            kill(pid)

    def break_child(self):
        self.killed_teacher = True
        for _ in range(self.rng.randrange(1, 4)):
            end = time.monotonic() + 0.3
            while not jobs.children(self.d) and time.monotonic() < end:
                pass
            time.sleep(self.rng.random() * 0.03)
            for pid in jobs.children(self.d):
                kill(pid)

    def break_reload(self):
        os.kill(self.d.process.pid, signal.SIGHUP)

    def break_restart(self):
        """Dovecot ends sessions at once, which is as good as a kill."""
        self.killed_imap = True
        jobs.stop(self.d)
        jobs.start(self.d)

    def break_power(self):
        """All at once, but for what the disk has."""
        self.killed_imap = self.killed_teacher = True
        # Who is stopped starts nobody else.
        os.kill(self.d.process.pid, signal.SIGSTOP)
        for pid, _ in jobs.descendants(self.d.process.pid):
            kill(pid, signal.SIGSTOP)
        below = jobs.descendants(self.d.process.pid)
        for pid in (self.d.process.pid, *(pid for pid, _ in below)):
            kill(pid)
        self.d.process.wait()
        wait_until(lambda: not any(map(jobs.alive, below)), 10, 'their end')
        shutil.rmtree(f'{self.d.dir}/run', ignore_errors=True)
        jobs.start(self.d)

    # What came of it

    def settle(self):
        """Until nothing waits any more. A trainer that was killed is started
        again by whoever wakes it, which Dovecot may put off."""
        began = time.monotonic()

        def settled():
            try:
                jobs.scan(self.d)
            except OSError:
                return False
            return no_locks(self.d) and not self.waiting() and \
                not jobs.children(self.d) and not imaps(self.d)
        try:
            wait_until(settled, 60, 'the end of all lessons')
        except AssertionError as error:
            raise AssertionError(f'{error}: {self.waiting()}, '
                                 f'{jobs.trainers(self.d)}') from None
        took = time.monotonic() - began
        if took > 10:
            print(f'# {self}: settled after {took:.0f} s')
        equal(jobs.failed(self.d), [], 'failed')
        for name in jobs.names(self.d):
            seen['rubbish'] += 1
            shutil.rmtree(f'{jobs.queue(self.d)}/{name}')
        equal(os.listdir(jobs.queue(self.d)), [], 'left in the queue')

    def waiting(self):
        """Names of what is, or might still be, a transaction."""
        return [name for name in jobs.names(self.d)
                if not (self.killed_imap or self.killed_teacher)
                or jobs.read(f'{jobs.queue(self.d)}/{name}') is not None]

    def check(self):
        lessons = Counter()
        by_text = {}
        for _, command in self.commands:
            for text in command.texts:
                by_text[stored(text)] = command
        for lesson in self.taken():
            command = by_text.get(lesson.message)
            if command is None and self.killed_teacher and any(
                    text.startswith(lesson.message) for text in by_text):
                seen['beginnings'] += 1
                continue
            if command is None:
                raise AssertionError(f'learned: {lesson.message[:200]}')
            equal(lesson.what, command.what, 'class')
            lessons[lesson.message] += 1
        for user in USERS:
            self.check_user(user, lessons)

    def taken(self):
        """The recorder's lessons; of a call that was killed there is not
        all."""
        for name in os.listdir(self.d.recorder.calls):
            path = f'{self.d.recorder.calls}/{name}'
            if not os.path.exists(path + '/done'):
                if not self.killed_teacher:
                    raise AssertionError(f'call {name} has not ended')
                shutil.rmtree(path)
        return self.d.lessons()

    def check_user(self, user, lessons):
        commands = [c for _, c in self.commands if c.user == user]
        if not commands:
            return
        found = again(self.look, user, commands)
        for command in commands:
            self.check_command(command, found[command.dest],
                               found[command.source], lessons)
        again(self.clean, user, commands)

    def look(self, user, commands):
        """What is in the user's folders."""
        with unplugged(self.d, user) as c:
            return {name: Counter(self.contents(c, name))
                    for name in ('INBOX', 'SPAM',
                                 *(command.source for command in commands))}

    def clean(self, user, commands):
        with unplugged(self.d, user) as c:
            for name in ('INBOX', 'SPAM'):
                c.select(name)
                c.store(['1:*'], r'+FLAGS.SILENT (\Deleted)')
                c.do('EXPUNGE')
            for command in commands:
                # Dovecot may find that somebody who was killed has left it
                # unfinished.
                c.cmd('DELETE', f'"{command.source}"')

    @staticmethod
    def contents(c, folder):
        if not c.select(folder):
            return []
        reply = c.do('UID FETCH 1:* (BODY.PEEK[])')
        return [stored(literals[0]) for line, literals in reply.untagged
                if literals]

    def check_command(self, command, dest, source, lessons):
        for text in map(stored, command.texts):
            there, taught = dest[text], lessons[text]
            seen['messages'] += 1
            seen['moved without an answer'] += command.reply is None and there
            seen['not moved'] += there == 0
            seen['learned, not moved'] += there == 0 and taught > 0
            seen['learned again'] += max(taught - 1, 0)
            about = (f'{self}: {command.user} {command.kind} '
                     f'{command.reply}: there {there}, in its source '
                     f'{source[text]}, learned {taught} times: {text[:60]}')
            if command.reply == 'OK' and there == 0:
                raise AssertionError('lost mail: ' + about)
            # When Dovecot mends an mdbox it may find a message twice.
            if there > 1 and STORAGES[command.user] != 'mdbox':
                raise AssertionError('mail is there twice: ' + about)
            if there == 0 and command.kind != 'append' and \
                    source[text] != 1:
                raise AssertionError('lost mail: ' + about)
            if command.reply == 'OK' and command.kind in ('in', 'out') and \
                    source[text] != 0:
                raise AssertionError('mail is still there: ' + about)
            least = 1 if there else 0
            most = 1 if there or self.killed_imap else 0
            if taught < least or taught > most and \
                    not (self.killed_teacher and most):
                raise AssertionError(about)


def again(function, *args):
    """Dovecot ends a session when it finds, and mends, what those who were
    killed have left."""
    for _ in range(3):
        try:
            return function(*args)
        except AssertionError as error:
            if 'the server closed the session' not in str(error):
                raise
    return function(*args)


@contextmanager
def unplugged(d, user):
    """A session without the plugin. Dovecot may not let it in for a while
    after processes were killed."""
    end = time.monotonic() + 30
    while True:
        try:
            c = Imap(d.port, f'fill-{user}')
            equal(c.login.status, 'OK', str(c.login))
            break
        except (AssertionError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    try:
        yield c
        c.logout()
    finally:
        c.sock.close()


def imaps(d):
    return [pid for pid, _ in jobs.descendants(d.process.pid)
            if jobs.command(pid) == 'imap']


def no_locks(d):
    """No lock file is left in the mail. Who is killed leaves one, and Dovecot
    waits two minutes for it; who lives has it for a few milliseconds."""
    left = False
    for path, _, names in os.walk(f'{d.dir}/home'):
        for name in names:
            try:
                if name.endswith('.lock'):
                    age = time.time() - os.stat(f'{path}/{name}').st_mtime
                    left = True
                    if age > LOCK_SECS:
                        os.unlink(f'{path}/{name}')
            except FileNotFoundError:
                pass
    return not left


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Crashing(FaultyDovecot):
    """Dovecot says much of what was killed; what breaks by itself counts."""

    def _unplugged(self, user):
        fields = super()._unplugged(user)
        fields.update(mail_of(user, self.version))
        return fields

    def assert_sound(self):
        broken = self.log('Panic|assertion|Raw backtrace|signal (6|11)|'
                          'Out of memory')
        if broken:
            raise AssertionError('a process broke:\n' + '\n'.join(broken))


@test
def rounds():
    settings = {**jobs.QUEUED, 'antispam_queue_delay': '50ms',
                'antispam_queue_lifetime': '50s',
                'antispam_allow_append_to_spam': 'yes',
                'antispam_spam_pattern': 'SPAM*'}
    print(f'# SEED={SEED}')
    with Crashing(name='crashes', settings=settings,
                  users={user: mail_of(user, dovecot_version())
                         for user in USERS}) as d:
        for number in range(ROUNDS):
            this = Round(d, number)
            row(f'{this} (SEED={SEED})', one, this)
    print('# ' + ', '.join(f'{what}: {n}' for what, n in seen.items()))


def mail_of(user, version):
    """Each user has another storage."""
    if version >= (2, 4):
        return {'mail_driver': STORAGES[user]}
    return {'mail': f'{STORAGES[user]}:~/mail'}


def one(this):
    this.make()
    this.fill()
    this.run()
    this.settle()
    this.check()


main()

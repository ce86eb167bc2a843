#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What is of no interest costs nothing: a message that goes from one ordinary
folder to another takes the same system calls and the same memory with the
plugin as in a Dovecot without it, and is not opened."""

import os
import re
import shutil
import struct
import subprocess
import time
from collections import Counter
from dataclasses import dataclass

import pkg
from faults import Watched
from harness import (PIPE, STORAGES, Dovecot, Skip, equal, mail, main, row,
                     test)

# They depend on when the network brings what (as does a read() too early), and
# on where malloc() finds room; what it is asked for is counted.
UNSTEADY = {'epoll_wait', 'setsockopt', 'brk', 'mmap', 'munmap', 'madvise'}
# Each row is measured so often; the least counts, since what is a second old
# costs Dovecot a look more.
ROUNDS = 3
# Each time that the network wakes it Dovecot makes two small allocations. This
# is for up to four more of those; it is less than one for each of 10 messages.
CALLS_NOISE, BYTES_NOISE = 8, 200

# What a session does, given the UIDs that are left in Work.
COMMANDS = {
    'move of 1': lambda c, uids: c.move(uids[:1], 'INBOX'),
    'move of 10': lambda c, uids: c.move(uids[:10], 'INBOX'),
    'copy of 10': lambda c, uids: c.copy(uids[:10], 'INBOX'),
    'move of 10 to Trash': lambda c, uids: c.move(uids[:10], 'Trash'),
    'append': lambda c, uids: c.append('INBOX', mail('new')),
    'flags': lambda c, uids: c.store(uids[:3], r'+FLAGS (\Seen)'),
}
LESSON = {'move of 1 to SPAM': lambda c, uids: c.move(uids[:1], 'SPAM')}


class Counting(Dovecot):
    """Its processes count their allocations; with or without the plugin."""

    def __init__(self, storage, plugged):
        self.plugged = plugged
        super().__init__(storage, settings=PIPE, name='%s, %s plugin' % (
            storage, 'with the' if plugged else 'without the'))

    def _configure(self, port):
        super()._configure(port)
        self.counts = f'{self.dir}/counts'
        os.makedirs(self.counts, exist_ok=True)
        library = f'{self.counts}/count-malloc.so'
        subprocess.run(['cc', '-O1', '-fno-builtin', '-shared', '-fPIC', '-o',
                        library, f'{pkg.ROOT}/tests/it/count-malloc.c'],
                       check=True)
        with open(f'{self.dir}/dovecot.conf', encoding='utf-8') as file:
            text = file.read()
        if not self.plugged:
            text = re.sub(r'^antispam = yes$|(?<=\$mail_plugins) antispam$',
                          '', text, flags=re.M)
        if self.version >= (2, 4):
            text += f'import_environment {{\nLD_PRELOAD = {library}\n}}\n'
        else:
            text += ('import_environment = $import_environment '
                     f'LD_PRELOAD={library}\n')
        with open(f'{self.dir}/dovecot.conf', 'w', encoding='utf-8') as file:
            file.write(text)

    def allocations(self, pid):
        """(calls, bytes) so far."""
        with open(f'{self.counts}/{pid}', 'rb') as file:
            return struct.unpack('@LL', file.read())


class Trace:
    """The system calls of a process, while a "with" lasts."""

    def __init__(self, pid, path):
        self.pid, self.path = pid, path

    def __enter__(self):
        if shutil.which('strace') is None:
            raise Skip('there is no strace')
        self.strace = subprocess.Popen(
            ['strace', '-p', str(self.pid), '-o', self.path],
            stderr=subprocess.PIPE, text=True)
        said = self.strace.stderr.readline()
        if 'attached' not in said:
            self.strace.kill()
            self.strace.communicate()
            raise Skip(f'strace is not possible here: {said.strip()}')
        return self

    def __exit__(self, *_):
        # What comes after the answer
        time.sleep(0.01)
        self.strace.terminate()
        self.strace.communicate()

    def lines(self):
        with open(self.path, encoding='utf-8', errors='replace') as file:
            return file.read().splitlines()


@dataclass
class Cost:
    """Of one command, done twice: once for each kind of counting."""
    calls: Counter
    # Paths of the files that were opened.
    opened: list
    malloc_calls: int
    malloc_bytes: int


def measured(d, user, command):
    """By a user who has done nothing before."""
    with d.imap(user) as c:
        watched = Watched(d, user)
        equal(c.append('Work', *(mail(f'{i}') for i in range(40))).status,
              'OK')
        uids = c.select('Work')
        equal(command(c, uids).status, 'OK')
        uids = c.uids()
        before = d.allocations(watched.pid)
        equal(command(c, uids).status, 'OK')
        after = d.allocations(watched.pid)
        uids = c.uids()
        trace = Trace(watched.pid, f'{d.dir}/trace')
        with trace:
            equal(command(c, uids).status, 'OK')
    lines = trace.lines()
    calls = Counter(line.split('(')[0] for line in lines
                    if re.match(r'\w+\(', line)
                    and not re.search('EAGAIN|<detached', line))
    for name in UNSTEADY:
        calls.pop(name, None)
    opened = [line.split('"')[1] for line in lines if line.startswith('open')]
    return Cost(calls, opened, after[0] - before[0], after[1] - before[1])


def both(plain, ours, name):
    """A command's costs without and with the plugin, taking turns."""
    command = {**COMMANDS, **LESSON}[name]
    costs = [[], []]
    for i in range(ROUNDS):
        for d, found in zip((plain, ours), costs):
            found.append(measured(d, f'{name.replace(" ", "-")}-{i}',
                                  command))
    return costs


def fewest(costs):
    """Of each system call, the least of all rounds."""
    names = set().union(*(cost.calls for cost in costs))
    return {name: min(cost.calls[name] for cost in costs)
            for name in sorted(names)}


def costs_nothing(plain, ours, name):
    without, with_us = both(plain, ours, name)
    got, wanted = fewest(with_us), fewest(without)
    equal(sorted(got.items() - wanted.items()),
          sorted(wanted.items() - got.items()), 'system calls')
    mails = [path for cost in with_us for path in cost.opened
             if re.search(r'/(cur|new)/[^/]', path)]
    if ours.arguments[0] == 'maildir':
        equal(mails, [], 'messages that were opened')
    for field, noise in (('malloc_calls', CALLS_NOISE),
                         ('malloc_bytes', BYTES_NOISE)):
        got, wanted = (min(getattr(cost, field) for cost in costs)
                       for costs in (with_us, without))
        if got > wanted + noise:
            raise AssertionError(f'{field}: {got}, without the plugin '
                                 f'{wanted}')


def a_lesson_is_seen(plain, ours, name):
    """All this would show it if the plugin did something."""
    without, with_us = both(plain, ours, name)
    assert sum(fewest(with_us).values()) > sum(fewest(without).values()) + 20
    for field in ('malloc_calls', 'malloc_bytes'):
        got, wanted = (min(getattr(cost, field) for cost in costs)
                       for costs in (with_us, without))
        assert got > wanted + 10
    assert [path for cost in with_us for path in cost.opened
            if re.search(r'/(cur|new)/[^/]', path)]


@test
def no_interest_no_cost():
    for storage in STORAGES:
        with Counting(storage, False) as plain, Counting(storage, True) as d:
            for name in COMMANDS:
                row(f'{storage}: {name}', costs_nothing, plain, d, name)
            if storage == 'maildir':
                row('the same measure sees a lesson', a_lesson_is_seen, plain,
                    d, *LESSON)


main()

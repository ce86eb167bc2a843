# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What queued training costs a user who moves messages into SPAM: on each
storage, with a message's file linked or its contents copied, and while the
filter is slow."""

import contextlib
import os
import random
import subprocess
import sys
from dataclasses import dataclass

import measure
import queuedir
from contenders import PIPE, Contender, tempdir
from harness import MAIL_UID, wait_until
from imap import Imap
from report import Results, ratio_goal, spread, table

# Runs in each round, by messages at a time.
REPEATS = {1: 10, 10: 5, 100: 2, 1000: 1}
# Of these rounds there is no need for more.
MAX_ROUNDS = 5
# The one stays in the queue, so that it can be counted; of the other, the
# filter that takes 5 s a message has some all the time.
QUEUED = {**PIPE, 'antispam_training': 'queued',
          'antispam_queue_dir': '@DIR@/queue'}
WAITS = {**QUEUED, 'antispam_queue_delay': '1d'}
SLOW = {**QUEUED, 'antispam_queue_delay': '0'}


class Queued(Contender):
    def __init__(self, *args, mount=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.mount = mount

    def _prepare(self):
        super()._prepare()
        queue = f'{self.dir}/queue'
        os.mkdir(queue)
        os.chmod(queue, 0o1733)
        if self.mount:
            # No link leads across mounts, be they of one file system.
            subprocess.run(['mount', '--bind', queue, queue], check=True)


@dataclass
class Group:
    """The same storage, without and with the plugin."""
    title: str
    storage: str
    # Messages are linked into the queue; a thousand of them may cost so much.
    linked: bool
    limit: float
    plugins: tuple = ()
    mount: bool = False

    def __post_init__(self):
        options = {'storage': self.storage, 'plugins': self.plugins}
        self.none = Contender('none', f'{self.title}, no plugin',
                              plugin='none', **options)
        self.waits = Queued('queued', f'{self.title}, queued', WAITS,
                            mount=self.mount, **options)
        self.slow = Queued('slow', f'{self.title}, slow filter', SLOW,
                           mount=self.mount, program='slow', **options)
        self.all = [self.none, self.waits, self.slow]


def groups():
    return [
        Group('maildir', 'maildir', True, 1.55),
        Group('sdbox', 'sdbox', True, 2.0),
        Group('mdbox', 'mdbox', True, 2.0),
        Group('maildir, other mount', 'maildir', False, 1.2, mount=True),
        Group('maildir, compressed', 'maildir', False, 1.2,
              plugins=('compress',)),
        Group('mbox', 'mbox', False, 1.2),
    ]


class Seat:
    """A user and a session; all messages go from A to SPAM in each round, and
    on the way back through Trash, which teaches nothing."""

    def __init__(self, contender, group, pool, picked):
        self.contender, self.group = contender, group
        # By UID in A, which are the same for all seats of a round.
        self.sizes = [pool.sizes[i] for i in picked]
        self.moved = 0
        # How many messages at a time were moved in this round.
        self.counts = []
        self.user = f'user-{contender.key}'
        home = contender.home(self.user)
        os.mkdir(home, 0o700)
        os.chown(home, MAIL_UID, MAIL_UID)
        self.session = Imap(contender.port, self.user)
        for start in range(0, len(picked), 100):
            reply = self.session.append('A', *(
                pool.read(i) for i in picked[start:start + 100]))
            if reply.status != 'OK':
                raise measure.Void(f'{contender.title}: APPEND: {reply}')
        for box in ('SPAM', 'Trash'):
            self.session.select(box)
        self.begin()

    def begin(self):
        self.uids = self.session.select('A')
        if len(self.uids) != len(self.sizes):
            raise measure.Void(f'{self.contender.title}: {len(self.uids)} of '
                               f'{len(self.sizes)} messages are there')

    def move(self, count):
        """Move the last ones, which are the cheapest to take out of an mbox:
        milliseconds."""
        before = self._names()
        uids = f'{self.uids[-count]}:{self.uids[-1]}'
        took = measure.timed(self.session, f'UID MOVE {uids} SPAM'.encode())
        moved = self.sizes[len(self.uids) - count:len(self.uids)]
        del self.uids[-count:]
        left = self.session.uids()
        if left != self.uids:
            raise measure.Void(f'{self.contender.title}: {len(left)} messages '
                               f'are left, not {len(self.uids)}')
        self.moved += count
        self.counts.append(count)
        self._check(self._names() - before, moved)
        return took

    def _names(self):
        if self.contender.plugin == 'none':
            return set()
        return queuedir.names(f'{self.contender.dir}/queue')

    def _check(self, names, sizes):
        """One transaction more, with these messages."""
        who = self.contender
        if who.plugin == 'none':
            return
        if len(names) != 1:
            raise measure.Void(f'{who.title}: {len(names)} transactions are '
                               'in the queue after one move')
        jobs = queuedir.read(f'{who.dir}/queue/{names.pop()}')
        # A dbox file, and an mbox, has more than the messages' own bytes.
        if [job.linked for job in jobs] != [self.group.linked] * len(sizes) \
                or [job.size for job in jobs] != sizes:
            raise measure.Void(f'{who.title}: {len(jobs)} of {len(sizes)} '
                               'jobs are in the queue, or they are wrong')

    def back(self):
        """What was moved last comes first, as it was."""
        self.session.select('SPAM')
        self.session.do('UID MOVE 1:*', 'Trash')
        uids = self.session.select('Trash')
        while self.counts:
            count = self.counts.pop()
            self.session.do(f'UID MOVE {uids[-count]}:{uids[-1]}', 'A')
            del uids[-count:]
        self.begin()


def plan(sizes):
    """(messages at a time, how often), for one round."""
    return [(n, REPEATS[max([size for size in REPEATS if size <= n] or [1])])
            for n in sizes]


def pick(pool, sizes):
    """Numbers of the messages: those of a move have all kinds of sizes."""
    picked = []
    for n, repeats in plan(sizes):
        for _ in range(repeats):
            some = pool.pick(n) if n > 1 else [len(pool.sizes) // 2]
            random.Random(n).shuffle(some)
            picked = some + picked
    return picked


def run_round(results, group, seats, pool, sizes):
    for n, repeats in plan(sizes):
        for _ in range(repeats):
            row = {seat.contender.key: seat.move(n)
                   for seat in measure.turns(seats)}
            if not group.linked:
                row['floor'] = measure.floor('one', pool, n)
            results.add((group.title, n), [row])
    for seat in seats:
        seat.back()


def hurry(slow):
    """The slow filter is quick from now on."""
    with open(slow, 'wb'):
        pass


def drain(everyone, seats, slow, lessons):
    """With a quick filter, all that was moved is taught."""
    hurry(slow)
    moved = sum(seat.moved for seat in seats)
    seen = [0]

    def taught():
        seen[0] += lessons.take()
        return seen[0] >= moved and not any(
            queuedir.names(f'{one.dir}/queue') for one in everyone)
    try:
        wait_until(taught, 60 + moved / 100, 'all lessons')
    except AssertionError as why:
        raise measure.Void(f'{seen[0]} of {moved} lessons were taught: '
                           f'{why}') from None
    if seen[0] != moved:
        raise measure.Void(f'{seen[0]} lessons were taught for {moved}')


# Output

def show(results, everyone, sizes):
    lines = []
    for group in everyone:
        def cells(key, bases, group=group):
            return [spread(results.ratios((group.title, n), key, bases))
                    for n in sizes]
        lines.append((f'{group.title}: no plugin', [
            f'{results.msecs((group.title, n), "none"):.2f} ms'
            for n in sizes]))
        for key, text in (('queued', 'queued'), ('slow', 'slow filter')):
            lines.append((f'  {text}', cells(key, 'none')))
        if group.linked:
            continue
        lines.append(('  floor: one file, one fsync', [
            f'{results.msecs((group.title, n), "floor"):.2f} ms'
            for n in sizes]))
        for key, text in (('queued', 'queued'), ('slow', 'slow filter')):
            lines.append((f'  {text} / (none + floor)',
                          cells(key, ('none', 'floor'))))
    table('UID MOVE of N messages into SPAM, queued, as a ratio to no plugin: '
          'median (middle half)', [f'N={n}' for n in sizes], lines)


def goals(results, everyone, sizes):
    found = []
    for group in everyone:
        for key in ('queued', 'slow'):
            name = f'{key}, {group.title}'
            bases = 'none' if group.linked else ('none', 'floor')
            text = '' if group.linked else ' to (no plugin + floor)'
            if 1000 in sizes:
                found.append(ratio_goal(
                    f'{name}{text}, N=1000',
                    results.ratios((group.title, 1000), key, bases),
                    group.limit))
            if 1 in sizes:
                found.append((f'{name}, N=1',
                              results.added((group.title, 1), key, 'none'),
                              1.0 if group.linked else 1.5, '{:+.2f} ms'))
    return found


def run(pool, sizes, rounds):
    """Returns the goals."""
    rounds = min(rounds, MAX_ROUNDS)
    everyone, results = groups(), Results()
    measure.Lessons('nothing')
    switch = f'{tempdir()}/quick'
    lessons = measure.Lessons('slow', slow=switch)
    picked = pick(pool, sizes)
    with contextlib.ExitStack() as stack:
        tables = []
        for group in everyone:
            for one in group.all:
                stack.enter_context(one)
            # Or Dovecot can't be stopped soon, whatever happens.
            stack.callback(hurry, switch)
            tables.append((group, [Seat(one, group, pool, picked)
                                   for one in group.all]))
        for number in range(rounds):
            for group, seats in tables:
                run_round(results, group, seats, pool, sizes)
            print(f'queue: round {number + 1} of {rounds}', file=sys.stderr,
                  flush=True)
        drain([group.slow for group in everyone],
              [seat for _, seats in tables for seat in seats
               if seat.contender.key == 'slow'], switch, lessons)
        for _, seats in tables:
            for seat in seats:
                seat.session.logout()
    show(results, everyone, sizes)
    return goals(results, everyone, sizes)

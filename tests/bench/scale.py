# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What becomes slower when very much waits in the queue, and how much memory
the trainer needs."""

import contextlib
import os
import re
import shutil
import socket
import statistics
import sys
import time
from dataclasses import dataclass

import measure
import queuedir
from contenders import PIPE, Contender, tempdir
from harness import alive, descendants, wait_until
from report import Results, ratio_goal, table

# To compare with, and so many.
FEW, MANY = 1000, 100000
# Messages that are moved at a time, and how often.
MOVES = {1: 40, 100: 8}
# So many lessons are timed; all of them would take minutes.
LESSONS = 3000
# In turns; the many that are left will do for the next one.
TURNS = 3
# MB
MEMORY = 50


class Due(Contender):
    """It is stopped while a child may ask for its user."""

    def faults(self):
        return [line for line in super().faults()
                if not re.search('userdb lookup|Internal error', line)]


@dataclass
class Load:
    """A queue in which lessons wait, and the Dovecots that use it."""
    transactions: int
    jobs: int

    def __post_init__(self):
        self.count = self.transactions * self.jobs
        self.title = f'{self.transactions} x {self.jobs}'
        self.dir = f'{tempdir()}/scale.{self.transactions}.{self.jobs}'
        settings = {**PIPE, 'antispam_training': 'queued',
                    'antispam_queue_dir': self.dir}
        # In the one they wait, in the other they are due.
        self.waits, self.due = (
            kind(self.title, f'{name}, {self.title} jobs',
                 {**settings, 'antispam_queue_delay': delay})
            for kind, name, delay in ((Contender, 'waiting', '1d'),
                                      (Due, 'due', '0')))


def loads():
    """(few, many) pairs."""
    return [(Load(FEW, 1), Load(MANY, 1)),
            (Load(FEW // 1000, 1000), Load(MANY // 1000, 1000))]


def trainer_pid(contender):
    """Of the manager, not of a child of it."""
    for pid, _ in descendants(contender.process.pid):
        try:
            with open(f'/proc/{pid}/stat', encoding='ascii') as file:
                name, rest = file.read().split('(', 1)[1].rsplit(')', 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name == 'antispam-traine' and \
                int(rest.split()[1]) == contender.process.pid:
            return pid
    raise measure.Void(f'{contender.title}: no trainer runs')


def wake(contender):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f'{contender.dir}/run/antispam-trainer')
        client.sendall(b'scan\n')


def peak_memory(contender):
    """MB."""
    with open(f'/proc/{trainer_pid(contender)}/status',
              encoding='ascii') as file:
        for line in file:
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024
    raise measure.Void('no VmHWM')


def cpu_seconds(pid):
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e9


def wait_until_read(contender):
    """The trainer has read all of the queue: it rests."""
    pid, last = trainer_pid(contender), [-1.0]

    def rests():
        time.sleep(0.3)
        before, last[0] = last[0], cpu_seconds(pid)
        return last[0] - before < 0.001
    wait_until(rests, 120, 'the trainer to read its queue')


# Enqueueing

class Seat:
    def __init__(self, load, pool):
        self.load = load
        self.contender = load.waits
        count = sum(n * repeats for n, repeats in MOVES.items())
        user = self.contender.new_user(pool, 'A', count)
        self.session = measure.Imap(self.contender.port, user)
        for box in ('SPAM', 'A'):
            self.session.select(box)
        self.next = 1

    def move(self, count):
        before = len(os.listdir(self.load.dir))
        last = self.next + count - 1
        took = measure.timed(self.session,
                             f'UID MOVE {self.next}:{last} SPAM'.encode())
        self.next += count
        if len(os.listdir(self.load.dir)) != before + 1:
            raise measure.Void(f'{self.contender.title}: nothing was queued')
        return took


def enqueue(results, everyone, pool):
    """Returns {title: MB} of the trainers that have all of it in memory."""
    with contextlib.ExitStack() as stack:
        for load in everyone:
            stack.enter_context(load.waits)
        for load in everyone:
            wait_until_read(load.waits)
        seats = [Seat(load, pool) for load in everyone]
        for n, repeats in MOVES.items():
            for _ in range(repeats):
                results.add(n, [{seat.load.title: seat.move(n)
                                 for seat in measure.turns(seats)}])
        for seat in seats:
            seat.session.logout()
        return {load.title: peak_memory(load.waits) for load in everyone}


# Training

def train(load, lessons):
    """Milliseconds for one lesson: of reading the queue, and of teaching; and
    the trainer's memory, MB."""
    lessons.take()
    wanted = min(LESSONS, load.count)
    waiting = sum(len(queuedir.read(f'{load.dir}/{name}'))
                  for name in queuedir.names(load.dir))
    count, first, last = 0, None, None
    os.rename(load.dir, f'{load.dir}.full')
    shutil.rmtree(f'{load.dir}.empty', ignore_errors=True)
    os.mkdir(load.dir)
    os.chmod(load.dir, 0o1733)
    with load.due:
        wait_until_read(load.due)
        os.rename(load.dir, f'{load.dir}.empty')
        os.rename(f'{load.dir}.full', load.dir)
        start = time.perf_counter()
        wake(load.due)
        while count < wanted:
            count += lessons.take()
            now = time.perf_counter()
            if count > 0 and first is None:
                first, skipped = now, count
            last = now
            if now - start > 300:
                raise measure.Void(f'{load.title}: {count} of {wanted} '
                                   'lessons in 300 s')
            time.sleep(0.001)
        memory = peak_memory(load.due)
    # What it still teaches is not to be counted as another one's.
    wait_until(lambda: not any(alive(process)
                               for process in load.due.children), 60,
               f'the end of {load.due.title}')
    return ((first - start) * 1000 / waiting,
            (last - first) * 1000 / (count - skipped), memory)


# Output

def show(results, everyone, trained, memory):
    lines = [(f'{load.title} waiting', [
        *(f'{results.msecs(n, load.title):.2f} ms' for n in MOVES),
        *(f'{statistics.median(values):.3f} ms'
          for values in zip(*trained[load.title])),
        f'{memory[load.title]:.1f} MB']) for load in everyone]
    table('With so many transactions of so many jobs in the queue',
          [*(f'UID MOVE of {n}' for n in MOVES), 'read a job', 'teach a job',
           'trainer, VmHWM'], lines)


def goals(results, pairs, trained, memory):
    found = []
    for few, many in pairs:
        for n in MOVES:
            found.append(ratio_goal(
                f'UID MOVE of {n}, {many.title} jobs waiting to {few.title}',
                results.ratios(n, many.title, few.title), 1.3))
        found.append(ratio_goal(
            f'to read and teach a job, {many.title} to {few.title}',
            [sum(most) / sum(least) for most, least in
             zip(trained[many.title], trained[few.title])], 1.3))
        found.append((f'VmHWM of the trainer, {many.title}',
                      memory[many.title], MEMORY, '{:.1f} MB'))
    return found


def fill(load, pool):
    queuedir.fill(load.dir, 'waiter',
                  [f'{pool.dir}/{i}' for i in pool.pick(100)],
                  load.transactions, load.jobs)


def run(pool, _sizes, _rounds):
    """Returns the goals."""
    lessons = measure.Lessons('nothing')
    results, pairs = Results(), loads()
    everyone = [load for pair in pairs for load in pair]
    for load in everyone:
        fill(load, pool)
    print('scale: the queues are full', file=sys.stderr, flush=True)
    memory = enqueue(results, everyone, pool)
    print('scale: enqueued', file=sys.stderr, flush=True)
    trained = {load.title: [] for load in everyone}
    for number in range(TURNS):
        for load in everyone:
            if number > 0 and load.count == FEW:
                os.rename(load.dir, f'{load.dir}.{number}')
                fill(load, pool)
            read, teach, used = train(load, lessons)
            trained[load.title].append((read, teach))
            memory[load.title] = max(memory[load.title], used)
    show(results, everyone, trained, memory)
    return goals(results, pairs, trained, memory)

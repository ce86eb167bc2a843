# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""How long it takes until the filter has learned what was moved: with real
filters, beside one run of each over the same files, and beside IMAPSieve with
the same program; and how long a single message takes."""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import time

import measure
import pkg
import queuedir
from contenders import SIEVE, Contender, tempdir
from harness import MAIL_UID, wait_until
from queued import QUEUED, Queued
from report import Results, ratio_goal, spread, table

MESSAGES = 1000
# How many single messages, and how soon the next one comes, s.
SINGLES, PAUSE = 30, 0.02
NOW = {'antispam_queue_delay': '0', 'antispam_pipe_batch': 'files'}


class Filter:
    # What is run, and its arguments.
    program, arguments, name = '', (), ''
    # The setting that says spam.
    settings = {}
    # Of all, and how many at most.
    rounds, limit = 1, 1.0
    # Messages that IMAPSieve is given; it takes them one at a time.
    sieve_messages, sieve_arguments = 0, ()

    def learn(self, home, files):
        """One run over the files: milliseconds."""
        start = time.perf_counter_ns()
        self.run(home, self.program, *self.arguments, *files)
        return (time.perf_counter_ns() - start) / 1e6

    def run(self, home, *command):
        done = subprocess.run(
            command, capture_output=True, cwd=home, user=MAIL_UID,
            group=MAIL_UID, extra_groups=[], timeout=600, check=False,
            stdin=subprocess.DEVNULL,
            env={'PATH': '/usr/bin:/bin', 'HOME': home, 'LANG': 'C.UTF-8'})
        if done.returncode != 0:
            raise measure.Void(f'{command[0]}: {done.returncode}, '
                               + done.stderr.decode(errors='replace'))
        return done.stdout.decode()


class SaLearn(Filter):
    name, program, arguments = 'sa-learn', '/usr/bin/sa-learn', ('--spam',)
    settings = {'antispam_pipe_program_spam_arg': '--spam',
                'antispam_pipe_program_notspam_arg': '--ham'}
    limit = 1.2
    sieve_messages, sieve_arguments = 10, ('--spam',)

    def count(self, home):
        out = self.run(home, self.program, '--dump', 'magic')
        return int(re.search(r'(\d+) +\d+ +non-token data: nspam\n', out)[1])


class Bogofilter(Filter):
    name, program = 'bogofilter', '/usr/bin/bogofilter'
    arguments = ('-s', '-B')
    settings = {'antispam_pipe_program_spam_args': '-s;-B',
                'antispam_pipe_program_notspam_args': '-n;-B'}
    rounds, limit = 5, 1.5
    sieve_messages, sieve_arguments = 100, ('-s',)

    def count(self, home):
        out = self.run(home, '/usr/bin/bogoutil', '-w',
                       f'{home}/.bogofilter/wordlist.db', '.MSG_COUNT')
        return int(re.search(r'(?m)^\.MSG_COUNT +(\d+)', out)[1])


def filters():
    return [one for one in (SaLearn(), Bogofilter())
            if os.path.exists(one.program)]


class Taught(Queued):
    """Queued, with a real filter."""

    def __init__(self, teacher):
        settings = {name: value for name, value in QUEUED.items()
                    if not name.startswith('antispam_pipe_program')}
        super().__init__('queued', f'{teacher.name}, queued', {
            **settings, **teacher.settings, **NOW,
            'antispam_pipe_program': teacher.program})


class Sieved(Contender):
    """IMAPSieve, with the same program."""

    def __init__(self, teacher):
        super().__init__('sieve', f'{teacher.name}, IMAPSieve', SIEVE,
                         plugin='sieve',
                         sieve=('learn', teacher.sieve_arguments))
        self.teacher = teacher

    def _prepare(self):
        super()._prepare()
        # IMAPSieve's programs have no PATH, which sa-learn wants.
        with open(f'{self.dir}/filter/learn', 'w', encoding='ascii') as file:
            file.write('#!/bin/sh\nPATH=/usr/bin:/bin\nexport PATH\n'
                       f'exec {self.teacher.program} "$@"\n')
        os.chmod(f'{self.dir}/filter/learn', 0o755)


def move(contender, pool, count):
    """Move so many messages of a new user: (ms until OK, user, session)."""
    user = contender.new_user(pool, 'A', count)
    session = measure.Imap(contender.port, user)
    for box in ('SPAM', 'A'):
        session.select(box)
    took = measure.timed(session, b'UID MOVE 1:* SPAM')
    return took, user, session


def finish(session, contender, count):
    if session.count('SPAM') != count:
        raise measure.Void(f'{contender.title}: messages did not arrive')
    session.logout()


def is_done(contender):
    return not queuedir.names(f'{contender.dir}/queue')


def learn_queued(contender, teacher, pool):
    """From the OK until all is learned: milliseconds."""
    _, user, session = move(contender, pool, MESSAGES)
    start = time.perf_counter_ns()
    while not is_done(contender):
        if time.perf_counter_ns() - start > 300e9:
            raise measure.Void(f'{contender.title}: not learned within 300 s')
        time.sleep(0.002)
    took = (time.perf_counter_ns() - start) / 1e6
    finish(session, contender, MESSAGES)
    _check(contender.title, teacher, contender.home(user), MESSAGES)
    return took


def learn_sieved(contender, teacher, pool):
    """As if there were as many messages: milliseconds. It learns before the
    OK."""
    count = teacher.sieve_messages
    took, user, session = move(contender, pool, count)
    finish(session, contender, count)
    _check(contender.title, teacher, contender.home(user), count)
    return took * MESSAGES / count


def learn_floor(teacher, pool, number):
    home = f'{tempdir()}/{teacher.name}.{number}'
    os.mkdir(home)
    os.chown(home, MAIL_UID, MAIL_UID)
    files = [f'{pool.dir}/{i}' for i in pool.pick(MESSAGES)]
    measure.sync()
    took = teacher.learn(home, files)
    _check('floor', teacher, home, MESSAGES)
    return took


def _check(title, teacher, home, count):
    found = teacher.count(home)
    if found != count:
        raise measure.Void(f'{title}: {teacher.name} has learned {found} '
                           f'messages, not {count}')


def run_singles(contender, lessons, pool):
    """From OK to learned, of one message."""
    user = contender.new_user(pool, 'A', SINGLES)
    session = measure.Imap(contender.port, user)
    for box in ('SPAM', 'A'):
        session.select(box)
    found = []
    for number in range(SINGLES):
        measure.timed(session, f'UID MOVE {number + 1} SPAM'.encode())
        start = time.perf_counter_ns()
        count = lessons.take()
        while count == 0 and time.perf_counter_ns() - start < 10e9:
            count = lessons.take()
        found.append((time.perf_counter_ns() - start) / 1e6)
        if count != 1:
            raise measure.Void(f'{contender.title}: {count} lessons, not 1')
        wait_until(lambda: is_done(contender), 10, 'an empty queue')
        time.sleep(PAUSE)
    finish(session, contender, SINGLES)
    return found


def show(results, teachers, singles):
    lines = []
    for one in teachers:
        rows = results.rows[one.name]
        lines.append((f'{one.name}, one run', [
            f'{results.msecs(one.name, "floor") / 1000:.2f} s', 'x1']))
        for key, text in (('queued', 'queued'), ('sieve', 'IMAPSieve')):
            if key in rows[0]:
                lines.append((f'  {text}', [
                    f'{results.msecs(one.name, key) / 1000:.2f} s',
                    spread(results.ratios(one.name, key, 'floor'))]))
    table(f'{MESSAGES} messages, from OK to learned (antispam_queue_delay = '
          '0); of IMAPSieve, which learns before, as if it had so many',
          ['time', 'ratio to one run'], lines)
    low, middle, high = statistics.quantiles(singles, n=4)
    print(f'\nOne message, a program that does nothing, from OK to learned: '
          f'{middle:.1f} ms ({low:.1f}-{high:.1f})')


def run(pool, _sizes, rounds):
    """Returns the goals."""
    results, teachers = Results(), filters()
    lessons = measure.Lessons('nothing')
    single = Queued('single', 'queued, single messages',
                    {**QUEUED, 'antispam_queue_delay': '0'})
    with_sieve = pkg.dovecot_version() < (2, 4)
    with contextlib.ExitStack() as stack:
        stack.enter_context(single)
        singles = run_singles(single, lessons, pool)
        for teacher in teachers:
            queued = stack.enter_context(Taught(teacher))
            sieved = None
            if with_sieve:
                sieved = stack.enter_context(Sieved(teacher))
                sieved.compile_sieve()
            for number in range(min(teacher.rounds, rounds)):
                row = {'queued': learn_queued(queued, teacher, pool),
                       'floor': learn_floor(teacher, pool, number)}
                if sieved is not None:
                    row['sieve'] = learn_sieved(sieved, teacher, pool)
                results.add(teacher.name, [row])
            print(f'throughput: {teacher.name}', file=sys.stderr, flush=True)
    show(results, teachers, singles)
    return [ratio_goal(f'{one.name}, queued to one run of it',
                       results.ratios(one.name, 'queued', 'floor'), one.limit)
            for one in teachers]

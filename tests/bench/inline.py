# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What inline training costs, and what does not train: moves into SPAM and
elsewhere, logins, idle sessions."""

import contextlib
import statistics
import sys

import measure
from contenders import contenders, tempdir
from report import Results, spread, table

# Runs in each round, by messages at a time: small moves vary more.
ORDINARY = {1: 60, 10: 30, 100: 12, 1000: 3}
SPAM = {1: 25, 10: 12, 100: 4, 1000: 1}
LOGINS, SESSIONS = 20, 10


def repeats_of(table, count):
    """Of the nearest smaller size that the table knows."""
    return table[max([size for size in table if size <= count] or [1])]


def move_table(results, title, kind, sizes, everyone):
    lines = []
    for one in everyone:
        if one.key not in results.rows[kind, sizes[0]][0]:
            continue
        if one.plugin == 'none':
            cells = [f'{results.msecs((kind, n), one.key):.2f} ms'
                     for n in sizes]
        else:
            cells = [spread(results.ratios((kind, n), one.key, one.base))
                     for n in sizes]
        lines.append((one.title, cells))
    table(title, [f'N={n}' for n in sizes], lines)


def floor_table(results, sizes):
    """What the goals compare, and what can be reached at all: pipe with few
    messages can't cost less than the move; and the goals' floor neither reads
    a message nor renames a file, which spool2dir must."""
    lines = [(f'  {text}', [f'{results.msecs(("spam", n), f"floor-{mode}"):.2f}'
                            ' ms' for n in sizes])
             for text, mode in (
                 ('write all, one syncfs', 'bare'),
                 ('read, write, syncfs, rename', 'spool'),
                 ('read, write, rename', 'never'))]
    for text, key, base in (
            ('spool2dir / (none + 1st floor)', 'spool',
             ('none', 'floor-bare')),
            ('spool2dir / (none + 2nd floor)', 'spool',
             ('none', 'floor-spool')),
            ('  never / (none + 3rd floor)', 'spool-never',
             ('never', 'floor-never')),
            ('pipe / dovecot-antispam\'s pipe', 'pipe', 'old-pipe'),
            ('none / dovecot-antispam\'s pipe', 'none', 'old-pipe')):
        if base in results.rows['spam', sizes[0]][0] or \
                not isinstance(base, str):
            lines.append((text, [spread(results.ratios(('spam', n), key, base))
                                 for n in sizes]))
    table('Floors, without Dovecot; and ratios to more than no plugin',
          [f'N={n}' for n in sizes], lines)


def goals(results, sizes, everyone, memory):
    """(what, value, limit, format) of all that is promised."""
    found = []

    def ratio(text, what, key, base, limit):
        values = results.ratios(what, key, base)
        if values:
            found.append((text, statistics.median(values), limit, 'x{:.2f}'))

    for n in sizes:
        for key in ('pipe', 'spool'):
            ratio(f'untouched move, {key}, N={n}', ('ordinary', n), key,
                  'none', 1.02)
    if any(one.key == 'old-pipe' for one in everyone):
        for n in sizes:
            ratio(f'pipe to dovecot-antispam\'s pipe, N={n}', ('spam', n),
                  'pipe', 'old-pipe', 0.65)
    for n in sizes:
        ratio(f'spool2dir, mail_fsync=never, N={n}', ('spam', n),
              'spool-never', 'never', 1.9)
    for n in sizes:
        ratio(f'spool2dir to (no plugin + floor), N={n}', ('spam', n), 'spool',
              ('none', 'floor-bare'), 1.2)
    for key in ('pipe', 'spool'):
        ratio(f'login, select, logout, {key}', 'login', key, 'none', 1.04)
    for key in ('pipe', 'spool'):
        found.append((f'PSS of an idle session, {key}', memory[key], 25,
                      '{:+.0f} kB'))
    return found


# Running

def run_rounds(results, everyone, pool, lessons, sizes, rounds):
    by_key = {one.key: one for one in everyone}
    untouched = [by_key[key] for key in
                 ('none', 'pipe', 'spool', 'old-pipe', 'old-spool', 'sieve')
                 if key in by_key]
    visitors = [by_key[key] for key in
                ('none', 'pipe', 'spool', 'old-pipe', 'old-spool', 'sieve')
                if key in by_key]
    seats = [(one, one.new_user(pool, 'INBOX', 100)) for one in visitors]
    # The first session makes the indexes.
    measure.logins(seats, 1)
    for number in range(rounds):
        for n in sizes:
            results.add(('ordinary', n), measure.ordinary(
                untouched, pool, lessons, n, repeats_of(ORDINARY, n)))
            results.add(('spam', n), measure.into_spam(
                everyone, pool, lessons, n, repeats_of(SPAM, n)))
        results.add('login', measure.logins(seats, LOGINS))
        print(f'round {number + 1} of {rounds}', file=sys.stderr, flush=True)
    return visitors


def run_memory(visitors, pool, rounds):
    """{key: kB more than without a plugin}: the median over some turns; of
    "none", what a session has."""
    none, *others = visitors
    # A user's first sessions need more: each pair has the same history.
    users = {one.key: [[who.new_user(pool, 'INBOX', 100)
                        for _ in range(SESSIONS)] for who in (none, one)]
             for one in others}
    found = {one.key: [] for one in visitors}
    for number in range(min(rounds, 3) + 2):
        for one in measure.turns(others):
            base, size = measure.idle_memory((none, one), users[one.key])
            if number > 1:
                found['none'].append(base)
                found[one.key].append(size - base)
    return {key: statistics.median(sizes) for key, sizes in found.items()}


def report(results, everyone, visitors, sizes, memory):
    move_table(results, 'UID MOVE of N messages into SPAM, as a ratio to no '
               'plugin: median (middle half)', 'spam', sizes, everyone)
    floor_table(results, sizes)
    move_table(results, 'The same between two ordinary folders: nothing to '
               'learn', 'ordinary', sizes, everyone)
    lines = []
    for one in visitors:
        login = f'{results.msecs("login", one.key):.2f} ms'
        if one.plugin != 'none':
            login = spread(results.ratios('login', one.key, 'none'))
        size = f'{memory[one.key]:{"" if one.plugin == "none" else "+"}.0f} kB'
        lines.append((one.title, [login, size]))
    table('LOGIN, SELECT INBOX (100 messages), LOGOUT; PSS of an idle session',
          ['session', 'PSS'], lines)


def run(pool, sizes, rounds):
    """Returns the goals."""
    everyone = contenders()
    lessons = measure.Lessons('nothing')
    results = Results()
    with contextlib.ExitStack() as stack:
        for one in everyone:
            stack.enter_context(one)
            one.compile_sieve()
        visitors = run_rounds(results, everyone, pool, lessons, sizes, rounds)
        memory = run_memory(visitors, pool, rounds)
    report(results, everyone, visitors, sizes, memory)
    return goals(results, sizes, everyone, memory)



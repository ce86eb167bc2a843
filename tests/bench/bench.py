# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What the plugin costs, beside no plugin and beside its peers.

Everything is a ratio to a run without the plugin next to it in time: the median
of all such pairs, and in brackets the middle half of them. Milliseconds are of
this machine and of today.
"""

import contextlib
import io
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'it'))

import inline  # noqa: E402
import measure  # noqa: E402
import pkg  # noqa: E402
import queued  # noqa: E402
import report  # noqa: E402
import scale  # noqa: E402
import tap  # noqa: E402
import throughput  # noqa: E402
from contenders import Pool, compile_program, tempdir  # noqa: E402

PARTS = {'inline': inline, 'queue': queued, 'throughput': throughput,
         'scale': scale}


def stop_servers():
    """Wait for them; complain if one did not end well."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        tap.finish()
    if tap.Results.failed:
        raise measure.Void('a Dovecot had trouble:\n' + said.getvalue())


def words(name):
    return os.environ[name].replace(',', ' ').split()


def run(parts, sizes, rounds):
    pool = Pool(f'{tempdir()}/pool', max(1000, *sizes))
    compile_program('floor')
    goals = []
    for part in parts:
        began = time.monotonic()
        goals += PARTS[part].run(pool, sizes, rounds)
        print(f'\n{part}: {time.monotonic() - began:.0f} s, load '
              f'{os.getloadavg()[0]:.1f}', flush=True)
    return goals


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('bench: ended'))
    began = time.monotonic()
    sizes = [int(n) for n in words('SIZES')]
    rounds = int(os.environ['ROUNDS'])
    parts = words('BENCH')
    if not set(parts) <= set(PARTS):
        sys.exit(f'bench: BENCH is some of: {" ".join(PARTS)}')
    try:
        try:
            version = '.'.join(map(str, pkg.dovecot_version()))
            print(f'Dovecot {version}, {rounds} rounds, '
                  f'{os.cpu_count()} processors, load '
                  f'{os.getloadavg()[0]:.1f} at the start')
            goals = run(parts, sizes, rounds)
        finally:
            stop_servers()
    except (measure.Void, AssertionError, tap.Skip) as why:
        # What came first may be the reason for trouble at the end.
        first = why.__context__ or why
        sys.exit(f'bench: VOID: {first}' +
                 ('' if first is why else f'\n{why}'))
    except KeyboardInterrupt:
        sys.exit('bench: interrupted')
    report.print_goals(goals)
    print(f'\n{time.monotonic() - began:.0f} s, load '
          f'{os.getloadavg()[0]:.1f} at the end; every message arrived and '
          'every lesson was queued or taught')


if __name__ == '__main__':
    main()

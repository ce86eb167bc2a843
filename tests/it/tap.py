# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Test results as TAP: one line for each row of each test.

A test is a function marked with @test; it reports its rows with row(). With
arguments, a test file runs only the tests whose names contain one of them.
"""

import signal
import sys
import time
import traceback

_tests = []


class Skip(Exception):
    """Raised by a row that can't be run here; says why."""


class Results:
    count = 0
    failed = 0


def comment(text):
    for line in str(text).rstrip('\n').split('\n'):
        # A control character must not spoil the line or the terminal.
        print('# ' + ''.join(c if c.isprintable() or c == '\t'
                             else repr(c)[1:-1] for c in line))


def report(name, why=None, skip=None):
    """Print one result; why is None for success."""
    Results.count += 1
    name = name.replace('#', '(hash)')
    if why is not None:
        Results.failed += 1
        print(f'not ok {Results.count} - {name}')
        comment(why)
    elif skip is not None:
        print(f'ok {Results.count} - {name} # SKIP {skip}')
    else:
        print(f'ok {Results.count} - {name}')
    sys.stdout.flush()


def row(name, function, *args, **kwargs):
    """Run one row of a test and report it. Returns whether it passed."""
    try:
        function(*args, **kwargs)
    except Skip as why:
        report(name, skip=str(why))
    except AssertionError as why:
        report(name, why=str(why) or _where())
        return False
    except Exception:  # a broken test is a failed one
        report(name, why=traceback.format_exc())
        return False
    else:
        report(name)
    return True


def _where():
    """The failed line of a bare assert."""
    return traceback.format_exc()


def equal(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(
            f'{what}: got {short(got)}, wanted {short(wanted)}')


def short(value):
    text = repr(value)
    if len(text) > 400:
        return f'{text[:200]} ... {text[-100:]} ({len(value)} long)'
    return text


_finishers = []


def at_finish(function):
    """Have function called, and what it reports counted, by finish()."""
    _finishers.append(function)


def finish():
    """Call them all, even if one fails: they clean up."""
    if _finishers:
        try:
            _finishers.pop(0)()
        finally:
            finish()


def test(function):
    _tests.append(function)
    return function


def main():
    """Run the file's tests, print the plan, and exit."""
    wanted = sys.argv[1:]
    began = time.monotonic()
    # The end of a "with" is what stops a server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by SIGTERM'))
    try:
        _run(wanted)
    finally:
        finish()
    print(f'1..{Results.count}')
    print(f'# {time.monotonic() - began:.1f} s, {Results.failed} failed')
    sys.exit(1 if Results.failed else 0)


def _run(wanted):
    for function in _tests:
        if wanted and not any(word in function.__name__ for word in wanted):
            continue
        try:
            function()
        except Skip as why:
            report(function.__name__, skip=str(why))
        except AssertionError as why:
            report(function.__name__, why=str(why) or _where())
        except Exception:
            report(function.__name__, why=traceback.format_exc())

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""make install puts each file where README says, and says that Dovecot must be
restarted; make uninstall removes these and nothing else. What is not below a
DESTDIR happens in a mount namespace, where the directories are temporary."""

import os
import re
import shutil
import stat
import subprocess
import tempfile

import admin
import pkg
import readme
from harness import Skip, equal, main, row, test

MODULES = f'{pkg.LIBDIR}/modules'
MAN = '/usr/share/man'
CONFIG = 'dovecot-config'
RESTART = 'Dovecot takes it up when it is restarted'


def installed():
    """{path: what was built}, by README."""
    found = {}
    for line in readme.script('Install', MODULES).splitlines():
        found[line] = pkg.built_files().get(
            os.path.relpath(line, pkg.LIBDIR),
            f'{pkg.ROOT}/{os.path.basename(line)}')
    return found


def mode(path):
    return 0o755 if os.path.basename(path) == admin.TRAINER else 0o644


class Scratch:
    """A temporary directory, for "with"."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='antispam-it.')
        return self.dir

    def __exit__(self, kind, value, traceback):
        shutil.rmtree(self.dir)


def make(*args, before=(), env=None, code=0):
    """Run make as it was run for the tests; returns what it says."""
    build = os.environ.get('BUILD') or re.sub(
        f'^{re.escape(pkg.ROOT)}/', '', pkg.BUILD)
    # Not the pipe to another make's jobs.
    flags = [flag for flag in os.environ.get('MAKEFLAGS', '').split()
             if not flag.startswith(('-j', '--jobserver'))]
    done = subprocess.run(
        [*before, 'make', f'BUILD={build}', *args], cwd=pkg.ROOT, text=True,
        env={**os.environ, 'MAKEFLAGS': ' '.join(flags), 'LC_ALL': 'C',
             **(env or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=120)
    equal(done.returncode, code, f'make {args}: {done.stdout}')
    return done.stdout


def files_below(directory):
    return sorted(os.path.join(path, name)[len(directory):]
                  for path, _, names in os.walk(directory) for name in names)


def assert_installed(directory, wanted):
    """wanted: {path below the directory: what it is a copy of}"""
    equal(files_below(directory), sorted(wanted), 'files')
    for path, source in wanted.items():
        with open(directory + path, 'rb') as copy, open(source, 'rb') as file:
            equal(copy.read() == file.read(), True, f'{path} is {source}')
        equal(oct(stat.S_IMODE(os.stat(directory + path).st_mode)),
              oct(mode(path)), path)


@test
def destdir():
    with Scratch() as dest:
        row('make install DESTDIR=: what README says', install_below, dest)
        row('make uninstall DESTDIR=: these, and no others', uninstall_below,
            dest)


def install_below(dest):
    make('install', f'DESTDIR={dest}')
    assert_installed(dest, installed())


def uninstall_below(dest):
    others = [f'{os.path.dirname(path)}/lib99_x.so' for path in installed()]
    for other in others:
        with open(dest + other, 'wb'):
            pass
    make('uninstall', f'DESTDIR={dest}')
    equal(files_below(dest), sorted(others), 'files')


# Without DESTDIR: dpkg-query is a script that says whose the files are.

@test
def in_place():
    if os.geteuid() != 0:
        raise Skip('must be run as root')
    with Scratch() as work:
        for name in ('lib', 'man', 'bin'):
            os.mkdir(f'{work}/{name}')
        # make asks it where all goes
        shutil.copy(f'{pkg.LIBDIR}/{CONFIG}', f'{work}/lib')
        row('make install: in place, and what to do then', install_in_place,
            work)
        row('make uninstall', uninstall_in_place, work)
        row("make install: not over a package's file", not_over_package, work)


def make_in_place(work, target, package='', code=0):
    script = f'{work}/bin/dpkg-query'
    with open(script, 'w', encoding='utf-8') as file:
        file.write(f'#!/bin/sh\n{package or "exit 1"}\n')
    os.chmod(script, 0o755)
    return make(target, before=(
        'unshare', '-m', '--propagation', 'unchanged', 'sh', '-c',
        'mount --make-rprivate / 2>/dev/null || :; '
        'mount --bind "$1/lib" "$2" && mount --bind "$1/man" "$3" && '
        'shift 3 && exec "$@"', 'sh', work, pkg.LIBDIR, MAN),
        env={'PATH': f'{work}/bin:{os.environ["PATH"]}'}, code=code)


def found_in_place(work):
    return [place + name for below, place in (('lib', pkg.LIBDIR),
                                              ('man', MAN))
            for name in files_below(f'{work}/{below}')
            if name != f'/{CONFIG}']


def install_in_place(work):
    said = make_in_place(work, 'install')
    equal(sorted(found_in_place(work)), sorted(installed()), 'files')
    equal(RESTART in said, True, said)


def uninstall_in_place(work):
    make_in_place(work, 'uninstall')
    equal(found_in_place(work), [], 'files')


def not_over_package(work):
    said = make_in_place(work, 'install', 'echo "dovecot-antispam: $2"', 2)
    for part in ('belongs to the package dovecot-antispam',
                 'apt-get remove dovecot-antispam'):
        equal(part in said, True, said)
    equal(found_in_place(work), [], 'files')


@test
def plain_make():
    row('make: it builds all that install installs', builds_all)


def builds_all():
    with Scratch() as new:
        said = make(f'BUILD={new}', '-n')
    for path, source in installed().items():
        if source.startswith(pkg.BUILD):
            wanted = f' -o {new}/{os.path.basename(path)} '
            equal(wanted in said, True, f'{wanted} in what make would do')


main()

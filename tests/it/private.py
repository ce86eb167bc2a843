# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What runs beside a private Dovecot, and sees what that sees: accounts that
the machine does not have, and processes that the test ends."""

import os
import signal
import subprocess

from harness import alive, descendants, wait_until


def add_accounts(d, accounts):
    """Have Dovecot, and all that d.enter() and Process start, see these
    accounts and groups: {name: id}. Each has a home, home(d, name)."""
    for name, number in accounts.items():
        make_dir(home(d, name), number)
    for file, line in (('passwd', f'{{0}}:x:{{1}}:{{1}}::{home(d, "{0}")}:'
                        '/bin/sh'), ('group', '{0}:x:{1}:')):
        with open(f'/etc/{file}', encoding='utf-8') as etc:
            lines = [entry for entry in etc.read().splitlines()
                     if entry.split(':')[0] not in accounts]
        lines += [line.format(name, number)
                  for name, number in accounts.items()]
        path = write(f'{d.dir}/{file}.all', '\n'.join(lines) + '\n')
        done = d.enter('mount', '--bind', path, f'/etc/{file}')
        if done.returncode != 0:
            raise AssertionError(f'mount: {done.stderr.decode()}')


def home(d, name):
    return f'{d.dir}/accounts/{name}'


def make_dir(path, uid, mode=0o755):
    os.makedirs(path)
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    return path


def write(path, text, mode=0o644):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, mode)
    return path


class Process:
    """A command beside Dovecot, for "with", which ends it and all it started.

    uid     whose it is; root's if None
    env     added to PATH and LANG
    """

    def __init__(self, d, *command, uid=None, env=None, cwd='/'):
        self.log = f'{d.dir}/{os.path.basename(command[0])}.log'
        drop = [] if uid is None else [
            'setpriv', '--pdeathsig', 'TERM', f'--reuid={uid}',
            f'--regid={uid}', '--clear-groups']
        self.command = [
            'setpriv', '--pdeathsig', 'TERM',
            'nsenter', '-t', str(d.process.pid), '-m', '-r', f'-w{cwd}',
            *drop, *command]
        self.env = {'PATH': '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:'
                    '/usr/bin:/bin', 'LANG': 'C.UTF-8', **(env or {})}

    def __enter__(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        return self

    def __exit__(self, kind, value, traceback):
        below = descendants(self.process.pid)
        self.process.terminate()
        _kill(below, signal.SIGTERM)
        try:
            self.process.wait(5)
            wait_until(lambda: not any(alive(process) for process in below),
                       5, 'the end of what it has started')
        except (subprocess.TimeoutExpired, AssertionError):
            self.process.kill()
            self.process.wait()
            _kill(below, signal.SIGKILL)
            raise AssertionError(f'{self.command}: did not end') from None

    def said(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return file.read()

    def wait_for_watch(self, path):
        """Until it, or what it has started, watches a file by inotify."""
        inode = f'ino:{os.stat(path).st_ino:x} '

        def watches():
            if self.process.poll() is not None:
                raise AssertionError(f'{self.command[-1]} ended: '
                                     + self.said())
            pids = [self.process.pid,
                    *(pid for pid, _ in descendants(self.process.pid))]
            return any(inode in text for pid in pids
                       for text in _inotify(pid))
        wait_until(watches, 10, f'a watch on {path}')


def _kill(processes, number):
    for process in processes:
        try:
            if alive(process):
                os.kill(process[0], number)
        except ProcessLookupError:
            pass


def _inotify(pid):
    """The lines on its inotify watches."""
    found = []
    try:
        for fd in os.listdir(f'/proc/{pid}/fdinfo'):
            with open(f'/proc/{pid}/fdinfo/{fd}', encoding='utf-8') as file:
                found += [line for line in file
                          if line.startswith('inotify ')]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return found

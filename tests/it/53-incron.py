#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""spool2dir and what eats its files, as README sets it up: incron and
inotifywait see each file once and whole, and sa-learn learns from it. incron
hands names to a shell, but a user's name runs nothing."""

import os
import re
import shutil

import pkg
import readme
from harness import (HAM, MAIL_UID, SPAM, Dovecot, Skip, equal, mail, main,
                     row, stored, test, wait_until)
from private import Process, add_accounts, home, make_dir, write

HEADING = 'spool2dir: files for another program'
README_DIR = '/var/spool/antispam'
TEACHER, TEACHER_UID = 'debian-spamd', MAIL_UID + 1
CONF = '''\
system_table_dir = {dir}/system
user_table_dir = {dir}/users
allowed_users = {dir}/allow
denied_users = {dir}/deny
lockfile_dir = {dir}/lock
lockfile_name = incrond
'''
# Keeps what it is called with, and the file that it is called for.
KEEP = '''#!/bin/sh
call=$(mktemp -d "{dir}/.XXXXXX") && cat "$1/$2" >"$call/file" &&
	printf '%s\\000' "$@" >"$call/args" && mv "$call" "$call.done"
'''
HOSTILE = [
    'k$(id>pwn)', 'k`id>pwn`', 'k;id>pwn;', 'k|id>pwn', 'k&id>pwn&',
    ' k id >pwn ', '"$(id>pwn)"', "'$(id>pwn)'", 'k>pwn', '(id>pwn)',
    '../../$(id>pwn)', '{id,pwn}', '~', '*', '-rf', '#', '\\', '!!', '%s%n',
]


def at(found, directory):
    """README's settings with another directory."""
    return {name: value.replace(README_DIR, directory)
            for name, value in found.items()}


def put(d, user, *messages):
    with d.imap(user) as c:
        reply = c.append('INBOX', *messages)
        equal(reply.status, 'OK', str(reply))


def moved(d, user, source, dest):
    with d.imap(user) as c:
        uids = c.select(source)
        reply = c.move(uids, dest)
        equal((reply.status, c.uids()), ('OK', []), str(reply))


def texts(count, what='message'):
    return [mail(f'{what} {number}', f'{what} {number}\r\n' * 50)
            for number in range(count)]


def install(d, line, directory):
    """README's command that makes the directory."""
    command = readme.script(HEADING, 'install -d').splitlines()[line]
    done = d.enter('sh', '-c', command.replace(README_DIR, directory))
    equal((done.returncode, done.stderr), (0, b''), command)


def files(directory):
    return [name for name in os.listdir(directory)
            if not name.startswith('.')]


class Incron:
    """incrond with one table, of the teacher's; for "with"."""

    def __init__(self, d, name, table):
        self.dir = f'{d.dir}/{name}'
        program = pkg.copy_program('incron', 'usr/sbin/incrond',
                                   f'{self.dir}/bin')
        for below in ('system', 'users', 'lock'):
            os.mkdir(f'{self.dir}/{below}')
        conf = write(f'{self.dir}/conf', CONF.format(dir=self.dir))
        write(f'{self.dir}/allow', TEACHER + '\n')
        write(f'{self.dir}/users/{TEACHER}', table + '\n')
        self.watched = table.split()[0]
        # Where its commands run.
        self.work = make_dir(f'{self.dir}/work', TEACHER_UID)
        self.process = Process(
            d, program, '-n', '-f', conf, cwd=self.work,
            env={'LD_LIBRARY_PATH': f'{self.dir}/bin'})

    def __enter__(self):
        self.process.__enter__()
        try:
            self.process.wait_for_watch(self.watched)
        except AssertionError:
            self.process.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *args):
        self.process.__exit__(*args)


class Kept:
    """The calls of KEEP."""

    def __init__(self, d):
        self.dir = make_dir(f'{d.dir}/kept', TEACHER_UID)
        self.program = write(f'{d.dir}/keep', KEEP.format(dir=self.dir),
                             0o755)

    def take(self, count):
        """(arguments, the file), when so many calls have ended."""
        wait_until(lambda: len(self.ended()) >= count, 30, f'{count} calls')
        found = []
        for path in self.ended():
            found.append(tuple(read(f'{path}/{name}')
                               for name in ('args', 'file')))
            shutil.rmtree(path)
        equal(os.listdir(self.dir), [], 'calls that have not ended')
        return found

    def ended(self):
        return [f'{self.dir}/{name}' for name in os.listdir(self.dir)
                if name.endswith('.done')]


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def burst(d, kept, spool):
    messages = texts(200)
    put(d, 'bob', *messages)
    moved(d, 'bob', 'INBOX', 'Junk')
    calls = kept.take(200)
    equal(sorted(file for _, file in calls),
          sorted(stored(message) for message in messages), 'files')
    names = {args for args, _ in calls}
    equal(names, {f'{spool}\0{name}\0'.encode() for name in files(spool)},
          'arguments')
    equal((len(names), len(calls)), (200, 200), 'names and calls')


def hostile(d, kept, incron, user):
    """It is a part of the file's name."""
    before = set(files(incron.watched))
    put(d, user, mail('hostile', user + '\r\n'))
    moved(d, user, 'INBOX', 'Junk')
    added = set(files(incron.watched)) - before
    args, file = kept.take(1)[0]
    equal([f'{incron.watched}\0{name}\0'.encode() for name in added], [args])
    equal(file, stored(mail('hostile', user + '\r\n')), 'file')
    name = added.pop()
    if not re.fullmatch(r'[A-Za-z0-9@._+%-]+', name):
        raise AssertionError(f'a file is called {name!r}')
    equal(os.listdir(incron.work), [], 'what was run')


def hostile_file(d, kept, incron):
    """Such a name does run a command: else the rows before prove nothing."""
    path = write(f'{d.dir}/file', '')
    os.rename(path, f'{incron.watched}/{HOSTILE[0]}')
    wait_until(lambda: os.path.exists(f'{incron.work}/pwn'), 10,
               'what the name of the file runs')


@test
def incron():
    found = readme.settings(HEADING, pkg.dovecot_version())
    pkg.unpacked('incron')
    with Dovecot(settings=at(found, '@DIR@/antispam'), name='incron') as d:
        add_accounts(d, {'vmail': MAIL_UID, TEACHER: TEACHER_UID})
        spool = f'{d.dir}/antispam'
        row("README's directory, of vmail", install, d, 1, spool)
        kept = Kept(d)
        table = f'{spool} IN_MOVED_TO {kept.program} $@ $#'
        with Incron(d, 'incron', table) as running:
            row('incron: 200 messages in one MOVE', burst, d, kept, spool)
            for user in HOSTILE:
                row(f'incron: the user {user!r}', hostile, d, kept, running,
                    user)
            row('incron: such a file runs a command', hostile_file, d, kept,
                running)


# What README teaches with

class Teacher:
    """README's script and the database that it fills."""

    def __init__(self, d, spool):
        self.d, self.spool = d, spool
        self.bin = make_dir(f'{d.dir}/bin', 0)
        text = readme.script(HEADING, '#!/bin/sh')
        self.program = write(f'{self.bin}/antispam-teach',
                             text.replace(README_DIR, spool), 0o755)

    def run(self, *command):
        done = self.d.enter(
            'setpriv', f'--reuid={TEACHER_UID}', f'--regid={TEACHER_UID}',
            '--clear-groups', *command,
            env={'HOME': home(self.d, TEACHER), 'PATH': '/usr/bin:/bin'})
        equal((done.returncode, done.stderr), (0, b''), str(command))
        return done.stdout.decode()

    def counts(self):
        """Messages learned as spam, and as ham, when nothing is left."""
        wait_until(lambda: not files(self.spool), 60,
                   'the end of all files in the spool')
        out = self.run('sa-learn', '--dump', 'magic')
        return tuple(int(re.search(rf'(\d+) +\d+ +non-token data: {name}\n',
                                   out)[1]) for name in ('nspam', 'nham'))


def unfinished(spool):
    """What is not finished stays, however it came there."""
    return write(f'{spool}/.{HAM}.{SPAM}', 'From: x\n\n')


def by_incron(d, teacher):
    """incron does not tell of what was there before."""
    put(d, 'bob', *texts(3, 'early'))
    moved(d, 'bob', 'INBOX', 'Junk')
    hidden = unfinished(teacher.spool)
    table = readme.script(HEADING, README_DIR + ' IN_MOVED_TO').strip()
    table = table.replace(README_DIR, teacher.spool).replace(
        '/usr/local/bin/antispam-teach', teacher.program)
    with Incron(d, 'incron', table):
        equal(len(files(teacher.spool)), 3, 'files before')
        teacher.run(teacher.program)
        equal(teacher.counts(), (3, 0), 'learned at boot')
        put(d, 'bob', *texts(20, 'burst'))
        moved(d, 'bob', 'INBOX', 'Junk')
        equal(teacher.counts(), (23, 0), 'learned by incron')
        moved(d, 'bob', 'Junk', 'Work')
        equal(teacher.counts(), (0, 23), 'learned by incron')
    equal(os.listdir(teacher.spool), [os.path.basename(hidden)], 'left')
    os.unlink(hidden)


def by_inotifywait(d, teacher):
    """First scan, then watch; one second in place of sixty for what comes in
    between."""
    put(d, 'cat', *texts(3, 'first'))
    moved(d, 'cat', 'INBOX', 'SPAM')
    shutil.rmtree(f'{home(d, TEACHER)}/.spamassassin', ignore_errors=True)
    loop = readme.script(HEADING, 'while :').replace(
        README_DIR, teacher.spool).replace('-t 60', '-t 1')
    with Process(d, 'sh', '-c', loop, uid=TEACHER_UID, cwd=teacher.spool,
                 env={'HOME': home(d, TEACHER),
                      'PATH': f'{teacher.bin}:/usr/bin:/bin'}) as watch:
        equal(teacher.counts(), (3, 0), 'scanned')
        watch.wait_for_watch(teacher.spool)
        put(d, 'cat', *texts(30, 'second'))
        moved(d, 'cat', 'INBOX', 'Junk')
        equal(teacher.counts(), (33, 0), 'watched')
        said = re.sub(r'(?m)^Learned tokens from \d+ .*\n', '', watch.said())
        equal(said, '', 'complaints')


@test
def teach():
    if not shutil.which('sa-learn') or not shutil.which('inotifywait'):
        raise Skip('spamassassin or inotify-tools is not installed')
    found = readme.settings(HEADING, pkg.dovecot_version())
    pkg.unpacked('incron')
    with Dovecot(settings=at(found, '@DIR@/antispam'), name='teach') as d:
        add_accounts(d, {'vmail': MAIL_UID, TEACHER: TEACHER_UID})
        spool = f'{d.dir}/antispam'
        row("README's directory, for system accounts", install, d, 0, spool)
        teacher = Teacher(d, spool)
        row("README's antispam-teach, by incron", by_incron, d, teacher)
        row("README's antispam-teach, by inotifywait", by_inotifywait, d,
            teacher)


main()

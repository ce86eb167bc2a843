#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What goes wrong, with every backend that it can go wrong with: the client
gets one honest answer, nothing is half done, and nothing is left behind.

FAULT=name runs only the rows whose names contain that.
"""

import os
import time
from dataclasses import dataclass, field

import mishaps
from faults import (BACKENDS, PROGRAMS, REFUSED, FaultyDovecot, Program, Run,
                    settings_of, user_of)
from harness import MAIL_UID, equal, main, row, test
from mishaps import answer
from pkg import dovecot_version

PIPE, SPOOL, ALL = ('pipe',), ('spool2dir',), tuple(BACKENDS)
KB, MB = 1000, 1000 * 1000
SOME = (0, 0, 0)


@dataclass
class Fault:
    # Also what tests/bin/fault.sh does.
    name: str
    backends: tuple
    # The reason in the log, as a regular expression, or one for each backend;
    # None if all goes well.
    why: object = None
    # Each message's size.
    sizes: tuple = SOME
    settings: dict = field(default_factory=dict)
    # Called with the Run, before its session.
    prepare: tuple = ()
    # What the user does, one after the other ...
    commands: tuple = ('copy', 'move')
    # ... or a function that is called with the Run.
    act: callable = None
    # Which message the log names, and how many were taught before.
    uid: int = 1
    taught: int = 0
    # At least so long, and not much longer.
    seconds: float = 0
    # The program reads no message: its lessons are its runs.
    blind: bool = False
    # How many processes its programs are, if that matters, and how many they
    # leave behind on purpose.
    processes: int = 0
    left: int = 0
    # userdb's home, if the mail lies elsewhere; may be empty.
    home: str = None
    # What the log says at the beginning of the session.
    first: tuple = ()
    # How many messages there are in all, made of those of sizes.
    crowd: int = 0
    dest: str = 'SPAM'


# Preparations

def no_program(run):
    os.unlink(run.program())


def replaced(run, path, text=None):
    """By a file, or by a directory."""
    if os.path.isdir(path):
        os.rmdir(path)
    elif os.path.exists(path):
        os.unlink(path)
    if text is None:
        os.mkdir(path)
        return
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, 0o755)


def directory_as_program(run):
    replaced(run, run.program())


def no_interpreter(run):
    replaced(run, run.program(), '#!/nonexistent/sh -e\n')


def mode(bits):
    return lambda run: os.chmod(run.program(), bits)


def no_spool(run):
    os.rmdir(run.path('spool'))


def closed_spool(run):
    os.chown(run.path('spool'), 0, 0)


def file_as_spool(run):
    replaced(run, run.path('spool'), '')


def dangling_spool(run):
    os.rmdir(run.path('spool'))
    os.symlink(run.path('elsewhere'), run.path('spool'))


def linked_spool(run):
    dangling_spool(run)
    os.mkdir(run.path('elsewhere'))
    os.chown(run.path('elsewhere'), MAIL_UID, MAIL_UID)


def no_tmpdir(run):
    os.rmdir(run.path('tmp'))


def closed_home(run):
    os.mkdir(run.path('home'), 0o700)


def full(name, options='size=128k'):
    return lambda run: run.mount(name, options)


# What users do, and what comes of it

def changes(run):
    """The commands of the row, each with the same outcome."""
    for command in run.fault.commands:
        change(run, command)


def change(run, command):
    fault, before = run.fault, run.all_contents()
    why = fault.why
    if isinstance(why, dict):
        why = why[run.backend.name]
    began = time.monotonic()
    reply = getattr(run.c, command)(['1:*'], fault.dest)
    took = time.monotonic() - began
    run.c.do('NOOP')
    if took < fault.seconds or took > fault.seconds + 3:
        raise AssertionError(f'it took {took:.3f} s')
    if why is None:
        equal(reply.status, 'OK', str(reply))
        count = len(run.messages)
        assert_moved(run, before, command == 'move')
        run.expect(run.learned(count))
    else:
        equal(answer(reply), REFUSED)
        count = fault.taught
        equal(run.all_contents(), before, 'destination and source')
        run.expect(run.failed(why, f'UID {fault.uid} of Work'))
        if count > 0 and not run.backend.undoes:
            run.expect(run.in_vain(count))
        elif run.backend.undoes:
            count = 0
    if fault.blind:
        equal(run.starts(), count * (1 + fault.commands.index(command)))
    else:
        equal(run.lessons(), list(range(count)), 'lessons')
    run.assert_spool()


def assert_moved(run, before, moved):
    dest, source = before
    equal(run.all_contents(), (sorted(dest + source), [] if moved else source),
          'destination and source')


ROWS = [
    # The program
    Fault('missing', PROGRAMS,
          r"/\S+ can't be executed: No such file or directory",
          prepare=(no_program,)),
    Fault('not-executable', PROGRAMS,
          r"/\S+ can't be executed: Permission denied \(uid 12345 needs the "
          r'permission to execute it, and each directory above\)',
          prepare=(mode(0o644),)),
    Fault('a-directory', PROGRAMS,
          r"/\S+ can't be executed: it is not a regular file",
          prepare=(directory_as_program,)),
    Fault('no-interpreter', PROGRAMS,
          r"/\S+ can't be executed: No such file or directory \(the script is "
          r'there, (but )?its interpreter /nonexistent/sh is not\)',
          prepare=(no_interpreter,)),
    Fault('world-writable', PROGRAMS,
          r"/\S+ is refused, since everyone may write to the program's file "
          r'\(mode 0757\): take that away with chmod o-w',
          prepare=(mode(0o757),)),
    Fault('exits-1', PROGRAMS, r'exited with status 1'),
    Fault('exits-75', PROGRAMS, r'exited with status 75'),
    Fault('complains', PROGRAMS,
          r'exited with status 1: \?\[31mred\?\[0m\? [?\ufffd] first'),
    Fault('dies', PROGRAMS, r'killed by signal 9 \(Killed\)'),
    Fault('closes-stdin', PIPE, sizes=(0, 5 * MB), blind=True),
    Fault('floods-stdout', PROGRAMS, {
        'pipe': None,
        'dspam': r'exited with status 0: flood \(what tells that dspam has '
                 r'learned is no output\)',
        'crm114': r'exited with status 0: flood \(without LEARNED AND CACHED '
                  r'it has not learned\)',
    }, commands=('move',)),
    Fault('floods-stderr', PROGRAMS, {
        'pipe': None,
        'dspam': r'exited with status 0: flood \(what tells that dspam has '
                 r'learned is no output\)',
        'crm114': r'.*: flood.*',
    }, commands=('move',)),
    Fault('hangs', PROGRAMS, r'timed out after 1 s .antispam_timeout.',
          seconds=1, processes=3,
          settings={'antispam_timeout': '1s'}, commands=('move',)),
    Fault('ignores-term', PROGRAMS, r'timed out after 1 s .antispam_timeout.',
          seconds=2, processes=3, commands=('move',),
          settings={'antispam_timeout': '1s'}),
    Fault('leaves-a-child', PROGRAMS, processes=6, left=3,
          commands=('move',)),
    Fault('fails-third', PROGRAMS, r'exited with status 1', uid=3, taught=2,
          sizes=(0,) * 10, commands=('move',)),
    Fault('fails-third-in-parallel', PROGRAMS, r'exited with status 1',
          sizes=(0,) * 10, settings={'antispam_max_parallel': '4'},
          act=mishaps.fails_in_parallel),
    Fault('exits-1-append', PIPE, r'exited with status 1',
          settings={'antispam_allow_append_to_spam': 'yes'},
          act=mishaps.appends),

    # Directories
    Fault('no-home', PROGRAMS, home='{place}/home'),
    Fault('closed-home', PROGRAMS, home='{place}/home',
          prepare=(closed_home,),
          first=(r'Error: chdir\(\S+/home/?\) failed: Permission denied .*',)),
    Fault('homeless', PROGRAMS, home='',
          first=(r'Warning: antispam: .*\bhome\b.*',)),
    Fault('no-spool', SPOOL, prepare=(no_spool,),
          why=r'antispam_spool2dir_spam: open\(\S+/spool/\) failed: No such '
              r'file or directory; create the directory, writable for the '
              r'users'),
    Fault('closed-spool', SPOOL, prepare=(closed_spool,),
          why=r'.*make the directory writable for the users'),
    Fault('file-as-spool', SPOOL, prepare=(file_as_spool,),
          why=r'antispam_spool2dir_spam: open\(\S+/spool/\) failed: Not a '
              r'directory; create the directory, writable for the users'),
    Fault('dangling-spool', SPOOL, prepare=(dangling_spool,),
          why=r'antispam_spool2dir_spam: open\(\S+/spool/\) failed: .*; '
              r'create the directory, writable for the users'),
    Fault('linked-spool', SPOOL, prepare=(linked_spool,)),
    Fault('full-spool', SPOOL, prepare=(full('spool'),), sizes=(5 * MB,),
          why=r'antispam_spool2dir_spam: write\(\S+\) failed: No space left '
              r'on device; make room on its file system'),
    Fault('spool-fills', SPOOL, prepare=(full('spool'),), uid=4, taught=3,
          sizes=(40 * KB,) * 10,
          why=r'antispam_spool2dir_spam: write\(\S+\) failed: No space left '
              r'on device; make room on its file system'),
    Fault('no-inodes', SPOOL, prepare=(full('spool', 'nr_inodes=4'),), uid=4,
          taught=3, sizes=(0,) * 10,
          why=r'antispam_spool2dir_spam: openat\(\S+\) failed: No space left '
              r'on device; make room on its file system'),
    Fault('no-tmpdir', PIPE, prepare=(no_tmpdir,), sizes=(300 * KB,),
          why=r"can't create a temporary file in \S+/tmp: No such file or "
              r'directory'),
    Fault('no-tmpdir-needed', PIPE, prepare=(no_tmpdir,), sizes=(100 * KB,)),
    Fault('full-tmpdir', PIPE, prepare=(full('tmp'),), sizes=(5 * MB,),
          why=r"can't write to a temporary file in \S+/tmp: No space left on "
              r'device'),
    Fault('tmpdir-fills', PIPE, prepare=(full('tmp'),), uid=3,
          sizes=(100 * KB,) * 10,
          why=r"can't write to a temporary file in \S+/tmp: No space left on "
              r'device'),
    Fault('full-tmpdir-append', PIPE, prepare=(full('tmp'),), sizes=(5 * MB,),
          why=r"can't write to a temporary file in \S+/tmp: No space left on "
              r'device', act=mishaps.appends,
          settings={'antispam_allow_append_to_spam': 'yes'}),

    # Meanwhile
    Fault('source-expunged', ALL, act=mishaps.source_expunged),
    Fault('source-file-removed', ALL, act=mishaps.source_file_removed),
    Fault('source-expunged-in-a-race', ALL, sizes=(0,) * 12,
          act=mishaps.source_expunged_in_a_race),
    Fault('destination-deleted', ALL, act=mishaps.destination_deleted,
          settings={'antispam_spam': 'Doomed'}),
    Fault('waits-destination-deleted', PROGRAMS, dest='Doomed',
          act=mishaps.destination_deleted_meanwhile,
          settings={'antispam_spam': 'Doomed'}),
    Fault('destination-deleted-while-spooling', SPOOL, dest='Doomed',
          sizes=(1 * KB,) * 10, crowd=3000,
          settings={'antispam_spam': 'Doomed'},
          act=mishaps.destination_deleted_while_spooling),
    Fault('waits-client-leaves', PROGRAMS, sizes=(0,) * 5,
          act=mishaps.client_leaves_program),
    Fault('client-leaves', SPOOL, sizes=(1 * KB,) * 10, crowd=3000,
          act=mishaps.client_leaves_spool),
    Fault('killed-while-spooling', SPOOL, sizes=(30 * MB,),
          act=mishaps.killed_while_spooling),
    Fault('killed-before-commit', ALL, act=mishaps.killed_before_commit),
    Fault('waits-killed', PROGRAMS, act=mishaps.killed_while_a_program_runs),

    # Very many messages
    Fault('crowd', SPOOL, sizes=(1 * KB,) * 10, crowd=20000,
          act=mishaps.crowd),
    Fault('crowd', PIPE, sizes=(10 * KB,) * 10, crowd=2000, blind=True,
          settings={'antispam_max_parallel': '4',
                    'antispam_pipe_program': '/bin/true'},
          act=mishaps.crowd),
]
# A quota of three messages.
QUOTA_ROWS = [
    Fault('quota', ALL, sizes=(0, 0), commands=('copy',),
          act=mishaps.quota_refuses),
]


def one(d, backend, fault):
    run = Run(d, backend, fault)
    try:
        run.make()
        run.expect(*fault.first)
        with run.session():
            (fault.act or changes)(run)
        run.assert_log()
        assert_ended(run)
    finally:
        run.clean_up()


def assert_ended(run):
    fault = run.fault
    if isinstance(run.backend, Program):
        if fault.processes:
            equal(len(run.started()), fault.processes, 'processes in all')
        equal(run.end_left(), fault.left, 'left behind')
        run.assert_gone()


def matrix(rows, **options):
    """Run these rows, each as a user of its own."""
    only = os.environ.get('FAULT', '')
    pairs = [(backend, fault) for fault in rows for backend in fault.backends
             if only in fault.name]
    version = dovecot_version()
    users = {user_of(backend, fault): settings_of(backend, fault, version)
             for backend, fault in pairs}
    with FaultyDovecot(users=users, **options) as d:
        for backend, fault in pairs:
            row(f'{fault.name}: {backend}', one, d, backend, fault)


@test
def every_fault():
    matrix(ROWS, name='faults')


@test
def every_fault_with_a_quota():
    matrix(QUOTA_ROWS, name='faults, with a quota', plugins=['quota'])


main()

# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The measurements. Contenders take turns, one run each; what a run should have
done is counted afterwards, and if it has not, the bench is void."""

import base64
import ctypes
import os
import socket
import subprocess
import time

from contenders import compile_program, tempdir
from harness import wait_until
from imap import Imap

FLOORS = ('bare', 'spool', 'never')
LIBC = ctypes.CDLL(None, use_errno=True)


class Void(Exception):
    """A run did not do what it was to do."""


class Lessons:
    """Compiles a do-nothing program of that name, and counts what it was called
    for."""

    def __init__(self, name, slow=None):
        path = f'{tempdir()}/{name}.lessons'
        flags = ['-nostartfiles'] if slow is None else [f'-DSLOW="{slow}"']
        compile_program('nothing', '-static', *flags, f'-DCOUNTER="{path}"',
                        output=name)
        if not os.path.exists(path):
            os.mkfifo(path)
        os.chmod(path, 0o622)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def take(self):
        count = 0
        while True:
            try:
                count += len(os.read(self.fd, 65536))
            except BlockingIOError:
                return count


def sync():
    """Let nothing of the last run be written in the next one's time."""
    fd = os.open(tempdir(), os.O_RDONLY)
    try:
        if LIBC.syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), 'syncfs')
    finally:
        os.close(fd)


def timed(session, command):
    """Send a command and wait for its tagged OK; returns milliseconds. Nothing
    else is done with the answer meanwhile."""
    sock, data = session.sock, b''
    sync()
    start = time.perf_counter_ns()
    sock.sendall(b'timed ' + command + b'\r\n')
    while not (data.endswith(b'\r\n') and
               data[data.rfind(b'\r\n', 0, -2) + 1:].lstrip()
               .startswith(b'timed ')):
        chunk = sock.recv(65536)
        if not chunk:
            raise Void(f'the server closed the session at {command!r}')
        data += chunk
    took = time.perf_counter_ns() - start
    last = data[data.rfind(b'\r\n', 0, -2) + 1:].strip()
    if not last.startswith(b'timed OK'):
        raise Void(f'{command!r} was answered: {last!r}')
    return took / 1e6


class Seat:
    """One contender's user and session for one round."""

    def __init__(self, contender, pool, count):
        self.contender, self.pool, self.count = contender, pool, count
        self.user = contender.new_user(pool, 'A', count)
        self.session = Imap(contender.port, self.user)
        # Selecting makes them.
        for box in ('B', 'SPAM', 'Trash', 'A'):
            self.session.select(box)

    def close(self):
        self.session.logout()

    def move(self, target, timed_=False):
        """Move all of the selected folder, and select the target."""
        session = self.session
        if timed_:
            took = timed(session, f'UID MOVE 1:* {target}'.encode())
        else:
            took = None
            session.do('UID MOVE 1:*', target)
        uids = session.select(target)
        if len(uids) != self.count:
            raise Void(f'{self.contender.title}: {len(uids)} of {self.count} '
                       f'messages arrived in {target}')
        return took

    def taught(self, lessons, before):
        """Check that one move into SPAM has taught all, or one elsewhere
        nothing: before = None."""
        who = self.contender
        wanted = 0 if before is None else self.count
        calls = lessons.take()
        if calls != (wanted if who.runs_programs else 0):
            raise Void(f'{who.title}: {calls} of {wanted} programs ran')
        if before is None or not who.spools:
            return
        sizes = sorted(before + self.pool.sizes_of(self.count))
        spooled = who.spooled(self.user)
        if spooled != sizes:
            raise Void(f'{who.title}: {len(spooled) - len(before)} of '
                       f'{wanted} messages are in the spool, or their sizes '
                       'are wrong')


def turns(seats):
    """The seats in another order each time."""
    turns.count += 1
    first = turns.count % len(seats)
    return seats[first:] + seats[:first]


turns.count = 0


def ordinary(contenders, pool, lessons, count, repeats):
    """Moves to and fro between two ordinary folders: [{key: ms}]."""
    seats = [Seat(one, pool, count) for one in contenders]
    found = []
    for number in range(repeats):
        target = 'B' if number % 2 == 0 else 'A'
        found.append({seat.contender.key: seat.move(target, True)
                      for seat in turns(seats)})
    for seat in seats:
        seat.taught(lessons, None)
        if seat.contender.spools and seat.contender.spooled(seat.user):
            raise Void(f'{seat.contender.title}: an ordinary move was learned')
        seat.close()
    return found


def into_spam(contenders, pool, lessons, count, repeats):
    """Moves into SPAM, and the floors: [{key: ms}]. From there the way back
    leads through Trash, which teaches nothing."""
    seats = [Seat(one, pool, count) for one in contenders]
    found = []
    for number in range(repeats):
        row = {}
        for seat in turns(seats):
            before = seat.contender.spooled(seat.user)
            row[seat.contender.key] = seat.move('SPAM', True)
            seat.taught(lessons, before)
            if number + 1 < repeats:
                seat.move('Trash')
                seat.move('A')
                seat.taught(lessons, None)
        for mode in FLOORS:
            row[f'floor-{mode}'] = floor(mode, pool, count)
        found.append(row)
    for seat in seats:
        seat.close()
    return found


def floor(mode, pool, count):
    """What a spool costs without Dovecot, see floor.c: milliseconds."""
    floor.runs += 1
    directory = f'{tempdir()}/floor.{floor.runs}'
    os.mkdir(directory)
    sync()
    done = subprocess.run(
        [f'{tempdir()}/floor', mode, directory, pool.dir,
         *(str(number) for number in pool.pick(count))],
        check=True, capture_output=True)
    return int(done.stdout) / 1000


floor.runs = 0


# Login and memory

def session(port, user):
    """LOGIN, SELECT INBOX, LOGOUT: milliseconds."""
    plain = base64.b64encode(b'\0%s\0pw' % user.encode())
    steps = (b'a AUTHENTICATE PLAIN ' + plain, b'b SELECT INBOX', b'c LOGOUT')
    start = time.perf_counter_ns()
    with socket.create_connection(('127.0.0.1', port), 60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = sock.makefile('rb')
        file.readline()
        for step in steps:
            sock.sendall(step + b'\r\n')
            line = file.readline()
            while line and line[:2] != step[:2]:
                line = file.readline()
            if not line.startswith(step[:2] + b'OK'):
                raise Void(f'{step[2:]!r} was answered: {line!r}')
        file.read()
        file.close()
    return (time.perf_counter_ns() - start) / 1e6


def logins(seats, repeats):
    """seats: (contender, user) pairs. [{key: ms}]"""
    found = []
    for _ in range(repeats):
        found.append({one.key: session(one.port, user)
                      for one, user in turns(seats)})
    return found


def idle_memory(pair, users):
    """Mean PSS of an idle session of each contender of a pair, kB. Both have
    theirs at once: what all on this machine share is then the same for both.
    users: the names of each one's."""
    sessions = []
    for one, names in zip(pair, users):
        wait_until(lambda who=one: not who.imap_pids(), 20,
                   'the end of sessions')
        sessions += [Imap(one.port, user) for user in names]
    for session_ in sessions:
        session_.select('INBOX')
    # What a process does behind its answer.
    time.sleep(0.1)
    found = [mean_pss(one, len(names)) for one, names in zip(pair, users)]
    for session_ in sessions:
        session_.logout()
    return found


def mean_pss(contender, count):
    pids = contender.imap_pids()
    if len(pids) != count:
        raise Void(f'{contender.title}: {len(pids)} processes for {count} '
                   'sessions')
    check_plugin(contender, pids[0])
    return sum(pss(pid) for pid in pids) / count


def pss(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        for line in file:
            if line.startswith('Pss:'):
                return int(line.split()[1])
    raise Void(f'/proc/{pid}/smaps_rollup has no Pss')


def check_plugin(contender, pid):
    """It has the plugin that it is said to have."""
    with open(f'/proc/{pid}/maps', encoding='ascii') as file:
        maps = file.read()
    for name, plugins in (('antispam', ('ours', 'old')),
                          ('imap_sieve', ('sieve',))):
        loaded = f'_{name}_plugin.so' in maps
        if loaded != (contender.plugin in plugins):
            raise Void(f'{contender.title}: the plugin {name} is '
                       + ('loaded' if loaded else 'not loaded'))

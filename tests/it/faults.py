# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What the fault matrix needs: backends whose lessons can be read, a place for
each row's program and files, and a look at an imap process from outside."""

import hashlib
import os
import re
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pkg
from tap import comment
from harness import (BROKEN, HAM, HARMLESS, MAIL_UID, SPAM, Dovecot, Skip,
                     alive, descendants, equal, mail, stored, wait_until)

# Dovecot takes the full stop for the time it took.
REFUSED = ('NO', 'UNAVAILABLE', 'The spam filter could not be taught; nothing '
           'was moved. Please try again later')


class FaultyDovecot(Dovecot):
    """One whose processes may be killed, if the test says so."""

    def assert_sound(self):
        broken = [line for line in self.log(BROKEN)
                  if line not in self.expected]
        if broken:
            raise AssertionError('a process broke:\n' + '\n'.join(broken))
        if self.faults():
            raise AssertionError('unexpected faults:\n'
                                 + '\n'.join(self.faults()))


# Backends. Each says where its lessons are and which message is which.

def message(number, size=0):
    """As a client sends it, with the marks of both filters."""
    text = mail(f'fault {number}', 'Hello.\r\n')
    marks = (f'X-DSPAM-Signature: sig-{number}\r\n'
             f'X-CRM114-CacheID: sfid-20261121_072652_{number}_0A\r\n')
    text = marks.encode() + text
    line = b'%08d Line upon line, until there are enough of them.\r\n' % number
    return text + line * (max(0, size - len(text)) // len(line))


@dataclass
class Program:
    """A backend that runs a program."""
    name: str
    # The program's file name, and what it does if it does not go wrong.
    program: str
    fake: str
    # Settings; {place} and {user} are filled in.
    settings: dict
    # What makes a place ready, and what reads its lessons, once.
    make: callable
    take: callable
    # A lesson that was taught stays taught.
    undoes: bool = False


@dataclass
class Spool:
    """The backend that writes files."""
    name: str
    settings: dict
    make: callable
    take: callable
    undoes: bool = True


def _mkdirs(*paths):
    for path in paths:
        os.makedirs(path, exist_ok=True)
        os.chown(path, MAIL_UID, MAIL_UID)


def _touch(*paths):
    for path in paths:
        with open(path, 'wb'):
            os.chown(path, MAIL_UID, MAIL_UID)


def _read(path):
    with open(path, 'rb') as file:
        return file.read()


def _which(run, text):
    """The number of the message that is exactly this text."""
    if text not in run.stored:
        raise AssertionError(f'taught {len(text)} bytes that are none of the '
                             f'messages: {text[:200]!r}')
    return run.stored.index(text)


def _make_pipe(run):
    _mkdirs(run.path('calls'), run.path('tmp'))


def _take_pipe(run):
    found = []
    for name in os.listdir(run.path('calls')):
        call = run.path('calls', name)
        if os.path.exists(call + '/done') and _read(call + '/done') == b'0\n':
            what = SPAM if b'\0--spam\0' in _read(call + '/argv') else HAM
            found.append((what, _which(run, _read(call + '/stdin'))))
        shutil.rmtree(call)
    return found


def _take_lines(run, numbers):
    """The lessons of a fake that keeps a line for each."""
    path, found = run.path('lessons'), []
    for name in os.listdir(run.path('calls')):
        shutil.rmtree(run.path('calls', name))
    if os.path.exists(path):
        for line in _read(path).decode().splitlines():
            words = line.split()
            what = SPAM if words[0] == 'spam' else HAM
            found.append((what, int(re.fullmatch(numbers, words[-1])[1])))
        os.unlink(path)
    return found


def _make_dspam(run):
    _mkdirs(run.path('calls'), run.path('signatures'))
    _touch(*(run.path('signatures', f'sig-{i}')
             for i in range(len(run.stored))))


def _take_dspam(run):
    return _take_lines(run, r'sig-(\d+)')


def _make_crm114(run):
    texts = run.path('cache/reaver_cache/texts')
    _mkdirs(run.path('calls'), run.path('cache'),
            run.path('cache/reaver_cache'), texts)
    _touch(run.path('cache/mailfilter.cf'),
           *(f'{texts}/20261121_072652_{i}_0A'
             for i in range(len(run.stored))))


def _take_crm114(run):
    return _take_lines(run, r'20261121_072652_(\d+)_0A')


def _make_spool(run):
    _mkdirs(run.path('spool'))


def _take_spool(run):
    found = []
    spool = run.seen('spool')
    if not os.path.isdir(spool):
        return found
    for name in sorted(os.listdir(spool)):
        if name.startswith('.'):
            continue
        what = SPAM if name.endswith('.spam') else HAM
        found.append((what, _which(run, _read(f'{spool}/{name}'))))
        os.unlink(f'{spool}/{name}')
    return found


BACKENDS = {backend.name: backend for backend in (
    Program('pipe', 'filter', 'record.sh', {
        'antispam_pipe_program': '{place}/filter',
        'antispam_pipe_program_spam_arg': '--spam',
        'antispam_pipe_program_notspam_arg': '--ham',
        'antispam_pipe_tmpdir': '{place}/tmp',
    }, _make_pipe, _take_pipe),
    Program('dspam', 'dspam', 'fake-dspam.sh', {
        'antispam_dspam_binary': '{place}/dspam',
        'antispam_dspam_args': '--user;{user}',
    }, _make_dspam, _take_dspam),
    Program('crm114', 'mailreaver.crm', 'fake-mailreaver.sh', {
        'antispam_crm_binary': '{place}/mailreaver.crm',
        'antispam_crm_args': '-u;{place}/cache',
    }, _make_crm114, _take_crm114),
    Spool('spool2dir', {
        'antispam_spool2dir_spam': '{place}/spool/%%020lu-%%05lu.spam',
        'antispam_spool2dir_notspam': '{place}/spool/%%020lu-%%05lu.ham',
    }, _make_spool, _take_spool),
)}
PROGRAMS = tuple(name for name, backend in BACKENDS.items()
                 if isinstance(backend, Program))


# A look at a process from outside.

class Watched:
    """The imap process of the user's newest session."""

    def __init__(self, d, user, sessions=1):
        login = (r'imap-login: Info: (Login|Logged in): '
                 rf'user=<{re.escape(user)}>, ')
        # The log may be behind.
        wait_until(lambda: len(d.log(login)) >= sessions, 10,
                   'the login in the log')
        self.pid = int(re.search(r'mpid=(\d+)', d.log(login)[-1])[1])
        self.home = d.dir + '/home/'

    def fds(self):
        """What its descriptors point to, but for Dovecot's index files, which
        come and go."""
        return sorted(
            link for link in self.all_fds()
            if not (self.home in link and
                    os.path.basename(link).startswith('dovecot')))

    def all_fds(self):
        found = []
        for name in os.listdir(f'/proc/{self.pid}/fd'):
            try:
                found.append(os.readlink(f'/proc/{self.pid}/fd/{name}'))
            except FileNotFoundError:
                pass
        return found

    def children(self):
        """Zombies included."""
        return descendants(self.pid)

    def memory(self, field):
        """VmRSS, VmHWM ... in bytes."""
        text = _read(f'/proc/{self.pid}/status').decode()
        return int(re.search(rf'^{field}:\s*(\d+) kB', text, re.M)[1]) * 1024

    def forget_peak(self):
        """Let VmHWM begin anew."""
        with open(f'/proc/{self.pid}/clear_refs', 'w', encoding='ascii') as f:
            f.write('5')

    def kill(self, sig):
        os.kill(self.pid, sig)

    def ends(self):
        """Wait for its end."""
        wait_until(lambda: not os.path.exists(f'/proc/{self.pid}'), 10,
                   'the end of the imap process')


class Peak:
    """The most of something while a "with" lasts, sampled every 2 ms."""

    def __init__(self, sample):
        self.sample = sample
        self.value = 0

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._sample)
        self.thread.start()
        return self

    def _sample(self):
        while not self.stop.wait(0.002):
            self.value = max(self.value, self.sample())

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


# One row of the matrix.

class Run:
    """A row's user, directory, messages and session."""

    def __init__(self, d, backend, fault):
        self.d, self.fault = d, fault
        self.backend = BACKENDS[backend]
        self.user = user_of(backend, fault)
        self.place = place_of(d.dir, backend, fault)
        self.messages = [message(i, size)
                         for i, size in enumerate(fault.sizes)]
        self.stored = [stored(text) for text in self.messages]
        self.lines, self.some = [], []
        self.sessions, self.broken, self.watched = 0, None, None

    def path(self, *names):
        return os.path.join(self.place, *names)

    def seen(self, *names):
        """The same as this Dovecot sees it: a mount may cover it."""
        return f'/proc/{self.d.process.pid}/root' + self.path(*names)

    # Making it ready

    def make(self):
        _mkdirs(self.place)
        self.backend.make(self)
        if isinstance(self.backend, Program):
            _mkdirs(self.path('starts'))
            self.copy_program(self.backend.fake, 'fake')
            self.copy_program('fault.sh', self.backend.program)
        for prepare in self.fault.prepare:
            prepare(self)
        with self.d.fill(self.user) as c:
            equal(c.append('Work', *self.messages).status, 'OK')

    def program(self):
        return self.path(self.backend.program)

    def copy_program(self, source, name):
        shutil.copy(f'{pkg.ROOT}/tests/bin/{source}', self.path(name))
        os.chmod(self.path(name), 0o755)

    def mount(self, name, options):
        """Mount a small file system of this Dovecot's own; it ends with it."""
        _mkdirs(self.path(name))
        done = self.d.enter('mount', '-t', 'tmpfs', '-o',
                            f'{options},mode=1777', 'tmpfs', self.path(name))
        if done.returncode != 0:
            raise Skip('no file system can be mounted here: '
                       + ' '.join(done.stderr.decode(errors='replace')
                                  .split()))

    # The session

    @contextmanager
    def session(self):
        """A session in Work, and what must be true after it."""
        with self.d.imap(self.user) as c:
            self.sessions += 1
            self.c = c
            self.watched = watched = Watched(self.d, self.user, self.sessions)
            c.select('Work')
            c.count('SPAM')
            before = watched.fds()
            yield c
            if c is not self.broken:
                c.do('NOOP')
                equal(watched.children(), [], 'children of the imap process')
                now = watched.fds()
                equal([fd for fd in now if fd not in before], [],
                      'new descriptors')
                equal(len(now), len(before), 'descriptors')

    def end(self):
        """The client has gone; wait for the imap process to do so."""
        self.broken = self.c
        self.watched.ends()

    def kill(self):
        """The imap process, at once."""
        self.watched.kill(signal.SIGKILL)
        self.end()
        killed = (rf'Fatal: master: service\(imap\): child '
                  rf'{self.watched.pid} killed with signal 9')
        wait_until(lambda: self.d.log(killed), 10, 'its end in the log')
        self.expect(killed)

    @contextmanager
    def command(self, name='copy'):
        """Start a command on all messages; its Reply, or an AssertionError if
        the session broke, is the future's."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(getattr(self.c, name), ['1:*'],
                              self.fault.dest)

    def contents(self, folder):
        """(size, subject) of each message, sorted; folder is selected."""
        self.c.select(folder)
        reply = self.c.do('UID FETCH 1:* (RFC822.SIZE '
                          'BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
        found = []
        for line, literals in reply.untagged:
            size = re.search(rb'RFC822\.SIZE (\d+)', line)
            if size is not None:
                found.append((int(size[1]), literals[0].strip()))
        return sorted(found)

    def all_contents(self):
        return self.contents(self.fault.dest), self.contents('Work')

    # What came of it

    def lessons(self):
        """The numbers of the messages that were taught since the last time;
        all as what they are."""
        found = self.backend.take(self)
        for what, _ in found:
            equal(what, SPAM, 'taught as')
        return sorted(number for _, number in found)

    def assert_spool(self, hidden=0):
        """No file but a lesson; how many hidden ones there are."""
        if isinstance(self.backend, Program):
            return
        spool = self.seen('spool')
        names = os.listdir(spool) if os.path.isdir(spool) else []
        equal([name for name in names if not name.startswith('.')], [],
              'visible files')
        equal(len(names), hidden, f'hidden files, {names}')

    def started(self):
        """The processes that the program was, and those that it started, as
        (pid, start time)."""
        found = []
        if not os.path.isdir(self.path('starts')):
            return found
        for name in os.listdir(self.path('starts')):
            path = self.path('starts', name, 'stat')
            text = _read(path) if os.path.exists(path) else b''
            for line in text.splitlines():
                rest = line.decode().rsplit(') ', 1)[1].split()
                found.append((int(line.split()[0]), rest[19]))
        return found

    def starts(self):
        return len(os.listdir(self.path('starts')))

    def has_started(self):
        return len(self.started()) > 0

    def assert_gone(self):
        """No process of the program is left."""
        wait_until(lambda: not any(alive(p) for p in self.started()), 2,
                   'the end of all that the program started')

    def end_left(self):
        """End what a program has left behind on purpose."""
        left = [process for process in self.started() if alive(process)]
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
        return len(left)

    def clean_up(self):
        """After a failure, too: leave nothing that hangs."""
        if isinstance(self.backend, Program):
            self.end_left()
        if self.watched is not None:
            with suppress(ProcessLookupError):
                self.watched.kill(signal.SIGCONT)

    def expect_some(self, line):
        """That may stand between the others, and does at least once."""
        self.some.append(line)

    def expect(self, *lines):
        """What the log is to say next: regular expressions for whole lines,
        without their beginning up to the severity."""
        self.lines += lines

    def note(self, text):
        """Figures, for people."""
        comment(f'{self.user}: {text}')

    def assert_log(self):
        """The log has said exactly that of this user, whose sessions have
        ended. That of a session which did not log out may be late."""
        matched = self._matched_log
        try:
            wait_until(lambda: matched() is None, 2, 'the log')
        except AssertionError:
            raise AssertionError(matched()) from None

    def _matched_log(self):
        """None, or what is wrong."""
        start = re.compile(rf' imap\({re.escape(self.user)}\)<\d+><[^>]*>: ')
        found = []
        for line in self.d.log(start.pattern):
            text = line[start.search(line).end():]
            if HARMLESS.search(text) or ': Disconnected' in text:
                continue
            self.d.expected.add(line)
            found.append(text)
        rest = [text for text in found if not any(
            re.fullmatch(wanted, text) for wanted in self.some)]
        some = all(any(re.fullmatch(wanted, text) for text in found)
                   for wanted in self.some)
        if some and len(rest) == len(self.lines) and all(
                re.fullmatch(wanted, text)
                for wanted, text in zip(self.lines, rest)):
            return None
        if len(found) > 20:
            found[10:-10] = [f'... {len(found) - 20} more ...']
        return '\n  '.join(['the log has', *found, 'and not', *self.lines,
                            *(f'{text}, several times' for text in self.some)])

    # Expected lines

    def failed(self, why, origin='UID 1 of Work'):
        return (rf'Error: antispam: learn\(spam\) with {self.backend.name} '
                rf'failed: {why} \(message: {origin}, to folder: '
                rf'{self.fault.dest}\)')

    def learned(self, count):
        return (f'Info: antispam: {count} learned as spam by '
                f'{self.backend.name}')

    def in_vain(self, count):
        """Lessons that can't be taken back."""
        return (f'Warning: antispam: nothing was moved, but '
                f'{self.backend.name} had already taken lessons: {count} '
                f'learned as spam by {self.backend.name}')


def user_of(backend, fault):
    return f'{backend}-{fault.name}'


def place_of(directory, backend, fault):
    return f'{directory}/faults/{backend}/{fault.name}'


def settings_of(backend, fault, version):
    """A user's own settings, for Dovecot(users=)."""
    place, user = place_of('@DIR@', backend, fault), user_of(backend, fault)
    settings = {'antispam_backend': backend, **BACKENDS[backend].settings,
                'antispam_max_parallel': '1', **fault.settings}
    settings = {name: value.replace('{place}', place).replace('{user}', user)
                for name, value in settings.items()}
    if fault.home is not None:
        # The mail stays where a session without the plugin looks for it.
        digest = hashlib.md5(user.encode(), usedforsecurity=False).hexdigest()
        where = f'@DIR@/home/{digest}/mail'
        settings['home'] = fault.home.replace('{place}', place)
        settings.update({'mail_path': where} if version >= (2, 4)
                        else {'mail': f'maildir:{where}'})
    return settings

# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The queue from outside: what lies there, what its reader did with it, and
transactions made by hand."""

import os
import re
import signal
import socket
import tempfile
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import conf
from harness import (PIPE, Dovecot, alive, descendants, read_stat, short,
                     wait_until)

# To queue lessons for the program that records them.
QUEUED = {
    **PIPE,
    'antispam_training': 'queued',
    'antispam_queue_dir': '@DIR@/queue',
    'antispam_queue_delay': '500ms',
}
END_SIZE = 45


@dataclass
class Job:
    """A line of a job file."""
    what: str = 'spam'
    origin_class: str = 'other'
    to_class: str = 'spam'
    # "-", "." or the name of a file.
    source: str = '.'
    offset: int = 0
    size: int = 0
    guid: str = ''
    signature: str = ''
    folder: str = 'SPAM'
    origin: str = 'UID 1 of Work'

    def line(self):
        return '\t'.join(['job', self.what, self.origin_class, self.to_class,
                          self.source, str(self.offset), str(self.size),
                          *(escaped(text) for text in (
                              self.guid, self.signature, self.folder,
                              self.origin))]) + '\n'


@dataclass
class Transaction:
    """A directory of the queue."""
    path: str
    user: str = ''
    jobs: list = field(default_factory=list)

    def message(self, job):
        """What lies there as the message of one of its jobs."""
        name = 'jobs' if job.source == '.' else job.source
        with open(f'{self.path}/{name}', 'rb') as file:
            file.seek(job.offset)
            return file.read(job.size)

    def inode(self, job):
        stat = os.stat(f'{self.path}/{job.source}')
        return stat.st_dev, stat.st_ino

    def state(self):
        """The lines of its state file."""
        try:
            with open(f'{self.path}/state', encoding='utf-8') as file:
                return [line.split('\t') for line in file.read().splitlines()]
        except FileNotFoundError:
            return []


def escaped(text):
    for plain, code in (('\1', '\0011'), ('\t', '\1t'), ('\n', '\1n'),
                        ('\r', '\1r'), ('\0', '\0010')):
        text = text.replace(plain, code)
    return text


def queue(d):
    """The queue as this Dovecot sees it: a mount may cover it."""
    return f'/proc/{d.process.pid}/root{d.dir}/queue'


def names(d, prefix=('job.', '.job.')):
    try:
        return sorted(name for name in os.listdir(queue(d))
                      if name.startswith(prefix))
    except FileNotFoundError:
        return []


def failed(d):
    return names(d, 'failed.')


def read(path):
    """A finished transaction, or None."""
    try:
        with open(path + '/jobs', 'rb') as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    end = re.fullmatch(rb'end\t(\d{20})\t(\d{10})\t([0-9a-f]{8})\n',
                       data[-END_SIZE:])
    if end is None:
        return None
    lines = data[int(end[1]):-END_SIZE]
    if zlib.crc32(lines) != int(end[3], 16):
        return None
    head, *rest = lines.decode('utf-8', 'surrogateescape').splitlines()
    found = Transaction(path, head.split('\t')[5])
    for line in rest:
        values = line.split('\t')[1:]
        values[4:6] = int(values[4]), int(values[5])
        found.jobs.append(Job(*values))
    if len(found.jobs) != int(end[2]):
        return None
    return found


def transactions(d, user=None):
    """All that are finished, in the order of their names."""
    found = [read(f'{queue(d)}/{name}') for name in names(d)]
    return [tx for tx in found if tx is not None and user in (None, tx.user)]


def is_empty(d):
    return not names(d)


def wait_empty(d, seconds=30):
    """Until nothing waits any more; what has failed may be there."""
    try:
        wait_until(lambda: is_empty(d), seconds, 'the end of all lessons')
    except AssertionError as error:
        left = [(tx.path.rsplit('/', 1)[1], tx.user, len(tx.jobs), tx.state())
                for tx in transactions(d)]
        raise AssertionError(f'{error}: {names(d)}, {left}') from None


def taught(d, seconds=30):
    """All lessons, once nothing waits any more, as a Counter of (what,
    message)."""
    wait_empty(d, seconds)
    return Counter((lesson.what, lesson.message) for lesson in d.lessons())


def assert_taught(d, wanted, seconds=30):
    """Exactly these (what, message)."""
    assert_same(taught(d, seconds), Counter(wanted))


def assert_same(got, wanted):
    if got == wanted:
        return
    raise AssertionError('lessons: ' + '; '.join(
        f'{text} {[(what, short(message), n) for (what, message), n in set_]}'
        for text, set_ in (('too many', (got - wanted).items()),
                           ('missing', (wanted - got).items()))))


def trainer(d):
    """The process ID of the service, None if it does not run."""
    found = trainers(d)
    return found[0] if found else None


def trainers(d):
    """All that Dovecot's master has started; their children are others."""
    return [pid for pid, _ in descendants(d.process.pid)
            if command(pid) == 'antispam-trainer'
            and parent(pid) == d.process.pid]


def children(d):
    """Processes that work for a user, of all trainers."""
    found = []
    for pid in trainers(d):
        found += [child for child, _ in descendants(pid)
                  if parent(child) == pid]
    return found


def parent(pid):
    stat = read_stat(pid)
    return None if stat is None else int(stat[1])


def command(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            program = file.read().split(b'\0')[0].split(b' ')[0]
            return os.path.basename(program.decode(errors='replace'))
    except (FileNotFoundError, ProcessLookupError):
        return ''


def memory(pid):
    """The most that a process ever had, in bytes; 0 if it is gone."""
    try:
        with open(f'/proc/{pid}/status', encoding='utf-8') as file:
            found = re.search(r'^VmHWM:\s*(\d+) kB', file.read(), re.M)
            return int(found[1]) * 1024 if found else 0
    except (FileNotFoundError, ProcessLookupError):
        return 0


def rewrite_users(d, **changes):
    """Other fields for users; None removes one."""
    for user, fields in changes.items():
        if fields is None:
            d.options.users.pop(user, None)
        else:
            d.options.users[user] = d._replaced(fields)
    path = f'{d.dir}/passwd'
    with open(path + '.new', 'w', encoding='utf-8') as file:
        file.write(conf.passwd_file(d.options))
    os.rename(path + '.new', path)
    # Dovecot looks at the file once a second.
    time.sleep(1.01 - time.time() % 1)


class ListedUsers(Dovecot):
    """One that knows only users={}: others can't log in, or are gone."""

    def _configure(self, port):
        super()._configure(port)
        path = f'{self.dir}/dovecot.conf'
        with open(path, encoding='utf-8') as file:
            text = file.read()
        text, count = re.subn(r'(?m)^userdb \{\ndriver = static\n.*\n\}\n|'
                              r'^userdb static \{\n(.*\n)*?\}\n\}\n', '', text)
        assert count == 1
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)


def mount_queue(d, options='size=100m'):
    """Another file system as the queue, of this Dovecot's own."""
    wait_until(lambda: os.path.isdir(d.queue_dir), 10, 'the queue')
    done = d.enter('mount', '-t', 'tmpfs', '-o', f'mode=1733,{options}',
                   'tmpfs', d.queue_dir)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())


def stop(d):
    """All of Dovecot, and what it has started."""
    below = descendants(d.process.pid)
    d.process.terminate()
    d.process.wait(60)
    wait_until(lambda: not any(alive(process) for process in below), 30,
               'the end of all processes')


def start(d):
    """Again, on the same port if nobody has taken it meanwhile."""
    d._spawn()
    try:
        wait_until(d._ready, 10, 'a greeting from Dovecot')
    except AssertionError:
        d._kill()
        d._start()


# By hand

def head(user, age=0.0, boot_id=None):
    wall = int((time.time() - age) * 1000000)
    boot = int((time.clock_gettime(time.CLOCK_BOOTTIME) - age) * 1000000)
    if boot_id is None:
        with open('/proc/sys/kernel/random/boot_id',
                  encoding='ascii') as file:
            boot_id = file.read().strip()
    return (f'antispam-queue\t1\t{wall}\t{max(boot, 0)}\t{boot_id}\t'
            f'{escaped(user)}\n')


def job_file(user, jobs, contents=b'', age=0.0, boot_id=None, crc=None,
             count=None, offset=None):
    """The bytes of a job file; the last three are what its end claims."""
    text = head(user, age, boot_id) + ''.join(job.line() for job in jobs)
    lines = text.encode('utf-8', 'surrogateescape')
    end = 'end\t%020d\t%010d\t%08x\n' % (
        len(contents) if offset is None else offset,
        len(jobs) if count is None else count,
        zlib.crc32(lines) if crc is None else crc)
    return contents + lines + end.encode()


def put(d, name, uid, data=None, files=None, mode=0o700):
    """Put a transaction into the queue as its user would: renamed into view.
    files: other files, {name: bytes}; data is the file "jobs"."""
    path = tempfile.mkdtemp(prefix='.new.', dir=queue(d))
    files = dict(files or {})
    if data is not None:
        files['jobs'] = data
    for file_name, content in files.items():
        with open(f'{path}/{file_name}', 'wb') as file:
            file.write(content)
        os.chown(f'{path}/{file_name}', uid, uid)
        os.chmod(f'{path}/{file_name}', 0o600)
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    os.rename(path, f'{queue(d)}/{name}')
    return f'{queue(d)}/{name}'


def lesson(user, message, what='spam', age=60.0, boot_id=None):
    """A job file with one message, old enough to be due."""
    origin, to = ('other', 'spam') if what == 'spam' else ('spam', 'other')
    job = Job(what, origin, to, size=len(message))
    return job_file(user, [job], message, age, boot_id)


def scan(d):
    """Have the trainer look at all of the queue."""
    say(d, 'scan')


def say(d, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(f'{d.dir}/run/antispam-trainer')
        s.sendall(line.encode('utf-8', 'surrogateescape') + b'\n')


@contextmanager
def held(d):
    """What was queued meanwhile is looked at when this ends."""
    wait_until(lambda: trainer(d) is not None, 10, 'the trainer')
    pid = trainer(d)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: read_stat(pid)[0] == 'T', 5, 'SIGSTOP')
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# Events

METRICS = {
    'queued': 'event=antispam_lesson_queued',
    'learned': 'event=antispam_lesson_finished and queued=yes and '
               'outcome=learned',
    'declined': 'event=antispam_lesson_finished and outcome=declined',
    'later': 'event=antispam_lesson_finished and outcome=later',
    'broken': 'event=antispam_lesson_finished and outcome=broken',
    'failed': 'event=antispam_lesson_failed',
    'cancelled': 'event=antispam_lesson_cancelled',
    'lost': 'event=antispam_lesson_lost',
}


class Measured(Dovecot):
    """One that counts events."""

    def _configure(self, port):
        super()._configure(port)
        with open(f'{self.dir}/dovecot.conf', 'a', encoding='utf-8') as file:
            for name, events in METRICS.items():
                file.write(f'metric {name} {{\nfilter = {events}\n}}\n')
        self.counted = {}

    def events(self):
        """Those that were counted since the last call."""
        now = {}
        for line in self.doveadm('stats', 'dump').splitlines():
            values = line.split('\t')
            if values[0] in METRICS and values[1] == 'duration':
                now[values[0]] = int(values[2])
        found = {name: count - self.counted.get(name, 0)
                 for name, count in now.items()
                 if count != self.counted.get(name, 0)}
        self.last = now
        return found

    def assert_events(self, **wanted):
        """Exactly these came since the last call; they may be late."""
        try:
            wait_until(lambda: self.events() == wanted, 5, 'events')
        except AssertionError as error:
            raise AssertionError(f'{error}: got {self.events()}, wanted '
                                 f'{wanted}') from None
        self.counted = self.last

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The queue is a drop box for every local user. Whatever one of them puts
there: nobody else's mail is read or learned from, nothing is learned in
another's name, and others are not kept waiting."""

import errno
import os
import re
import shutil
import socket
import stat
import threading
import time

import jobs
from harness import (SPAM, Skip, equal, main, read_stat, row, test,
                     wait_until)
from jobs import Job

UIDS = {'ann': 12346, 'bob': 12347, 'eve': 12348}
EVE = UIDS['eve']
# Nobody but ann may read it.
SECRET = b'Subject: secret\n\nof ann\n'
MB = 1000 * 1000
# Another user's lesson takes no longer, whatever lies there, in seconds.
MAX_WAIT = 6


def users():
    return {name: {'uid': str(uid), 'gid': str(uid)}
            for name, uid in UIDS.items()}


def prepare(d):
    """Homes, and a filter that all of them may use."""
    for user, uid in UIDS.items():
        os.makedirs(d.home(user))
        os.chown(d.home(user), uid, uid)
        os.chmod(d.home(user), 0o700)
    os.chmod(d.recorder.calls, 0o1777)
    with open(f'{d.dir}/secret', 'wb') as file:
        file.write(SECRET)
    os.chown(f'{d.dir}/secret', UIDS['ann'], UIDS['ann'])
    os.chmod(f'{d.dir}/secret', 0o600)
    wait_until(lambda: os.path.isdir(jobs.queue(d)), 10, 'the queue')


class Hostile(jobs.ListedUsers):
    """What the log says of eve is expected, but for what breaks."""

    SAID = re.compile(r'user eve: learn|\(eve\)|is put aside as failed\.|'
                      r'more like that|very many lessons|what was learned will'
                      r'|Can.t write|rename\(')

    def faults(self):
        return [line for line in super().faults()
                if not self.SAID.search(line)]


def hostile(name):
    return Hostile(users=users(), name=name, settings={
        **jobs.QUEUED, 'antispam_queue_delay': '10ms'})


def text(subject):
    return f'Subject: {subject}\n\nfor the filter\n'.encode()


def shell(d, user, script):
    """A command of a local user; returns status and output."""
    uid = str(UIDS[user])
    done = d.enter('setpriv', f'--reuid={uid}', f'--regid={uid}',
                   '--clear-groups', 'sh', '-c', script)
    return done.returncode, (done.stdout + done.stderr).decode()


def assert_bob_learns(d, subject):
    """Soon, although he has just come."""
    began = time.monotonic()
    name = f'job.bob.{subject.replace(" ", "-")}'
    jobs.put(d, name, UIDS['bob'], jobs.lesson('bob', text(subject)))
    jobs.say(d, name)
    wait_until(lambda: name not in jobs.names(d), 30, "bob's lesson")
    wait = time.monotonic() - began
    if wait > MAX_WAIT:
        raise AssertionError(f'bob waited {wait:.1f} s')
    return wait


def assert_small(d, limit=50 * MB):
    """The most that the trainer ever used."""
    used = jobs.memory(jobs.trainer(d))
    if not 0 < used < limit:
        raise AssertionError(f'the trainer used {used // 1000} kB')


# Others' jobs

@test
def a_drop_box():
    with hostile('drop box') as d:
        prepare(d)
        row('the directory is a drop box', is_drop_box, d)
        with jobs.held(d):
            with d.imap('ann') as c:
                equal(c.append('INBOX', text('of ann')).status, 'OK')
                equal(c.move(c.select('INBOX'), 'SPAM').status, 'OK')
            name, = jobs.names(d)
            for what, script in (
                    ('list the queue', 'ls {q}'),
                    ('list a transaction', 'ls {q}/{n}'),
                    ('read a job file', 'cat {q}/{n}/jobs'),
                    ('read a message', 'cat {q}/{n}/m0'),
                    ('rename a transaction', 'mv {q}/{n} {q}/job.x'),
                    ('remove a transaction', 'rm -r {q}/{n}'),
                    ('add a file', 'echo x >{q}/{n}/state'),
                    ('replace a job file', 'echo x >{q}/{n}/jobs'),
                    ('put a directory over it',
                     'mkdir {q}/mine && mv -T {q}/mine {q}/{n}')):
                row(f"another user can't {what}", denied, d,
                    script.format(q=f'{d.dir}/queue', n=name))
        row("ann's lesson is learned, as ann", learned_as_ann, d)


def is_drop_box(d):
    stat_ = os.stat(jobs.queue(d))
    equal((stat_.st_uid, stat_.st_gid, stat.S_IMODE(stat_.st_mode)),
          (0, 0, 0o1733))


def denied(d, script):
    status, out = shell(d, 'eve', script)
    if status == 0 or not re.search('ermission denied|not permitted', out):
        raise AssertionError(f'{status}, {out}')


def learned_as_ann(d):
    jobs.wait_empty(d)
    owners = [os.stat(f'{d.recorder.calls}/{name}').st_uid
              for name in os.listdir(d.recorder.calls)]
    equal(owners, [UIDS['ann']], 'who ran the filter')
    equal([lesson.message for lesson in d.lessons()], [text('of ann')])


# What eve puts there

class Shape:
    """Something in the queue. make(d, path) makes it. It is to be put aside,
    to be learned, or to stay, maybe for a while."""

    def __init__(self, name, outcome, make, uid=EVE, entry=None):
        self.name, self.outcome, self.make = name, outcome, make
        self.uid = uid
        self.entry = entry or 'job.' + re.sub(r'\W', '-', name)

    def put(self, d):
        self.make(d, f'{jobs.queue(d)}/{self.entry}', self)


def own(path, uid=EVE, mode=None):
    os.chown(path, uid, uid, follow_symlinks=False)
    if mode is not None:
        os.chmod(path, mode)


def tx(data=None, files=None, mode=0o700, user='eve', uid=EVE, **kwargs):
    """A transaction. data: of its job file, by default one lesson."""
    def make(d, path, shape):
        mine = data
        if mine is None:
            mine = jobs.lesson(user, text(shape.name), **kwargs)
        elif callable(mine):
            mine = mine(shape)
        jobs.put(d, shape.entry, uid, mine, files, mode)
    return make


def node(kind):
    """Something that is no regular file, at path."""
    def make(d, path, shape=None):
        if kind == 'fifo':
            os.mkfifo(path, 0o666)
        elif kind == 'socket':
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path)
        elif kind == 'directory':
            os.mkdir(path, 0o700)
            with open(f'{path}/x', 'wb'):
                pass
        elif kind == 'device':
            # It never ends.
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 9))
        elif kind == 'symbolic link':
            os.symlink(f'{d.dir}/secret', path)
            return
        elif kind == 'link to ann':
            os.link(f'/proc/{d.process.pid}/root{d.dir}/secret', path)
            return
        elif kind == 'file':
            with open(path, 'wb') as file:
                file.write(b'garbage')
        own(path)
    return make


KINDS = ('fifo', 'socket', 'directory', 'device', 'symbolic link',
         'link to ann')


def with_node(name, kind, job=None):
    """A transaction in which a file is something else."""
    def make(d, path, shape):
        hidden = path.replace('/job.', '/.new.')
        if name == 'jobs':
            os.mkdir(hidden, 0o700)
        else:
            data = jobs.lesson('eve', text(shape.name)) if job is None else \
                jobs.job_file('eve', [job], age=60)
            jobs.put(d, os.path.basename(hidden), EVE, data)
        node(kind)(d, f'{hidden}/{name}')
        own(hidden)
        os.rename(hidden, path)
    return make


def claims(**kwargs):
    """A job file whose end lies."""
    return lambda shape: jobs.job_file(
        'eve', [Job(size=len(text(shape.name)))], text(shape.name), 60,
        **kwargs)


def sparse(d, path, shape):
    jobs.put(d, shape.entry, EVE, b'')
    os.truncate(f'{path}/jobs', 1000 ** 3)


def linked_dir(d, path, shape):
    os.symlink('/etc', path)
    own(path)


M0 = Job(source='m0', size=len(SECRET))
NOT_A_JOB = b'job\tspam\n'
LONG = 'job.' + 'x' * 251
ODD = 'job.\x1b[31m\nNov 25 00:00:00 imap(ann): Info: fake'
FAKE = 'bob\nNov 25 00:00:00 imap(ann): Error: fake \x1b[31m'

SHAPES = [
    Shape('a good one', 'learned', tx()),
    Shape('set-user-ID', 'learned', tx(mode=0o4700)),
    Shape('readable for all', 'learned', tx(mode=0o755)),
    Shape('from the future', 'learned', tx(age=-10 ** 9)),
    Shape('of long ago', 'learned', tx(age=10 ** 9)),
    Shape('of another boot', 'learned', tx(boot_id='x')),
    Shape('of no boot', 'learned', tx(boot_id='')),
    Shape('in the name of ann', 'aside', tx(user='ann')),
    Shape('in the name of root', 'aside', tx(user='root')),
    Shape('in the name of nobody', 'aside', tx(user='nobody.else')),
    Shape('in a name that is a log line', 'aside', tx(user=FAKE)),
    Shape('in a long name', 'aside', tx(user='x' * 20000)),
    Shape('in no name', 'aside', tx(user='')),
    Shape("ann's, in the name of eve", 'aside', tx(uid=UIDS['ann'])),
    Shape("root's", 'aside', tx(uid=0)),
    Shape('writable for the group', 'aside', tx(mode=0o770)),
    Shape('writable for others', 'aside', tx(mode=0o707)),
    Shape('a long file name', 'aside', tx(user='ann'), entry=LONG),
    Shape('a file name that is a log line', 'aside',
          tx(user='ann'), entry=ODD),
    Shape('a link to a directory', 'aside', linked_dir),
    *(Shape(f'a {kind}', 'aside', node(kind))
      for kind in ('fifo', 'socket', 'device', 'file', 'symbolic link')),
    Shape('an empty directory', 'stays', tx(b'', {})),
    *(Shape(f'its job file is a {kind}', 'aside', with_node('jobs', kind))
      for kind in KINDS),
    # What ann might let eve read later may be learned later.
    *(Shape(f'its message is a {kind}',
            'aside' if kind != 'link to ann' else 'stays',
            with_node('m0', kind, M0)) for kind in KINDS),
    *(Shape(f'its state is a {kind}', 'learned' if kind != 'directory' else
            'learned, aside', with_node('state', kind)) for kind in KINDS),
    Shape('its new state is a directory', 'learned, aside',
          with_node('state.new', 'directory')),
    Shape('it has a directory', 'learned, aside',
          with_node('x', 'directory')),
    Shape('its state is garbage', 'learned',
          tx(files={'state': b'\0\xff\t\t\n' * 1000 + b'0\t5\tdone\t0\t0\t\n'
                    + b'4294967295\t4294967295\tdone\t1\t1\tx\n'})),
    Shape('its message is nowhere', 'aside',
          tx(jobs.job_file('eve', [M0], age=60))),
    Shape('its message is smaller', 'aside',
          tx(jobs.job_file('eve', [M0], age=60), {'m0': b'small'})),
    Shape('its message is beyond the end', 'aside',
          tx(jobs.job_file('eve', [Job(offset=10 ** 15, size=10)], age=60))),
    Shape('its message is very big', 'aside',
          tx(jobs.job_file('eve', [Job(offset=2 ** 62, size=2 ** 62)]))),
    Shape('its message lies elsewhere', 'aside',
          tx(jobs.job_file('eve', [Job(source='../../secret', size=10)]))),
    Shape('its message is a path', 'aside',
          tx(jobs.job_file('eve', [Job(source='/etc/passwd', size=10)]))),
    Shape('1 GB of zeros', 'stays', sparse),
    Shape('a wrong checksum', 'aside', tx(claims(crc=1))),
    Shape('a million jobs claimed', 'aside', tx(claims(count=1000000))),
    Shape('more jobs claimed', 'stays', tx(claims(count=1000001))),
    Shape('no jobs claimed', 'stays', tx(claims(count=0))),
    Shape('lines beyond the end', 'aside', tx(claims(offset=10 ** 12))),
    Shape('an endless line', 'aside', tx(lambda shape: jobs.job_file(
        'eve', [Job(folder='x' * 1000000, size=0)], age=60))),
    Shape('a long folder', 'learned', tx(lambda shape: jobs.job_file(
        'eve', [Job(folder='\n' * 10000, size=len(text(shape.name)))],
        text(shape.name), 60))),
    Shape('a line that is no job', 'aside', tx(lambda shape: jobs.job_file(
        'eve', [Job(what='neither')], age=60))),
    Shape('binary', 'stays', tx(bytes(range(256)) * 100)),
]


@test
def shapes():
    with hostile('shapes') as d:
        prepare(d)
        made, wanted = [], []
        for shape in SHAPES:
            try:
                shape.put(d)
            except OSError as error:
                if error.errno != errno.EPERM:
                    raise
                row(shape.name, skip, str(error))
                continue
            made.append(shape)
        jobs.scan(d)
        row('others are not kept waiting', assert_bob_learns, d, 'meanwhile')
        rest = {shape.entry for shape in made if shape.outcome == 'stays'}
        row('all of it is dealt with', wait_until,
            lambda: set(jobs.names(d)) <= rest, 20, 'it')
        lessons = [lesson.message for lesson in d.lessons()]
        for shape in made:
            row(f'{shape.outcome}: {shape.name}', came_to, d, shape, lessons)
            if 'learned' in shape.outcome:
                wanted.append(text(shape.name))
        row('nothing else was learned', equal, sorted(lessons),
            sorted([*wanted, text('meanwhile')]))
        row("the log is the log's own", assert_log, d)
        jobs.scan(d)
        row('nor are they later', assert_bob_learns, d, 'later')
        row('nothing is tried for ever', quiet, d, rest)
        row('memory', assert_small, d)


def skip(why):
    raise Skip(why)


def came_to(d, shape, lessons):
    aside = 'failed.' + shape.entry.split('.', 1)[1]
    there = [name for name in jobs.failed(d) if name[:200] == aside[:200]]
    equal((text(shape.name) in lessons, len(there),
           shape.entry in jobs.names(d)),
          ('learned' in shape.outcome, int('aside' in shape.outcome),
           'stays' in shape.outcome), 'learned, put aside, there')


def assert_log(d):
    """No line that somebody else has written, and nothing for terminals."""
    log = d.log()
    equal([line for line in log if line.startswith('Nov 25 00:00:00')], [],
          'lines')
    equal([line for line in log if not line.isprintable()], [], 'lines')


def quiet(d, rest):
    """What stays is looked at again, and nothing comes of it."""
    d.lessons()
    before = len(d.log())
    for _ in range(3):
        jobs.scan(d)
        assert_bob_learns(d, 'again')
    equal(len(d.lessons()), 3, 'lessons')
    equal([line for line in d.log()[before:] if 'user bob: 1 learned'
           not in line], [], 'log')
    equal(set(jobs.names(d)), rest, 'what stays')


# Very many

@test
def crowds():
    with hostile('crowds') as d:
        prepare(d)
        row('20,000 directories', crowd, d)
        row('300,000 jobs with a state that says so often', stateful, d)
    with hostile('a million') as d:
        prepare(d)
        row('a million jobs', million, d)


def crowd(d):
    """Half of them are empty, half are garbage."""
    for number in range(10000):
        path = f'{jobs.queue(d)}/.job.{number}'
        os.mkdir(path, 0o700)
        own(path)
        jobs.put(d, f'job.{number}', EVE, b'x' * 100 + b'end\n')
    jobs.scan(d)
    waits = [assert_bob_learns(d, f'crowd {i}') for i in range(3)]
    jobs.scan(d)
    waits += [assert_bob_learns(d, f'crowd again {i}') for i in range(3)]
    print(f'# bob waited {max(waits):.2f} s')
    assert_small(d)
    for name in jobs.names(d) + jobs.failed(d):
        shutil.rmtree(f'{jobs.queue(d)}/{name}')
    jobs.scan(d)
    assert_bob_learns(d, 'crowd gone')


def stateful(d):
    """Each line of the state names all jobs."""
    line = b'0\t299999\twaiting\t1\t1\t\n'
    jobs.put(d, 'job.stateful', EVE, many_jobs(300000),
             {'state': line * (15 * 1000 * 1000 // len(line))})
    jobs.scan(d)
    wait = assert_bob_learns(d, 'stateful')
    print(f'# bob waited {wait:.2f} s')
    remove(d, 'job.stateful')


def million(d):
    jobs.put(d, 'job.million', EVE, many_jobs(1000000))
    jobs.scan(d)
    waits = [assert_bob_learns(d, f'million {i}') for i in range(10)]
    print(f'# bob waited {max(waits):.2f} s, '
          f'{jobs.memory(jobs.trainer(d)) // 1000} kB')
    remove(d, 'job.million')
    assert_small(d, 64 * MB)


def many_jobs(count):
    """Of eve, who is not there any more when they are due."""
    line = Job(size=0, folder='', origin='', source='-').line().encode()
    data = jobs.head('eve', 60).encode() + line * count
    end = 'end\t%020d\t%010d\t%08x\n' % (0, count, jobs.zlib.crc32(data))
    return data + end.encode()


def remove(d, name):
    """It may be renamed meanwhile."""
    for _ in range(3):
        for found in jobs.names(d) + jobs.failed(d):
            if found.endswith(name.split('.')[-1]):
                shutil.rmtree(f'{jobs.queue(d)}/{found}', ignore_errors=True)


# Swapped meanwhile

@test
def swapped():
    with hostile('swapped') as d:
        prepare(d)
        row('files that change while they are looked at', swap, d)


def swap(d, seconds=3):
    """Names change what they are, again and again; none of it may be another
    user's mail, or learned in another's name."""
    queue, stop = jobs.queue(d), threading.Event()
    turns = []

    def turn():
        number = 0
        while not stop.is_set():
            number += 1
            name = f'job.swap.{number % 10}'
            try:
                jobs.put(d, name, EVE, jobs.job_file(
                    'eve', [Job(source='m0', size=len(SECRET))], age=60),
                    {'m0': text('mine of eve!!')[:len(SECRET)]})
                for kind in ('symbolic link', 'link to ann', 'file'):
                    node(kind)(d, f'{queue}/{name}/x')
                    os.rename(f'{queue}/{name}/x', f'{queue}/{name}/m0')
                with open(f'{queue}/{name}/x', 'wb') as file:
                    file.write(jobs.lesson('ann', text('forged')))
                own(f'{queue}/{name}/x', mode=0o600)
                os.rename(f'{queue}/{name}/x', f'{queue}/{name}/jobs')
                os.symlink('/etc', f'{queue}/.swap')
                os.rename(f'{queue}/{name}', f'{queue}/.gone.{number}')
                os.rename(f'{queue}/.swap', f'{queue}/{name}')
                os.unlink(f'{queue}/{name}')
            except OSError:
                # The trainer was faster.
                pass
            turns.append(number)

    threads = [threading.Thread(target=turn)]
    threads[0].start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number in range(10):
            jobs.say(d, f'job.swap.{number}')
        jobs.scan(d)
        time.sleep(0.005)
    stop.set()
    threads[0].join()
    shutil.rmtree(f'{queue}/.swap', ignore_errors=True)
    assert_bob_learns(d, 'after it')
    wait_until(lambda: not jobs.children(d), 20, 'the end of all children')
    for name in os.listdir(d.recorder.calls):
        path = f'{d.recorder.calls}/{name}'
        with open(f'{path}/stdin', 'rb') as file:
            got = file.read()
        owner = os.stat(path).st_uid
        if got in (SECRET, text('forged')):
            raise AssertionError(f'learned by uid {owner}: {got}')
        equal(owner, UIDS['bob'] if b'after it' in got else EVE, 'uid')
    with open(f'{d.dir}/secret', 'rb') as file:
        equal(file.read(), SECRET)
    equal(os.path.isdir('/etc'), True)
    print(f'# {turns[-1]} turns, {len(os.listdir(d.recorder.calls))} learned')
    assert_small(d)


# Who the child is

@test
def identity():
    with hostile('identity') as d:
        prepare(d)
        d.recorder.control(sleep='1.5', detail=1)
        with d.imap('ann') as c:
            equal(c.append('INBOX', text('of ann')).status, 'OK')
            equal(c.move(c.select('INBOX'), 'SPAM').status, 'OK')
        wait_until(lambda: os.listdir(d.recorder.calls), 10, 'the filter')
        child, = jobs.children(d)
        row('the child is the user, for good', is_user, child)
        row('the child has no descriptor of others', has_own_files, d, child)
        d.recorder.control(sleep=None)
        jobs.wait_empty(d)
        row('the filter has the environment that it is promised',
            own_environment, d)


def is_user(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        status = dict(line.split(':', 1) for line in file)
    uid = str(UIDS['ann'])
    equal(status['Uid'].split(), [uid] * 4)
    equal(status['Gid'].split(), [uid] * 4)
    equal([group for group in status['Groups'].split() if group != uid], [])
    equal(int(status['CapEff'], 16), 0, 'capabilities')
    equal(int(status['CapPrm'], 16), 0, 'capabilities')


def has_own_files(d, pid):
    manager = set(links(jobs.trainer(d)))
    shared = []
    for link in links(pid):
        if link in manager and link.split(':')[0] in ('socket', 'anon_inode'):
            shared.append(link)
    equal(shared, [], 'shared with the trainer')


def links(pid):
    found = []
    for name in os.listdir(f'/proc/{pid}/fd'):
        if int(name) > 2:
            found.append(os.readlink(f'/proc/{pid}/fd/{name}'))
    return found


def own_environment(d):
    lesson, = d.lessons()
    path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    home = d.home('ann')
    equal({name: value for name, value in lesson.env.items()
           if name not in ('PWD', '_', 'SHLVL', 'OLDPWD')},
          {'PATH': path, 'HOME': home, 'USER': 'ann', 'LOGNAME': 'ann',
           'LANG': 'C.UTF-8'})
    equal(lesson.cwd, home)
    # ls has opened 3 itself.
    equal(sorted(int(fd) for fd in lesson.fds), [0, 1, 2, 3], 'descriptors')


main()

# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A private Dovecot with the plugin, for the integration tests.

It needs root, an installed Dovecot (2.3 or 2.4) and the built plugin, and
touches neither Dovecot's configuration nor its directories: in a mount
namespace of its own, the instance sees /usr/lib/dovecot with what was built
in place of what is installed. Several can run at once.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager

import conf
import pkg
import tap
from conf import STORAGES, Namespace
from imap import Imap, Literal, encode_name, quote_name
from lessons import HAM, PIPE, SPAM, SPOOL, Recorder
from tap import Skip, equal, main, row, short, test

# Who owns the mail: a uid that nobody has.
MAIL_UID = 12345

# Marks of a process that broke, wherever the log has them.
BROKEN = re.compile(r'Panic|assert|backtrace|Fatal|Leaked|[Ll]eak|'
                    r'still referenced|killed with signal|core dumped')
# Faults that a test must expect, or it fails.
FAULT = re.compile(r'\b(Error|Warning): ')
# Faults that are none: Dovecot's own at its end, and that a test's spool
# directory is a temporary one.
HARMLESS = re.compile(r'Warning: Killed with signal 15|'
                      r'Warning: antispam: antispam_spool2dir_\w+: '
                      r'the directory \S+ lies below /(var/)?tmp,')
# Sessions that come and go.
ROUTINE = re.compile(r'imap-login: Info: |Info: Disconnected: Logged out|'
                     r'Info: antispam: \d+ learned as \w+ by ')

DEFAULT_BOXES = {'SPAM': '', 'Junk': r'\Junk', 'Trash': r'\Trash',
                 'Unsure': '', 'Work': ''}


def wait_until(condition, seconds, what):
    """Poll for something that will come; the waits grow to 20 ms."""
    end, wait = time.monotonic() + seconds, 0.001
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {seconds} s')
        time.sleep(wait)
        wait = min(wait * 2, 0.02)


def mail(subject, body='Hello.\r\n'):
    """A message as a client sends it."""
    return (f'From: Ann <ann@example.org>\r\nSubject: {subject}\r\n\r\n'
            + body).encode()


def stored(message):
    """The same as Dovecot stores it, unless mail_save_crlf says otherwise."""
    return message.replace(b'\r\n', b'\n')


class Dovecot:
    """A private Dovecot; use it with "with", which starts and stops it.

    storage     of the private namespace: maildir, sdbox, mdbox or mbox
    settings    antispam_* and other plugin settings: names and raw values;
                @DIR@ stands for the instance's directory, @USER@, @NAME@,
                @DOMAIN@, @HOME@ and @PERCENT@ for Dovecot's variables
    users       users with fields of their own: {'bob': {'antispam_x': 'y'}};
                'home': None for none; every other name exists too; the
                password is always "pw"
    boxes       folders to make: {name: special-use or ''}
    namespaces  more of them: conf.Namespace
    plugins     compress, quota (3 messages), lazy_expunge (into EXPUNGED),
                acl, lmtp, sieve (~/filter.sieve); the last two need packages
    everywhere  load the plugin in all protocols, not in imap alone
    extra       other settings that bear the same name in both versions
    queue       an antispam_queue_dir of its own, queue_dir; without it the
                default path leads into varlib_dir, which nobody else sees
    """

    def __init__(self, storage='maildir', settings=None, users=None,
                 boxes=None, namespaces=(), plugins=(), everywhere=False,
                 extra=None, name='', queue=False):
        self.queue = queue
        self.name = name or storage
        self.version = pkg.dovecot_version()
        # %u and its like are what this Dovecot itself would write.
        self.has_old_variables = self.version < (2, 4)
        self.arguments = (storage, settings or {}, users or {},
                          DEFAULT_BOXES if boxes is None else boxes,
                          list(namespaces), list(plugins), everywhere,
                          extra or {})
        self.sessions = []
        self.expected = set()
        # Lines of processes that a test breaks.
        self.broken = set()
        self.ended = 0
        self.process = None

    # Starting and stopping

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip('must be run as root')
        self.failed_before = tap.Results.failed
        self.dir = tempfile.mkdtemp(prefix='antispam-it.')
        try:
            self._prepare()
            self._start()
        except BaseException:
            self._kill()
            self._show_log()
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind, value, traceback):
        """Tell it to stop. That takes a second, so it is waited for, and the
        result reported, at the end of the test file."""
        self.failed = tap.Results.failed > self.failed_before
        tap.at_finish(self._finish)
        for session in list(self.sessions):
            self.end(session)
        self.children = descendants(self.process.pid)
        self.process.terminate()

    def _finish(self):
        try:
            sound = row(f'{self.name}: all ends well, and the log has no '
                        'other fault', self._assert_stopped)
            if self.failed or not sound:
                self._show_log()
        finally:
            self._kill()
            shutil.rmtree(self.dir, ignore_errors=True)

    def _prepare(self):
        os.chmod(self.dir, 0o755)
        for name in ('home', 'tmp', 'run', 'lib.real', 'varlib'):
            os.mkdir(f'{self.dir}/{name}')
        self.queue_dir, self.varlib_dir = (f'{self.dir}/{name}' for name in
                                           ('queue', 'varlib'))
        # The manual puts a queue there.
        os.makedirs(f'{self.dir}/srv/mail')
        os.chown(f'{self.dir}/home', MAIL_UID, MAIL_UID)
        os.chmod(f'{self.dir}/tmp', 0o1777)
        self.recorder = Recorder(self.dir, f'{pkg.ROOT}/tests/bin/record.sh',
                                 MAIL_UID)
        self.lessons = self.recorder.take
        pkg.make_lib(f'{self.dir}/lib', f'{self.dir}/lib.real',
                     self.arguments[5])

    def _configure(self, port):
        storage, settings, users, boxes, spaces, plugins, everywhere, extra \
            = self.arguments
        if self.queue:
            settings = {'antispam_queue_dir': self.queue_dir, **settings}
        settings = self._replaced(settings)
        users = {user: self._replaced(fields)
                 for user, fields in users.items()}
        self.options = conf.Options(
            self.dir, port, self.version, storage, settings, users, boxes,
            spaces, plugins, everywhere, extra, MAIL_UID)
        for user in list(users):
            users['fill-' + user] = self._unplugged(user)
        for name, text in (('dovecot.conf', conf.render(self.options)),
                           ('passwd', conf.passwd_file(self.options))):
            with open(f'{self.dir}/{name}', 'w', encoding='utf-8',
                      errors='surrogateescape') as file:
                file.write(text)

    def _replaced(self, settings):
        """Put what this Dovecot is, and its variables, into values."""
        replaced = {}
        for name, value in settings.items():
            for word, variable in conf.variables(self.version).items():
                value = value and value.replace(word, variable)
            replaced[name] = value and value.replace('@DIR@', self.dir)
        return replaced

    def _start(self):
        """Start it on a free port; another process may be faster, so try."""
        for _ in range(5):
            self.port = free_port()
            self._configure(self.port)
            self._spawn()
            try:
                wait_until(self._ready, 10, 'a greeting from Dovecot')
                return
            except AssertionError:
                self._kill()
                if not self.log('Address already in use'):
                    raise
        raise AssertionError('no free port found')

    def _spawn(self):
        script = '''
            mount --make-rprivate / 2>/dev/null || :
            mount --bind "$1" "$2/lib.real" && mount --bind "$2/lib" "$1" &&
            { [ ! -d /var/lib/dovecot ] ||
                mount --bind "$2/varlib" /var/lib/dovecot; } &&
            mount --bind "$2/srv" /srv &&
            exec dovecot -F -c "$2/dovecot.conf"'''
        with open(f'{self.dir}/start.log', 'wb') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'TERM',
                 'unshare', '-m', '--propagation', 'unchanged',
                 'sh', '-c', script, 'sh', pkg.LIBDIR, self.dir],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={'PATH': '/usr/local/sbin:/usr/sbin:/sbin:'
                     '/usr/local/bin:/usr/bin:/bin', 'ANTISPAM_BLANK': ' '},
                start_new_session=True)

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError('Dovecot ended at its start: '
                                 + '\n'.join(self.log()))
        try:
            with socket.create_connection(('127.0.0.1', self.port), 10) as s:
                return s.recv(4).startswith(b'* OK')
        except OSError:
            return False

    def _unplugged(self, user):
        """Fields of a user with another one's mail and without our plugin; 2.4
        loads plugins before it knows the user, so there it is off."""
        fields = {'home': self.home(user)}
        if self.version >= (2, 4):
            fields['antispam_backend'] = 'none'
        else:
            # An empty value would be taken as "yes".
            loaded, _ = conf.old_plugins(self.options)
            fields['mail_plugins'] = ','.join(loaded or ['notify'])
        return fields

    def _assert_stopped(self):
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise AssertionError('Dovecot did not stop within 20 s') from None
        wait_until(lambda: not any(alive(pid) for pid in self.children), 10,
                   'the end of all processes')
        self.assert_sound()

    def _kill(self):
        """After a failure: leave no process behind."""
        if self.process is None:
            return
        children = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in children:
            if alive(pid):
                os.kill(pid[0], signal.SIGKILL)

    # The log

    def log(self, pattern=''):
        """The log's lines that hold the regular expression."""
        lines = []
        for name in ('start.log', 'log'):
            try:
                with open(f'{self.dir}/{name}', encoding='utf-8',
                          errors='replace', newline='\n') as file:
                    lines += file.read().rstrip('\n').split('\n')
            except FileNotFoundError:
                pass
        return [line for line in lines if line and re.search(pattern, line)]

    def assert_log(self, pattern, count=1):
        """Exactly count lines hold the pattern, once the sessions whose lines
        are meant have ended; they are expected, whatever they say."""
        end = time.monotonic() + 2
        found = self.log(pattern)
        while len(found) < count and time.monotonic() < end:
            # A session that broke may still be on its way into the log.
            time.sleep(0.02)
            found = self.log(pattern)
        self.expected.update(found)
        if len(found) != count:
            raise AssertionError(
                f'{len(found)} lines, not {count}, in the log with '
                f'"{pattern}":\n' + '\n'.join(found or self.log(FAULT)))
        return found

    def expect_log(self, pattern):
        """Lines that hold the pattern are no faults, however many."""
        self.expected.update(self.log(pattern))

    def faults(self):
        """Errors and warnings that no assert_log() has asked for."""
        return [line for line in self.log(FAULT)
                if line not in self.expected and not HARMLESS.search(line)]

    def assert_sound(self):
        """No process broke, and no fault but the expected ones."""
        broken = [line for line in self.log(BROKEN)
                  if line not in self.broken]
        if broken:
            raise AssertionError('a process broke:\n' + '\n'.join(broken))
        if self.faults():
            raise AssertionError('unexpected faults:\n'
                                 + '\n'.join(self.faults()))

    def _show_log(self):
        """What of the log may say why something failed."""
        for line in [line for line in self.log()
                     if not ROUTINE.search(line)
                     and not HARMLESS.search(line)][-20:]:
            tap.comment('log: ' + line)

    # Sessions

    @contextmanager
    def imap(self, user, password='pw'):
        """A session, for "with", which ends it."""
        session = Imap(self.port, user, password)
        if session.login.status != 'OK':
            raise AssertionError(f'login of {user!r}: {session.login}')
        self.sessions.append(session)
        try:
            yield session
        finally:
            self.end(session)

    def fill(self, user):
        """A session with the user's mail, but without the plugin; only for
        those of users={}."""
        return self.imap('fill-' + user)

    def end(self, session):
        """Log out; all that the session logged is in the log then."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        self.ended += 1
        try:
            session.logout()
        except (AssertionError, OSError):
            # Whoever broke it has said so.
            self.ended -= 1
            return
        wait_until(lambda: len(self.log(': Disconnected: Logged out'))
                   >= self.ended, 10, 'the end of a session in the log')

    # What else there is

    def home(self, user):
        return conf.home(self.options, user)

    def enter(self, *command, **kwargs):
        """Run a command that sees what this Dovecot sees."""
        return subprocess.run(
            ['nsenter', '-t', str(self.process.pid), '-m', '-r', '-w/',
             *command], capture_output=True, timeout=60,
            stdin=None if 'input' in kwargs else subprocess.DEVNULL, **kwargs)

    def doveadm(self, *args, **kwargs):
        """Run doveadm; returns its stdout and insists on success."""
        done = self.enter('doveadm', '-c', f'{self.dir}/dovecot.conf', *args,
                          **kwargs)
        if done.returncode != 0:
            raise AssertionError(f'doveadm {args}: {done.returncode}, '
                                 + done.stderr.decode(errors='replace'))
        return done.stdout.decode()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def descendants(pid):
    """The processes below pid, as (pid, start time)."""
    parents = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            stat = read_stat(int(name))
            if stat is not None:
                parents.setdefault(int(stat[1]), []).append(
                    (int(name), stat[19]))
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.append(child)
            todo.append(child[0])
    return found


def read_stat(pid):
    """/proc/PID/stat from the state on; None if there is no such process."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8',
                  errors='replace') as file:
            return file.read().rsplit(') ', 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(process):
    stat = read_stat(process[0])
    return stat is not None and stat[19] == process[1] and stat[0] != 'Z'

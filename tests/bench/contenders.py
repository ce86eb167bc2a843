# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Who takes part in the bench: a private Dovecot each, with our plugin, without
any, or with one of its peers; and its users, with their mail."""

import os
import random
import shutil
import subprocess

import conf
import harness
import pkg

# The same settings for the old plugin and the new one.
FOLDERS = {'antispam_spam': 'SPAM', 'antispam_trash': 'Trash'}
PIPE = {
    **FOLDERS,
    'antispam_backend': 'pipe',
    'antispam_pipe_program': '@DIR@/filter/nothing',
    'antispam_pipe_program_spam_arg': '--spam',
    'antispam_pipe_program_notspam_arg': '--ham',
    'antispam_pipe_tmpdir': '@DIR@/tmp',
}
HOME = '%{home}' if pkg.dovecot_version() >= (2, 4) else '%h'
SPOOL = {
    **FOLDERS,
    'antispam_backend': 'spool2dir',
    'antispam_spool2dir_spam': f'{HOME}/spool/%%020lu-%%05lu.spam',
    'antispam_spool2dir_notspam': f'{HOME}/spool/%%020lu-%%05lu.ham',
}
SIEVE = {
    'sieve_plugins': 'sieve_imapsieve sieve_extprograms',
    'sieve_global_extensions': '+vnd.dovecot.pipe',
    'sieve_pipe_bin_dir': '@DIR@/filter',
    'imapsieve_mailbox1_name': 'SPAM',
    'imapsieve_mailbox1_causes': 'COPY',
    'imapsieve_mailbox1_before': 'file:@DIR@/filter/spam.sieve',
}
SIEVE_SCRIPT = '''\
require ["vnd.dovecot.pipe", "copy", "imapsieve"];
pipe :copy "{}" [{}];
'''
OLD_PACKAGE, SIEVE_PACKAGE = 'dovecot-antispam', 'dovecot-sieve'
NEVER = {'mail_fsync': 'never'}
BOXES = {'A': '', 'B': '', 'SPAM': r'\Junk', 'Trash': r'\Trash'}


class Pool:
    """The messages: 2-200 kB, median 19 kB, mean 42 kB. A user's mail is hard
    links to them, so that a bench of many users fits on the disk."""

    def __init__(self, directory, count):
        self.dir = directory
        os.mkdir(directory)
        rng = random.Random(19)
        sizes = []
        while len(sizes) < count:
            size = int(rng.lognormvariate(9.85, 1.26))
            if 2000 <= size <= 200000:
                sizes.append(size)
        self.sizes = sorted(sizes)
        for number, size in enumerate(self.sizes):
            with open(f'{directory}/{number}', 'wb') as file:
                file.write(_message(rng, number, size))
            os.chown(f'{directory}/{number}', harness.MAIL_UID,
                     harness.MAIL_UID)

    def read(self, number):
        with open(f'{self.dir}/{number}', 'rb') as file:
            return file.read()

    def pick(self, count):
        """Numbers of count messages that have the sizes of all."""
        return [(2 * i + 1) * len(self.sizes) // (2 * count)
                for i in range(count)]

    def sizes_of(self, count):
        return [self.sizes[i] for i in self.pick(count)]

    def link(self, maildir, count):
        for i in self.pick(count):
            os.link(f'{self.dir}/{i}', f'{maildir}/cur/{1700000000 + i}.M{i}P1'
                    f'.bench,S={self.sizes[i]}:2,S')


def _message(rng, number, size):
    head = (f'From: sender{number}@example.org\nTo: user@example.org\n'
            f'Subject: message {number}\nMessage-ID: <{number}@bench.example>\n'
            'Date: Tue, 1 Sep 2026 08:00:00 +0200\n\n').encode()
    line = rng.randbytes(38).hex().encode() + b'\n'
    body = line * ((size - len(head)) // len(line) + 1)
    return (head + body)[:size - 1] + b'\n'


class Contender(harness.Dovecot):
    """A private Dovecot that may have another plugin than ours, or none."""

    def __init__(self, key, title, settings=None, extra=None, plugin='ours',
                 base='none', storage='maildir', plugins=(),
                 program='nothing', sieve=('nothing', ('--spam',))):
        plugins = [*plugins, *(['sieve'] if plugin == 'sieve' else [])]
        super().__init__(storage, settings=settings, extra=extra, boxes=BOXES,
                         plugins=plugins, name=title)
        self.key, self.title, self.plugin = key, title, plugin
        # What is taught, see measure.Lessons.
        self.program = program
        # What IMAPSieve teaches, of the directory filter, and its arguments.
        self.sieve = sieve
        # Who it is compared with.
        self.base = base
        settings = settings or {}
        self.spools = settings.get('antispam_backend') == 'spool2dir'
        self.runs_programs = plugin == 'sieve' or \
            settings.get('antispam_backend') == 'pipe'
        self.user_count = 0

    def _prepare(self):
        super()._prepare()
        shutil.copy(f'{tempdir()}/{self.program}',
                    f'{self.dir}/filter/nothing')
        if self.plugin == 'old':
            shutil.copy(f'{peer(OLD_PACKAGE)}{pkg.LIBDIR}/modules/'
                        'lib90_antispam_plugin.so', f'{self.dir}/lib/modules')

    def _configure(self, port):
        super()._configure(port)
        loaded = {'none': '', 'sieve': ' imap_sieve'}.get(self.plugin)
        if loaded is None:
            return
        if self.version >= (2, 4):
            plugins = 'mail_plugins {\nantispam = no\n}'
        else:
            others, _ = conf.old_plugins(self.options)
            plugins = f'mail_plugins = {" ".join(others)}{loaded}'
        with open(f'{self.dir}/dovecot.conf', 'a', encoding='ascii') as file:
            file.write(f'protocol imap {{\n{plugins}\n}}\n')
        if self.plugin == 'sieve':
            script = f'{self.dir}/filter/spam.sieve'
            with open(script, 'w', encoding='ascii') as file:
                program, arguments = self.sieve
                file.write(SIEVE_SCRIPT.format(program, ', '.join(
                    f'"{argument}"' for argument in arguments)))

    def compile_sieve(self):
        """Else each session would do it."""
        if self.plugin != 'sieve':
            return
        done = self.enter(f'{peer(SIEVE_PACKAGE)}/usr/bin/sievec', '-c',
                          f'{self.dir}/dovecot.conf',
                          f'{self.dir}/filter/spam.sieve')
        if done.returncode != 0:
            raise AssertionError('sievec: ' + done.stderr.decode())

    # Users

    def new_user(self, pool, folder, count):
        """A user with count messages in the folder; returns the name."""
        self.user_count += 1
        user = f'user{self.user_count}'
        home = self.home(user)
        os.mkdir(home, 0o700)
        maildir = f'{home}/mail' + ('' if folder == 'INBOX' else f'/.{folder}')
        os.makedirs(f'{maildir}/cur')
        os.mkdir(f'{home}/spool')
        for name in ('new', 'tmp'):
            os.mkdir(f'{maildir}/{name}')
        pool.link(maildir, count)
        for path, _, _ in os.walk(home):
            os.chown(path, harness.MAIL_UID, harness.MAIL_UID)
        return user

    def spooled(self, user):
        """Sizes of the files in the user's spool."""
        with os.scandir(f'{self.home(user)}/spool') as entries:
            return sorted(entry.stat().st_size for entry in entries
                          if entry.name.endswith('.spam'))

    def imap_pids(self):
        found = []
        for pid, _ in harness.descendants(self.process.pid):
            try:
                with open(f'/proc/{pid}/comm', encoding='ascii') as file:
                    if file.read() == 'imap\n':
                        found.append(pid)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found


def peer(package):
    """Where a peer's package is unpacked."""
    return pkg.unpacked(package).removesuffix(pkg.LIBDIR)


def tempdir():
    return os.environ['BENCH_FS']


def compile_program(name, *flags, output=None):
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([os.environ.get('CC', 'gcc'), '-O2', '-Wall', *flags, '-o',
                    f'{tempdir()}/{output or name}', f'{here}/{name}.c'],
                   check=True)


def contenders():
    """All that can run beside this Dovecot."""
    found = [
        Contender('none', 'no plugin', plugin='none'),
        Contender('never', 'no plugin, fsync never', plugin='none',
                  extra=NEVER),
        Contender('pipe', 'pipe', PIPE),
        Contender('spool', 'spool2dir', SPOOL),
        Contender('spool-never', 'spool2dir, fsync never', SPOOL, NEVER,
                  base='never'),
    ]
    # Neither is made for 2.4 as it stands here.
    if pkg.dovecot_version() < (2, 4):
        peer(OLD_PACKAGE)
        peer(SIEVE_PACKAGE)
        found += [
            Contender('old-pipe', 'dovecot-antispam pipe', PIPE,
                      plugin='old'),
            Contender('old-spool', 'dovecot-antispam spool2dir', SPOOL,
                      plugin='old'),
            Contender('sieve', 'IMAPSieve pipe :copy', SIEVE, plugin='sieve'),
        ]
    return found

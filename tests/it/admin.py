# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A private Dovecot as an admin has it: configured by text, as the manual and
README give it, and with the files that happen to lie there."""

import os
import re

import pkg
from harness import Dovecot, free_port
from tap import equal

# What the harness loads the plugin by, which is the text's business here.
LOADING = {
    (2, 3): ('mail_plugins = $mail_plugins antispam\n', ''),
    (2, 4): ('mail_plugins {\nantispam = yes\n}\n', ''),
}
LOAD = {
    (2, 3): 'protocol imap {\n  mail_plugins = $mail_plugins antispam\n}\n',
    (2, 4): 'protocol imap {\n  mail_plugins {\n    antispam = yes\n  }\n}\n',
}
# A port that an example names; another process may have it.
EXAMPLE_PORT = '9900'
PLUGIN = 'modules/lib90_antispam_plugin.so'
MODULE = 'modules/settings/libantispam_settings.so'
TRAINER = 'antispam-trainer'


def release():
    """(2, 3) or (2, 4)."""
    return pkg.dovecot_version()[:2]


def number():
    return '.'.join(str(n) for n in release())


def whole(*lines):
    """Settings as the manual's synopsis shows where they go."""
    if release() >= (2, 4):
        return LOAD[release()] + '\n'.join(lines) + '\n'
    return LOAD[release()] + '\n'.join(('plugin {', *lines, '}')) + '\n'


class Admin(Dovecot):
    """text    what stands at the end of dovecot.conf; it loads the plugin
    change  called with the directory that Dovecot sees as its own, in which
            PLUGIN and MODULE are copies

    Other arguments are Dovecot's."""

    def __init__(self, text, change=None, **kwargs):
        super().__init__(**kwargs)
        self.text, self.change = text, change
        self.written = self.example_port = None

    def _prepare(self):
        super()._prepare()
        if self.change is not None:
            self.change(f'{self.dir}/lib')

    def _configure(self, port):
        super()._configure(port)
        self.example_port = free_port()
        with open(f'{self.dir}/dovecot.conf', encoding='utf-8') as file:
            before = file.read()
        old, new = LOADING[release()]
        equal(before.count(old), 1, 'what loads the plugin')
        self.written = self.text.replace(EXAMPLE_PORT, str(self.example_port))
        self.write('dovecot.conf', before.replace(old, new) + self.written)

    def write(self, name, text):
        """Another configuration; returns its path."""
        path = f'{self.dir}/{name}'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def with_text(self, name, text):
        """The same with another text at its end; returns its path."""
        with open(f'{self.dir}/dovecot.conf', encoding='utf-8') as file:
            mine = file.read()
        equal(mine.endswith(self.written), True, 'ends with the text')
        return self.write(name, mine[:len(mine) - len(self.written)] + text)

    def doveconf(self, *args, path=None):
        """Returns exit status, stdout and stderr."""
        done = self.enter('doveconf', '-c', path or f'{self.dir}/dovecot.conf',
                          *args)
        return (done.returncode, done.stdout.decode(errors='replace'),
                done.stderr.decode(errors='replace'))

    def printed(self):
        """What doveconf -n prints: {name: values}, without the quotes that it
        writes around some. It must say nothing else."""
        status, out, err = self.doveconf('-n')
        equal((status, err), (0, ''), 'doveconf -n')
        found = {}
        for name, value in re.findall(r'(?m)^\s*(\w+) = (.*)$', out):
            if re.fullmatch('".*"', value):
                value = re.sub(r'\\(.)', r'\1', value[1:-1])
            found.setdefault(name, []).append(value.strip())
        return found


def remove(*names):
    """A change that takes files away."""
    def change(lib):
        for name in names:
            os.unlink(f'{lib}/{name}')
    return change


def make_stale(*names):
    """A change after which files say that they are of another ABI."""
    def change(lib):
        for name in names:
            with open(f'{lib}/{name}', 'rb') as file:
                data = file.read()
            found = set(re.findall(rb'\d\.\d+\.ABIv\d+', data))
            equal(len(found), 1, f'ABI versions in {name}')
            mine = found.pop()
            other = b'8' if not mine.endswith(b'8') else b'7'
            with open(f'{lib}/{name}', 'wb') as file:
                file.write(data.replace(mine, mine[:-1] + other))
    return change


def make_stale_trainer(lib):
    """A change after which the trainer says that it is of another version."""
    with open(f'{lib}/{TRAINER}', 'rb') as file:
        data = file.read()
    mine = re.escape(number().encode())
    found = set(re.findall(rb'\0(' + mine + rb'\.[-.0-9]+)\0', data))
    equal(len(found), 1, f'versions in {TRAINER}')
    version = found.pop()
    with open(f'{lib}/{TRAINER}', 'wb') as file:
        file.write(data.replace(version, b'9' + version[1:]))

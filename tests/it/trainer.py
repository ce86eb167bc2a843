# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A private Dovecot whose antispam-trainer is soon found idle, and what can be
said to it."""

import os
import socket
import time

from harness import Dovecot, descendants, wait_until

# Dovecot counts from the fork on: on a busy machine a shorter time can be over
# before the service has begun.
IDLE_SECS = 3
SERVICE = 'antispam-trainer'


class Trainer(Dovecot):
    """service   lines of the service's block
    text      what else stands at the end of dovecot.conf
    prepare   called with this Dovecot before it starts

    Other arguments are Dovecot's."""

    def __init__(self, *args, service=(), text='', prepare=None, **kwargs):
        kwargs.setdefault('queue', True)
        super().__init__(*args, **kwargs)
        self.service, self.text, self.prepare = service, text, prepare

    def _prepare(self):
        super()._prepare()
        if self.prepare is not None:
            self.prepare(self)

    def _configure(self, port):
        super()._configure(port)
        idle = 'idle_kill_interval' if self.version >= (2, 4) else 'idle_kill'
        lines = [f'service {SERVICE} {{', f'{idle} = {IDLE_SECS} s',
                 *self.service, '}', self.text]
        with open(f'{self.dir}/dovecot.conf', 'a', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')

    # The service

    def pids(self):
        """Of the service, and of what it has forked off."""
        return sorted(pid for pid, _ in descendants(self.process.pid)
                      if name_of(pid) == SERVICE)

    def wait_for_start(self):
        """Until it runs; returns its pid."""
        wait_until(self.pids, 15, f'the start of {SERVICE}')
        return self.pids()[0]

    def wait_for_end(self):
        wait_until(lambda: not self.pids(), IDLE_SECS + 15,
                   f'the end of {SERVICE}')

    # Its socket

    def connect(self):
        """As a blocking client: it waits while too many others do."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(f'{self.dir}/run/{SERVICE}')
        client.settimeout(10)
        return client

    def say(self, *lines):
        with self.connect() as client:
            client.sendall(''.join(line + '\n' for line in lines).encode())

    def say_and_wait(self, *lines):
        """Until they are read: whoever says more than it takes is hung up
        on."""
        with self.connect() as client:
            client.sendall(''.join(line + '\n' for line in lines).encode())
            client.shutdown(socket.SHUT_WR)
            if client.recv(1) != b'':
                raise AssertionError('it answers')


def name_of(pid):
    """What a process calls itself, without dovecot/; '' if it is gone."""
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            name = file.read().split(b'\0')[0].decode(errors='replace')
    except (FileNotFoundError, ProcessLookupError):
        return ''
    return os.path.basename(name.split(' ')[0])


def wait_a_little():
    """For what should not happen, and would soon."""
    time.sleep(0.3)

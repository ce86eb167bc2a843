# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The queue's directory, as the bench reads and fills it."""

import os
import time
import zlib
from dataclasses import dataclass

from harness import MAIL_UID

# Bytes of the last line.
END_SIZE = 45


@dataclass
class Job:
    # Its message lies in a file of the mail storage, in which place.
    linked: bool
    size: int


def read(path):
    """The jobs of a transaction."""
    with open(f'{path}/jobs', 'rb') as file:
        file.seek(-END_SIZE, os.SEEK_END)
        offset = int(file.read().split(b'\t')[1])
        file.seek(offset)
        lines = file.read().split(b'\n')[1:-2]
    fields = [line.split(b'\t') for line in lines]
    return [Job(field[4] != b'.', int(field[6])) for field in fields]


def names(path):
    """What was released and is not done."""
    return {name for name in os.listdir(path) if name.startswith('job.')}


def fill(path, user, messages, transactions, jobs):
    """Make a queue for root, with so many transactions of so many jobs each,
    of different messages; those of a transaction are links to one file."""
    os.mkdir(path)
    os.chmod(path, 0o1733)
    boot, wall = (int(time.clock_gettime(clock) * 1e6) for clock in
                  (time.CLOCK_BOOTTIME, time.CLOCK_REALTIME))
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        boot_id = file.read().strip()
    sizes = [os.path.getsize(message) for message in messages]
    # They are the user's, as is all that is made now.
    os.setegid(MAIL_UID)
    os.seteuid(MAIL_UID)
    try:
        for number in range(transactions):
            # A file can't have very many links.
            which = number % len(messages)
            head = (f'antispam-queue\t1\t{wall + number}\t{boot + number}\t'
                    f'{boot_id}\t{user}\n')
            lines = head + ''.join(
                f'job\tspam\tother\tspam\tm0\t0\t{sizes[which]}\t'
                f'{number:08x}{job:08x}.M1P2.bench\t\tSPAM\tUID {job + 1} of '
                'INBOX\n' for job in range(jobs))
            _make(f'{path}/job.{number:010}.000000.1.00000000', messages[which],
                  lines.encode(), jobs)
    finally:
        os.seteuid(0)
        os.setegid(0)


def _make(path, message, lines, jobs):
    os.mkdir(path, 0o700)
    os.link(message, f'{path}/m0')
    with open(f'{path}/jobs', 'wb') as file:
        file.write(lines + b'end\t%020d\t%010d\t%08x\n'
                   % (0, jobs, zlib.crc32(lines)))

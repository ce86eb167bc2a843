# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Transactions of the queue, written as the plugin writes them
(antispam-queue-job.h), or as nobody should."""

import os
import time
import zlib

MESSAGE = b'Subject: queued\n\nHello.\n'


def jobs_file(user, count=1, folder='SPAM', age=0, spam=True, crc=0,
              message=MESSAGE):
    """Messages are copied: all jobs have the same one. crc is added to the
    right one."""
    now = time.time() - age
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) - age
    change = 'spam\tother\tspam' if spam else 'ham\tspam\tother'
    lines = (f'antispam-queue\t1\t{int(now * 1e6)}\t{int(boot * 1e6)}\t'
             f'{_boot_id()}\t{user}\n')
    lines += ''.join(
        f'job\t{change}\t.\t0\t{len(message)}\tguid-{now}-{i}\t\t{folder}\t'
        f'UID {i + 1} of INBOX\n' for i in range(count))
    lines = lines.encode()
    end = (zlib.crc32(lines) + crc) & 0xffffffff
    return message + lines + (f'end\t{len(message):020}\t{count:010}\t'
                              f'{end:08x}\n').encode()


def _boot_id():
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        return file.read().strip()


def put(queue, name, uid, files):
    """A directory in the queue with these files, all of uid."""
    path = f'{queue}/{name}'
    os.mkdir(path, 0o700)
    for file, data in files.items():
        with open(f'{path}/{file}', 'wb') as out:
            out.write(data)
        os.chown(f'{path}/{file}', uid, uid)
    os.chown(path, uid, uid)
    return path


def put_job(queue, name, uid, user, state=None, **kwargs):
    files = {'jobs': jobs_file(user, **kwargs)}
    if state is not None:
        files['state'] = state.encode()
    return put(queue, name, uid, files)


def state(first=0, last=0, status='failed', attempts=1, wait=0, why='broken'):
    """A line of the state file."""
    return (f'{first}\t{last}\t{status}\t{attempts}\t'
            f'{int(time.time()) + wait if wait else 0}\t{why}\n')

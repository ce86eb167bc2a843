#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The queue and its reader when something goes wrong: what was promised to be
learned is learned when that is mended, and the mail is moved meanwhile."""

import os
import signal

import jobs
from faults import FaultyDovecot
from harness import SPAM, equal, mail, main, row, stored, test, wait_until


def message(user, number=0, body=''):
    return mail(f'{user} {number}', body or f'to {user}\r\n')


def spam(*messages):
    """What is wanted of the filter."""
    return [(SPAM, stored(text)) for text in messages]


def move(d, user, *messages):
    """Have the user move messages to SPAM in one command."""
    with d.imap(user) as c:
        equal(c.append('INBOX', *messages).status, 'OK')
        reply = c.move(c.select('INBOX'), 'SPAM')
        equal(reply.status, 'OK', str(reply))


def own_program(d, user, mode=0o755):
    """A filter of the user's own: it runs the recording one."""
    path = f'{d.dir}/filter-{user}'
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'#!/bin/sh\nexec {d.dir}/filter/record.sh "$@"\n')
    os.chmod(path, mode)


def kill_trainer(d):
    """At once. Dovecot starts another one when it is woken."""
    pid = jobs.trainer(d)
    os.kill(pid, signal.SIGKILL)
    killed = f'service.antispam-trainer.: child {pid} killed with signal 9'
    wait_until(lambda: d.log(killed), 10, 'the end of the trainer in the log')
    d.assert_log(killed)


def wake(d):
    """Until there is a trainer again: Dovecot may wait before it starts
    one."""
    def there():
        jobs.scan(d)
        return jobs.trainer(d) is not None
    wait_until(there, 20, 'another trainer')


@test
def restarts():
    with FaultyDovecot(name='restarts', settings={
            **jobs.QUEUED, 'antispam_queue_lifetime': '100s',
            'antispam_pipe_program': '@DIR@/filter-u'}) as d:
        row('a trainer that is killed after a failed try: the next one '
            'knows of it, and tries again', killed_after_try, d)


def killed_after_try(d):
    own_program(d, 'u', 0o644)
    move(d, 'u', message('u'))
    wait_until(lambda: d.log('tried again in'), 10, 'a failed try')
    d.expect_log("learn.spam. with pipe failed: can't be executed")
    kill_trainer(d)
    os.chmod(f'{d.dir}/filter-u', 0o755)
    wake(d)
    jobs.assert_taught(d, spam(message('u')))
    d.expect_log("learn.spam. with pipe failed: can't be executed")


main()

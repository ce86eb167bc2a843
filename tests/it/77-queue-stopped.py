#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A local user may stop the process that learns for him: it is his. Others wait
no longer than it may be silent, and what it had not learned is tried again."""

import os
import signal

import jobs
from harness import Dovecot, equal, mail, main, row, test, wait_until

SETTINGS = {**jobs.QUEUED, 'antispam_queue_delay': '0',
            'antispam_timeout': '100ms', 'antispam_trainer_max_children': '1'}
# Five runs of a program, and what it takes to end each.
SILENCE_SECS = 5 * 6.1


def move_one(d, user):
    with d.imap(user) as c:
        equal(c.append('INBOX', mail(user)).status, 'OK')
        reply = c.move(c.select('INBOX'), 'SPAM')
        equal(reply.status, 'OK', str(reply))


def stop_child(d):
    """While the filter has the message."""
    d.recorder.control(sleep=0.05)
    wait_until(lambda: jobs.children(d), 10, 'a child')
    child = jobs.children(d)[0]
    os.kill(child, signal.SIGSTOP)
    d.recorder.control(sleep=None)
    return child


def others_get_their_turn(d):
    d.recorder.control(noread=1, sleep=0.05)
    move_one(d, 'eve')
    child = stop_child(d)
    move_one(d, 'bob')
    said = 'antispam: user bob: 1 learned as spam'
    equal(d.log(said), [], 'too early')
    wait_until(lambda: d.log(said), SILENCE_SECS + 20, said)
    equal(os.path.exists(f'/proc/{child}'), False, 'the child is there')
    d.assert_log('antispam: user eve: learn.spam. with pipe failed: the '
                 'process that was to teach it said nothing for 30 s, and was '
                 'ended; tried again in 60 s')
    equal(len(jobs.names(d)), 1, 'transactions')


@test
def stopped():
    with Dovecot(settings=SETTINGS) as d:
        row('a stopped child is ended', others_get_their_turn, d)


main()

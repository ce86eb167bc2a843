#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Real filters behind the queue, with the settings of README: each message that
is moved is learned once, many at a time where the filter can take that, and
what is moved back is learned as the other class."""

import os
import re
import sys

import pkg
import readme
from harness import MAIL_UID, Dovecot, Skip, equal, mail, main, row, test, \
    wait_until

sys.path.insert(0, os.path.join(pkg.ROOT, 'tests', 'demo'))
from learners import Bogofilter, Crm114, SpamAssassin

PILLS = 'cheap pills, buy pills now, best pills, pharmacy without a doctor'
QUEUE = {'antispam_queue_dir': '@DIR@/queue', 'antispam_queue_delay': '0'}


class Counting:
    """A filter whose memory can be looked at, in the user's home."""

    def __init__(self, d, user):
        home = d.home(user)
        os.makedirs(home)
        os.chown(home, MAIL_UID, MAIL_UID)
        super().__init__(home, MAIL_UID)


class BogofilterWords(Counting, Bogofilter):
    def counts(self):
        """Messages learned as spam, and as ham."""
        path = f'{self.home}/.bogofilter/wordlist.db'
        if not os.path.exists(path):
            return 0, 0
        out = self.run('bogoutil', '-w', path, '.MSG_COUNT').stdout.decode()
        found = re.search(r'(?m)^\.MSG_COUNT +(\d+) +(\d+)', out)
        return int(found[1]), int(found[2])


class SpamAssassinWords(Counting, SpamAssassin):
    def counts(self):
        if not os.path.exists(f'{self.home}/bayes/bayes_toks'):
            return 0, 0
        out = self.run('sa-learn', *self.options, '--dump',
                       'magic').stdout.decode()
        return tuple(int(re.search(rf'(\d+) +\d+ +non-token data: {name}\n',
                                   out)[1]) for name in ('nspam', 'nham'))


def put(d, user, folder, *messages):
    with d.fill(user) as c:
        reply = c.append(folder, *messages)
        equal(reply.status, 'OK', str(reply))


def move(d, user, source, dest):
    """Move all that is there."""
    with d.imap(user) as c:
        reply = c.move(c.select(source), dest)
        equal((reply.status, c.uids()), ('OK', []), str(reply))


def wait(d):
    """Until the trainer has done all there is."""
    wait_until(lambda: os.listdir(f'{d.dir}/queue') == [], 60,
               'an empty queue')


def texts(count):
    return [mail(f'offer {i}', f'{PILLS} {i} {i * 7}\r\n')
            for i in range(count)]


def learned(d, words, count, runs, back=None):
    """So many messages there, and back again."""
    put(d, 'bob', 'INBOX', *texts(count))
    move(d, 'bob', 'INBOX', 'Junk')
    wait(d)
    equal(words.counts(), (count, 0), 'after a move to Junk')
    move(d, 'bob', 'Junk', 'INBOX')
    wait(d)
    equal(words.counts(), back or (0, count), 'after a move back')
    for name in ('spam', 'ham'):
        found = d.log(rf'trainer.*: Info: antispam: user bob: (\d+) learned '
                      f'as {name} by pipe')
        equal(sum(int(re.search(r'(\d+) learned', line)[1])
                  for line in found), count, f'learned as {name}')
        equal(len(found) <= runs, True, f'{len(found)} runs: {found}')


def quick_start(heading, **other):
    """README's settings, with a queue of our own and no waiting."""
    found = readme.settings(heading, pkg.dovecot_version())
    equal(found['antispam_training'], 'queued')
    return {**found, **QUEUE, **other}


@test
def bogofilter():
    if not os.path.exists('/usr/bin/bogofilter'):
        raise Skip('bogofilter is not installed')
    with Dovecot(settings=quick_start('bogofilter'), users={'bob': {}},
                 name='bogofilter, queued') as d:
        words = BogofilterWords(d, 'bob')
        row('bogofilter: 60 messages to Junk and back', learned, d, words, 60,
            2, (60, 60))


@test
def sa_learn():
    if not os.path.exists('/usr/bin/sa-learn'):
        raise Skip('spamassassin is not installed')
    private = SpamAssassin.settings['antispam_pipe_program_args']
    for how, more in (('files', ''), ('mbox', ';--mbox')):
        settings = quick_start(
            'SpamAssassin: sa-learn', antispam_pipe_batch=how,
            antispam_pipe_program_args=private + more)
        with Dovecot('mdbox', settings=settings, users={'bob': {}},
                     name=f'sa-learn, queued, {how}') as d:
            words = SpamAssassinWords(d, 'bob')
            row(f'sa-learn, {how}: 40 messages to Junk and back', learned, d,
                words, 40, 2)


def reaver_learns(d, reaver):
    """Messages that it has delivered, by the id that it has given them; the
    backend believes its words alone."""
    spam = [one.message for one in reaver.judge(
        [message.replace(b'\r\n', b'\n') for message in texts(12)])]
    put(d, 'bob', 'INBOX', *spam)
    move(d, 'bob', 'INBOX', 'Junk')
    wait(d)
    d.assert_log('trainer.*: Info: antispam: user bob: 12 learned as spam by '
                 'crm114')


@test
def crm114():
    if not os.path.exists('/usr/share/crm114/mailreaver.crm'):
        raise Skip('crm114 is not installed')
    with Dovecot(settings=quick_start('crm114'), users={'bob': {}},
                 name='crm114, queued') as d:
        os.makedirs(d.home('bob'))
        os.chown(d.home('bob'), MAIL_UID, MAIL_UID)
        row('crm114: 12 messages to Junk', reaver_learns, d,
            Crm114(d.home('bob'), MAIL_UID))


main()

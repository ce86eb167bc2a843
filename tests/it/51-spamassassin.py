#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""SpamAssassin's sa-learn itself, with few rules: each message is learned once,
a flip flips, and what is too big for it is not learned."""

import os
import re
import sys

import pkg
import readme
from harness import MAIL_UID, Dovecot, Skip, equal, mail, main, row, test

sys.path.insert(0, os.path.join(pkg.ROOT, 'tests', 'demo'))
# From tests/demo: its rules and settings, and how it judges.
from learners import GOOD, SPAM, SpamAssassin

PROGRAM = '/usr/bin/sa-learn'
LEARNED = 'Info: antispam: {} learned as {} by pipe'
FAILED = '{}.*Error: antispam: learn.spam. with pipe failed: exited with ' \
    'status {}: {}'
PILLS = 'cheap pills, buy pills now, best pills, pharmacy without a doctor'
MEETING = 'the minutes of our meeting, and the agenda of the next one'
# Bytes; sa-learn passes over a message that is bigger.
LIMIT = 500 * 1024


class Words(SpamAssassin):
    """A user's database."""

    def __init__(self, home):
        os.makedirs(home)
        os.chown(home, MAIL_UID, MAIL_UID)
        super().__init__(home, MAIL_UID)

    def counts(self):
        """Messages learned as spam, and as ham."""
        if not os.path.exists(f'{self.home}/bayes/bayes_toks'):
            return 0, 0
        out = self.run('sa-learn', *self.options, '--dump',
                       'magic').stdout.decode()
        return tuple(int(re.search(rf'(\d+) +\d+ +non-token data: {name}\n',
                                   out)[1]) for name in ('nspam', 'nham'))

    def verdict(self, text):
        """Of a message that has never been there."""
        return self.judge([mail('judge this', f'{text}\r\n' * 3)])[0].verdict


def texts(text, count):
    return [mail(f'{text[:4]} {i}', f'{text} {i}\r\n') for i in range(count)]


def sized(size):
    """A message that Dovecot stores as so many bytes."""
    text = mail('big', 'a line of it\r\n' * (size // 14))
    missing = size - len(text.replace(b'\r\n', b'\n'))
    return text + b'x' * (missing - 1) + b'\r\n'


def put(d, user, folder, *messages):
    with d.fill(user) as c:
        reply = c.append(folder, *messages)
        equal(reply.status, 'OK', str(reply))


def move(d, user, source, dest):
    """Move all that is there."""
    with d.imap(user) as c:
        uids = c.select(source)
        reply = c.move(uids, dest)
        equal((reply.status, c.uids()), ('OK', []), str(reply))


def refused(d, user, source):
    """To Junk, but all of it stays where it is."""
    with d.imap(user) as c:
        uids = c.select(source)
        reply = c.move(uids, 'Junk')
        equal((reply.status, reply.code, c.uids(), c.count('Junk')),
              ('NO', 'UNAVAILABLE', uids, 0), str(reply))


def once(d, words):
    """Also if the same message comes along again: sa-learn remembers."""
    put(d, 'bob', 'INBOX', mail('once', PILLS))
    with d.imap('bob') as c:
        uids = c.select('INBOX')
        equal(c.copy(uids, 'SPAM').status, 'OK')
        equal(words.counts(), (1, 0), 'after a message was copied to SPAM')
        equal(c.move(uids, 'Junk').status, 'OK')
    equal(words.counts(), (1, 0), 'after it was moved to Junk, too')
    d.assert_log('bob.*' + LEARNED.format(1, 'spam'), 2)


def flip(d, words):
    spam, ham = words.counts()
    move(d, 'bob', 'Junk', 'INBOX')
    equal(words.counts(), (spam - 1, ham + 1), 'after it was moved back')
    move(d, 'bob', 'INBOX', 'Junk')
    equal(words.counts(), (spam, ham), 'after it was moved to Junk again')


def verdicts(d, words):
    """On messages that it has never seen; from five lessons of each class on
    it says anything at all. Several at once make the database."""
    put(d, 'cat', 'INBOX', *texts(PILLS, 8))
    put(d, 'cat', 'SPAM', *texts(MEETING, 6))
    equal(words.verdict(PILLS), GOOD, 'verdict at first')
    move(d, 'cat', 'INBOX', 'Junk')
    equal(words.counts(), (8, 0), 'after 8 messages in one MOVE')
    move(d, 'cat', 'SPAM', 'Work')
    equal(words.counts(), (8, 6), 'after 6 messages out of SPAM')
    d.assert_log('cat.*' + LEARNED.format(8, 'spam'))
    d.assert_log('cat.*' + LEARNED.format(6, 'ham'))
    equal((words.verdict(PILLS), words.verdict(MEETING)), (SPAM, GOOD),
          'verdicts')


def big(d, words):
    """One byte decides; that of antispam_max_size is that of sa-learn."""
    put(d, 'dan', 'INBOX', sized(LIMIT + 1), sized(LIMIT), mail('a', 'b'))
    move(d, 'dan', 'INBOX', 'Junk')
    equal(words.counts(), (2, 0), 'learned')
    d.assert_log('dan.*' + LEARNED.format(2, 'spam')
                 + ', 1 not learned .bigger than antispam_max_size.')


def too_big(d, words):
    put(d, 'eve', 'INBOX', sized(LIMIT + 1))
    refused(d, 'eve', 'INBOX')
    equal(words.counts(), (0, 0), 'learned')
    d.assert_log(FAILED.format('eve', 1, 'Learned tokens from 0 message.s. '
                               '.0 message.s. examined.'))


def too_big_lifted(d, words):
    put(d, 'fay', 'INBOX', sized(LIMIT + 1))
    move(d, 'fay', 'INBOX', 'Junk')
    equal(words.counts(), (1, 0), 'learned')


def unwritable(d, words):
    os.chown(f'{words.home}/bayes', 0, 0)
    os.chmod(f'{words.home}/bayes', 0o555)
    put(d, 'gus', 'INBOX', mail('unwritable', PILLS))
    refused(d, 'gus', 'INBOX')
    d.assert_log(FAILED.format('gus', r'\d+', '.*bayes: '))


@test
def sa_learn():
    if not os.path.exists(PROGRAM):
        raise Skip('spamassassin is not installed')
    found = readme.settings('SpamAssassin: sa-learn', pkg.dovecot_version())
    private = SpamAssassin.settings['antispam_pipe_program_args']
    # Inline: what was learned can be seen when the command has ended.
    settings = {**found, 'antispam_pipe_program_args': private,
                'antispam_training': 'inline'}
    unlimited = {'antispam_max_size': '0'}
    users = {'bob': {}, 'cat': {}, 'dan': {}, 'eve': unlimited,
             'fay': {**unlimited, 'antispam_pipe_program_args':
                     private + ';--max-size=0'}, 'gus': {}}
    with Dovecot(settings=settings, users=users, name='sa-learn') as d:
        words = {user: Words(d.home(user)) for user in users}
        row("README's program", equal, found['antispam_pipe_program'],
            PROGRAM)
        row('one message, twice to the spam folders', once, d, words['bob'])
        row('out of Junk, and back again', flip, d, words['bob'])
        row('several at once, and verdicts', verdicts, d, words['cat'])
        row('more than 500 kB, antispam_max_size = '
            + found['antispam_max_size'], big, d, words['dan'])
        row('more than 500 kB, no antispam_max_size', too_big, d,
            words['eve'])
        row('more than 500 kB, --max-size=0', too_big_lifted, d,
            words['fay'])
        row('a database that can not be made', unwritable, d, words['gus'])


main()

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""bogofilter itself, with the settings of README: each message that is moved
is counted once, as what it is, and others like it are judged another way."""

import os
import shutil
import subprocess

import pkg
import readme
from harness import MAIL_UID, Dovecot, Skip, equal, mail, main, row, test

PROGRAM = '/usr/bin/bogofilter'
LEARNED = 'Info: antispam: {} learned as {} by pipe'
VERDICTS = {0: 'spam', 1: 'ham', 2: 'unsure'}
PILLS = 'cheap pills, buy pills now, best pills, pharmacy without a doctor'
MEETING = 'the minutes of our meeting, and the agenda of the next one'
# For a delivery that learns each verdict at once.
UNDO = {'antispam_pipe_program_spam_args': '-Ns;-B',
        'antispam_pipe_program_notspam_args': '-Sn;-B'}
# So that what was learned can be seen as soon as the command has ended.
INLINE = {'antispam_training': 'inline'}


class Words:
    """A user's database."""

    def __init__(self, home):
        self.home = home
        self.dir = f'{home}/.bogofilter'
        os.makedirs(home, exist_ok=True)
        os.chown(home, MAIL_UID, MAIL_UID)

    def run(self, *command, data=b'', codes=(0,)):
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=60,
            user=MAIL_UID, group=MAIL_UID, extra_groups=[], cwd=self.home,
            env={'PATH': '/usr/bin:/bin', 'HOME': self.home})
        if done.returncode not in codes:
            raise AssertionError(f'{command}: {done.returncode}, '
                                 + done.stderr.decode(errors='replace'))
        return done

    def counts(self):
        """Messages learned as spam, and as ham."""
        if not os.path.exists(f'{self.dir}/wordlist.db'):
            return 0, 0
        out = self.run('bogoutil', '-w', f'{self.dir}/wordlist.db',
                       '.MSG_COUNT').stdout.decode()
        for line in out.splitlines():
            if line.startswith('.MSG_COUNT'):
                spam, ham = line.split()[1:3]
                return int(spam), int(ham)
        raise AssertionError(f'no .MSG_COUNT: {out}')

    def learn(self, message):
        """By hand; returns how many messages it has found."""
        before = self.counts()[0]
        self.run(PROGRAM, '-s', data=message.replace(b'\r\n', b'\n'))
        return self.counts()[0] - before

    def verdict(self, text):
        """Of a message that has never been there."""
        done = self.run(PROGRAM, data=mail('judge this', text * 3),
                        codes=VERDICTS)
        return VERDICTS[done.returncode]


def texts(text, count):
    return [mail(f'{text[:4]} {i}', f'{text} {i}\r\n') for i in range(count)]


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


def once(d, words):
    """The first lesson of all, and one of the other class."""
    put(d, 'bob', 'INBOX', mail('first', PILLS))
    move(d, 'bob', 'INBOX', 'Junk')
    equal(words.counts(), (1, 0), 'after a message was moved to Junk')
    d.assert_log(LEARNED.format(1, 'spam'))
    put(d, 'bob', 'SPAM', mail('second', MEETING))
    move(d, 'bob', 'SPAM', 'INBOX')
    equal(words.counts(), (1, 1), 'after another was moved out of SPAM')
    d.assert_log(LEARNED.format(1, 'ham'))


def many(d, words):
    spam, ham = words.counts()
    put(d, 'bob', 'Work', *texts(PILLS, 40))
    move(d, 'bob', 'Work', 'Junk')
    equal(words.counts(), (spam + 40, ham), 'after 40 messages in one MOVE')
    d.assert_log(LEARNED.format(40, 'spam'))


def many_at_first(d, words):
    """Of several bogofilters that make the database, some would fail."""
    put(d, 'eve', 'Work', *texts(PILLS, 20))
    move(d, 'eve', 'Work', 'Junk')
    equal(words.counts(), (20, 0), 'after 20 messages in one MOVE')


def verdicts(d, words):
    """A message that it has never seen."""
    before = words.verdict(PILLS), words.verdict(MEETING)
    put(d, 'cat', 'INBOX', *texts(PILLS, 12))
    move(d, 'cat', 'INBOX', 'Junk')
    put(d, 'cat', 'Junk', *texts(MEETING, 12))
    with d.imap('cat') as c:
        uids = c.select('Junk')[-12:]
        equal(c.move(uids, 'INBOX').status, 'OK')
    equal(words.counts(), (13, 13), 'learned')
    after = words.verdict(PILLS), words.verdict(MEETING)
    equal((before, after), (('unsure', 'unsure'), ('spam', 'ham')), 'verdicts')


def one_of_each(d, words):
    """So that bogofilter judges at all: words of no meaning."""
    put(d, 'cat', 'INBOX', mail('word', 'lorem ipsum'))
    move(d, 'cat', 'INBOX', 'SPAM')
    put(d, 'cat', 'SPAM', mail('word', 'dolor sit amet'))
    with d.imap('cat') as c:
        equal(c.move(c.select('SPAM')[-1], 'Trash').status, 'OK')
        equal(words.counts(), (1, 0), 'after a message was thrown away')
        equal(c.move(c.select('SPAM')[0], 'Work').status, 'OK')
    equal(words.counts(), (1, 1), 'learned')


def flip(d, words, user, there, back):
    """There and back again."""
    before = words.counts()
    put(d, user, 'INBOX', mail('flip', MEETING))
    for source, dest, added in (('INBOX', 'Junk', there),
                                ('Junk', 'INBOX', back)):
        move(d, user, source, dest)
        equal(words.counts(), tuple(a + b for a, b in zip(before, added)),
              f'after it was moved to {dest}')


def from_lines(d, words):
    """bogofilter takes what begins with "From " for a whole mailbox, and each
    such line in it for a message."""
    spam, ham = words.counts()
    text = b'From bob@example.org  Sat Nov 21 07:26:52 2026\r\n' \
        b'Return-Path: <ann@example.org>\r\n' \
        + mail('from', 'From the desk of a prince\r\n\r\nFrom bob\r\n' * 3)
    equal(Words(words.home + '/other').learn(text), 5, 'messages in it')
    put(d, 'bob', 'Trash', text)
    with d.imap('bob') as c:
        uids = c.select('Trash')
        equal(c.copy(uids, 'Work').status, 'OK')
    move(d, 'bob', 'Work', 'Junk')
    equal(words.counts(), (spam + 1, ham), 'after a message with From lines')


def unwritable(d, words):
    os.makedirs(words.dir)
    os.chmod(words.dir, 0o555)
    put(d, 'dan', 'INBOX', *texts(PILLS, 2))
    with d.imap('dan') as c:
        reply = c.move(c.select('INBOX'), 'Junk')
        equal((reply.status, reply.code, len(c.uids()), c.count('Junk')),
              ('NO', 'UNAVAILABLE', 2, 0), str(reply))
    d.assert_log('dan.*Error: antispam: learn.spam. with pipe failed: exited '
                 "with status 3: .*[Cc]an't open.*wordlist.db", 2)


def literal(found):
    """The settings are those that README explains."""
    equal(sorted(found), [
        'antispam_backend', 'antispam_pipe_batch', 'antispam_pipe_program',
        'antispam_pipe_program_notspam_args',
        'antispam_pipe_program_spam_args', 'antispam_training'], 'settings')
    equal(found['antispam_pipe_program'], PROGRAM)


@test
def bogofilter():
    if not os.path.exists(PROGRAM) or not shutil.which('bogoutil'):
        raise Skip('bogofilter is not installed')
    found = readme.settings('bogofilter', pkg.dovecot_version())
    users = {'bob': {}, 'cat': {}, 'dan': {}, 'eve': {}, 'fay': UNDO,
             'gus': {}}
    with Dovecot(settings={**found, **INLINE}, users=users,
                 name='bogofilter') as d:
        words = {user: Words(d.home(user)) for user in users}
        row("README's settings", literal, found)
        row('a message to Junk, another out of it', once, d, words['bob'])
        row('40 messages in one MOVE', many, d, words['bob'])
        row('20 messages in one MOVE, and no database yet', many_at_first, d,
            words['eve'])
        row('a message that begins with "From "', from_lines, d,
            words['bob'])
        row('there and back again', flip, d, words['gus'], 'gus', (1, 0),
            (1, 1))
        row('there and back again, with -Ns and -Sn', flip, d, words['fay'],
            'fay', (1, 0), (0, 1))
        row('one lesson of each class; trash is none', one_of_each, d,
            words['cat'])
        row('verdicts on a message never seen', verdicts, d, words['cat'])
        row('a database that can not be made', unwritable, d, words['dan'])


main()

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""antispam_training = queued: what users do in their folders is learned later,
byte for byte, once, as what it comes to, and no command waits for a filter."""

import base64
import os
import random
import shutil
import socket
import time
from contextlib import ExitStack

import jobs
import pkg
from faults import FaultyDovecot
from harness import (DEFAULT_BOXES, HAM, MAIL_UID, SPAM, Dovecot, Literal,
                     Namespace, Skip, equal, mail, main, row, stored, test,
                     wait_until)

MB = 1000 * 1000
APPEND = {'antispam_allow_append_to_spam': 'yes'}


def lines(size):
    text = base64.encodebytes(random.Random(size).randbytes(size * 3 // 4))
    return b'Subject: many\r\n\r\n' + text.replace(b'\n', b'\r\n')


# As clients send them.
MESSAGES = {
    'text': mail('text'),
    'no final newline': b'Subject: x\r\n\r\nthe end',
    'NULs': b'Subject: a\0b\r\n\r\n\0x\0\0y\r\n\0\r\n\0',
    'all bytes': b'Subject: \xe4\xf6\r\n\r\n' +
                 bytes(c for c in range(256) if c not in b'\r\n') + b'\r\n',
    '5 MB': lines(5 * MB),
}
# As they may lie in a Maildir.
FILES = {
    '0 bytes': b'',
    'CRLF': b'Subject: x\r\n\r\nbody\r\n\r\n',
    'a From_ line': b'From me Sat Nov 21 07:26:52 2026\nSubject: y\n\nbody\n',
    'a From_ line alone': b'From ',
    'From without a blank': b'From: me\n\nbody\n',
    'NULs, CR alone': b'Subject: x\n\n\0\r\0\r\r\n\n',
}


def literal(message):
    return Literal(message, binary=b'\0' in message)


def as_taught(message):
    """Without a first line that begins with "From "."""
    if not message.startswith(b'From '):
        return message
    return message.partition(b'\n')[2]


def files(directory):
    return [os.path.join(path, name) for path, _, names in os.walk(directory)
            for name in names]


class Variant:
    """Where mail and queue lie. comes: are messages there as they are taught,
    and not changed by the storage? linked: are copies of them needless?"""

    def __init__(self, name, source='INBOX', dest='SPAM', linked=True,
                 exact=True, tmpfs=False, **options):
        self.name, self.source, self.dest = name, source, dest
        self.linked, self.exact, self.tmpfs = linked, exact, tmpfs
        self.options = {'storage': 'maildir', **options}
        # A move within a storage leaves the file.
        self.keeps = 'namespaces' not in options

    def is_maildir(self):
        return self.options['storage'] == 'maildir' and \
            self.source == 'INBOX' and 'plugins' not in self.options


def spaces(storage):
    return [Namespace('other/', storage, boxes={'SPAM': '', 'Work': ''})]


VARIANTS = (
    Variant('maildir'),
    Variant('sdbox', storage='sdbox'),
    Variant('mdbox', storage='mdbox'),
    Variant('mbox', storage='mbox', linked=False, exact=False),
    Variant('compressed maildir', plugins=['compress'], linked=False),
    Variant('maildir to sdbox', dest='other/SPAM', namespaces=spaces('sdbox')),
    Variant('sdbox to maildir', source='other/Work',
            namespaces=spaces('sdbox')),
    Variant('a queue elsewhere', tmpfs=True, linked=False),
)
USERS = ('copy', 'move', 'expunge', 'append', 'multiappend', 'replace')


@test
def contents():
    for variant in VARIANTS:
        settings = {**jobs.QUEUED, **APPEND, 'antispam_queue_delay': '10ms'}
        with Dovecot(settings=settings, users={user: {} for user in USERS},
                     name=variant.name, **variant.options) as d:
            if variant.tmpfs:
                jobs.mount_queue(d)
            wanted = []
            with jobs.held(d):
                for command in ('copy', 'move', 'expunge'):
                    row(f'{variant.name}: {command}', moved, d, variant,
                        command, wanted)
                row(f'{variant.name}: APPEND', appended, d, variant, wanted)
                row(f'{variant.name}: MULTIAPPEND', multiappended, d, variant,
                    wanted)
                row(f'{variant.name}: REPLACE', replaced, d, variant, wanted)
            row(f'{variant.name}: all of it is learned', learned, d, variant,
                wanted)


def learned(d, variant, wanted):
    got = jobs.taught(d)
    if variant.exact:
        jobs.assert_same(got, jobs.Counter(wanted))
    else:
        # mbox ends a message with newlines of its own.
        equal(sorted((what, text.rstrip(b'\n')) for what, text in
                     got.elements()),
              sorted((what, text.rstrip(b'\n')) for what, text in wanted))
    equal(jobs.failed(d), [], 'failed')


def fill(d, variant, user):
    """Messages in the user's source folder; returns them as taught."""
    wanted = []
    with d.fill(user) as c:
        for message in MESSAGES.values():
            reply = c.append(variant.source, literal(message))
            equal(reply.status, 'OK', str(reply))
        if variant.is_maildir():
            for number, message in enumerate(FILES.values()):
                path = f'{d.home(user)}/mail/cur/{number}.M1P1.it:2,'
                with open(path, 'wb') as file:
                    file.write(message)
                os.chown(path, MAIL_UID, MAIL_UID)
                wanted.append((SPAM, as_taught(message)))
        c.select(variant.source)
        for uid in c.uids()[-len(MESSAGES):] if not variant.exact else ():
            wanted.append((SPAM, stored(c.body(uid, 'BINARY.PEEK[]'))))
    if variant.exact:
        wanted += [(SPAM, stored(text)) for text in MESSAGES.values()]
    return wanted


def moved(d, variant, user, wanted):
    mine = fill(d, variant, user)
    with d.imap(user) as c:
        uids = c.select(variant.source)
        equal(len(uids), len(mine), 'messages')
        reply = (c.copy if user == 'copy' else c.move)(uids, variant.dest)
        equal(reply.status, 'OK', str(reply))
        wanted += mine
        tx, = jobs.transactions(d, user)
        equal(len(tx.jobs), len(mine), 'jobs')
        for job in tx.jobs:
            equal(job.source != '.', variant.linked, f'linked, {job}')
            if variant.linked and (user == 'copy' or variant.keeps):
                assert_linked(d, user, tx, job)
        if user == 'expunge':
            expunge(d, variant, c)
            equal(files_of(d, user, tx), [], 'files that are left')
    equal(sorted((SPAM, as_taught(tx.message(job))) for job in tx.jobs),
          sorted(mine), 'in the queue')


def assert_linked(d, user, tx, job):
    device, inode = tx.inode(job)
    there = {(stat.st_dev, stat.st_ino)
             for stat in map(os.stat, files(d.home(user)))}
    if (device, inode) not in there:
        raise AssertionError(f'no file of {user} is {job}')


def expunge(d, variant, c):
    """What was moved is removed at once, wherever it lies."""
    c.select(variant.dest)
    c.store(['1:*'], r'+FLAGS (\Deleted)')
    c.do('EXPUNGE')
    if variant.options['storage'] == 'mdbox':
        d.doveadm('purge', '-u', 'expunge')


def files_of(d, user, tx):
    """The user's files that are links in the queue."""
    inodes = {tx.inode(job) for job in tx.jobs if job.source != '.'}
    return [path for path in files(d.home(user))
            if (os.stat(path).st_dev, os.stat(path).st_ino) in inodes]


def appended(d, variant, wanted):
    with d.imap('append') as c:
        for message in MESSAGES.values():
            reply = c.append(variant.dest, literal(message))
            equal(reply.status, 'OK', str(reply))
            wanted.append((SPAM, stored(message)))
    equal(len(jobs.transactions(d, 'append')), len(MESSAGES), 'transactions')


def multiappended(d, variant, wanted):
    messages = [literal(message) for message in MESSAGES.values()]
    with d.imap('multiappend') as c:
        reply = c.append(variant.dest, *messages)
        equal(reply.status, 'OK', str(reply))
    wanted += [(SPAM, stored(text)) for text in MESSAGES.values()]
    tx, = jobs.transactions(d, 'multiappend')
    equal([(job.origin_class, job.guid) for job in tx.jobs],
          [('append', '')] * len(messages), 'jobs')


def replaced(d, variant, wanted):
    with d.imap('replace') as c:
        if not c.capability('REPLACE'):
            raise Skip('this Dovecot has no REPLACE')
        equal(c.append('INBOX', mail('draft')).status, 'OK')
        uid, = c.select('INBOX')
        new = mail('replaced')
        reply = c.cmd(f'UID REPLACE {uid}', f'"{variant.dest}"', Literal(new))
        equal(reply.status, 'OK', str(reply))
    wanted.append((SPAM, stored(new)))


# Net decisions

# Folders one after the other; "|" = the delay has passed; and what is learned.
PATHS = {
    'there-and-back': (('INBOX', 'SPAM', 'INBOX'), []),
    'back-and-there': (('SPAM', 'INBOX', 'SPAM'), []),
    'there-back-there': (('INBOX', 'SPAM', 'INBOX', 'SPAM'), [SPAM]),
    'unsure-spam-ham': (('Unsure', 'SPAM', 'INBOX'), [HAM]),
    'unsure-ham-spam': (('Unsure', 'INBOX', 'SPAM'), [SPAM]),
    'into-trash': (('INBOX', 'SPAM', 'Trash'), None),
    'later-back': (('INBOX', 'SPAM', '|', 'INBOX'), [SPAM, HAM]),
    'later-there': (('SPAM', 'INBOX', '|', 'SPAM'), [HAM, SPAM]),
    'later-twice': (('INBOX', 'SPAM', '|', 'INBOX', 'SPAM'), [SPAM]),
}
# mbox does not know a message again.
MBOX_PATHS = {
    'there-and-back': (('INBOX', 'SPAM', 'INBOX'), [SPAM, HAM]),
    'back-and-there': (('SPAM', 'INBOX', 'SPAM'), [HAM, SPAM]),
}
DELAY_SECS = 2


@test
def net_decisions():
    settings = {**jobs.QUEUED, 'antispam_queue_delay': f'{DELAY_SECS}s',
                'antispam_unsure': 'Unsure'}
    with ExitStack() as stack:
        servers = [(stack.enter_context(Dovecot(
            storage, settings=settings, users={user: {} for user in PATHS},
            name=f'decisions on {storage}')), paths)
            for storage, paths in (('maildir', PATHS), ('sdbox', PATHS),
                                   ('mdbox', PATHS), ('mbox', MBOX_PATHS))]
        with ExitStack() as holding:
            for d, _ in servers:
                holding.enter_context(jobs.held(d))
            for d, paths in servers:
                for user, (path, _) in paths.items():
                    follow(d, user, path)
                three_copies(d)
            time.sleep(DELAY_SECS)
            for d, paths in servers:
                for user, (path, _) in paths.items():
                    follow(d, user, path, later=True)
        for d, paths in servers:
            row(f'{d.name}: what comes of them', decided, d, paths)


def follow(d, user, path, later=False):
    """Have the user move a message from folder to folder."""
    at = path.index('|') if '|' in path else len(path)
    if not later:
        path = path[:at]
        with d.fill(user) as c:
            equal(c.append(path[0], mail(user)).status, 'OK')
    elif at == len(path):
        return
    else:
        path = path[at - 1:at] + path[at + 1:]
    with d.imap(user) as c:
        for folder, dest in zip(path, path[1:]):
            reply = c.move(c.select(folder)[-1], dest)
            equal(reply.status, 'OK', str(reply))


def three_copies(d):
    with d.imap('copies') as c:
        equal(c.append('INBOX', mail('copies')).status, 'OK')
        uid, = c.select('INBOX')
        for _ in range(3):
            equal(c.copy(uid, 'SPAM').status, 'OK')


def decided(d, paths):
    jobs.wait_empty(d)
    got = {}
    for lesson in d.lessons():
        user = lesson.message.split(b'Subject: ')[1].split(b'\n')[0]
        got.setdefault(user.decode(), []).append(lesson.what)
    wanted = {user: what for user, (_, what) in paths.items() if what}
    # Wherever it goes from the spam folder to the trash, it is spam.
    if 'into-trash' in paths:
        wanted['into-trash'] = got.get('into-trash', [])
        equal(HAM in wanted['into-trash'], False, 'ham in the trash')
    wanted['copies'] = [SPAM] if paths is PATHS else [SPAM] * 3
    equal(got, wanted)


# Backends that need no message

def marks(number):
    return (f'X-DSPAM-Signature: sig-{number}\r\n'
            f'X-CRM114-CacheID: sfid-20261121_072652_{number}_0A\r\n'
            ).encode() + mail(f'marked {number}')


SIGNED = {
    'dspam': {'antispam_backend': 'dspam',
              'antispam_dspam_binary': '@DIR@/dspam/dspam',
              'antispam_dspam_args': '--user;dspam'},
    'crm114': {'antispam_backend': 'crm114',
               'antispam_crm_binary': '@DIR@/crm114/mailreaver.crm',
               'antispam_crm_args': '-u;@DIR@/crm114/cache'},
}
STRICT = {'antispam_signature_missing': 'error'}


def make_fakes(d):
    texts = 'crm114/cache/reaver_cache/texts'
    for path in ('dspam/calls', 'dspam/signatures', 'crm114/calls', texts):
        os.makedirs(f'{d.dir}/{path}')
    for number in range(3):
        for path in (f'dspam/signatures/sig-{number}',
                     f'{texts}/20261121_072652_{number}_0A'):
            with open(f'{d.dir}/{path}', 'wb'):
                pass
    with open(f'{d.dir}/crm114/cache/mailfilter.cf', 'wb'):
        pass
    for source, path in (('fake-dspam.sh', 'dspam/dspam'),
                         ('fake-mailreaver.sh', 'crm114/mailreaver.crm')):
        shutil.copy(f'{pkg.ROOT}/tests/bin/{source}', f'{d.dir}/{path}')
        os.chmod(f'{d.dir}/{path}', 0o755)
    for top in ('dspam', 'crm114'):
        for path, _, found in os.walk(f'{d.dir}/{top}'):
            for name in ('', *found):
                os.chown(os.path.join(path, name), MAIL_UID, MAIL_UID)


@test
def signatures():
    with Dovecot(settings=jobs.QUEUED, name='signatures', users={
            **SIGNED, 'strict': {**SIGNED['dspam'], **STRICT}}) as d:
        make_fakes(d)
        for user in SIGNED:
            row(f'{user}: jobs without messages, learned', signed, d, user)
        row('antispam_signature_missing = error: refused at once', unsigned,
            d)


def signed(d, user):
    with d.imap(user) as c, jobs.held(d):
        equal(c.append('INBOX', *map(marks, range(3))).status, 'OK')
        equal(c.move(c.select('INBOX'), 'SPAM').status, 'OK')
        tx, = jobs.transactions(d, user)
        equal([job.source for job in tx.jobs], ['-'] * 3, 'messages')
        equal(sorted(os.listdir(tx.path)), ['jobs'], 'files')
    jobs.wait_empty(d)
    with open(f'{d.dir}/{user}/lessons', encoding='utf-8') as file:
        got = sorted(line.split()[-1] for line in file)
    equal(got, sorted(f'sig-{i}' if user == 'dspam' else
                      f'20261121_072652_{i}_0A' for i in range(3)))


def unsigned(d):
    with d.imap('strict') as c:
        equal(c.append('INBOX', marks(0), mail('bare')).status, 'OK')
        reply = c.move(c.select('INBOX'), 'SPAM')
        equal((reply.status, c.count('INBOX')), ('NO', 2), str(reply))
    equal(jobs.names(d), [], 'queued')
    d.assert_log('X-DSPAM-Signature.*antispam_signature_missing = move')


# Settings

@test
def settings():
    users = {
        'small': {'antispam_max_size': '1k'},
        'inline': {'antispam_training': 'inline'},
        'counted': {},
        'other': {'antispam_pipe_program_spam_arg': '--other'},
        'mended': {'antispam_pipe_program': '/nonexistent'},
        'ended': {}, 'gone': {}, 'slow': {},
        'moved': {}, 'grown': {},
    }
    with ListedAndMeasured(users=users, name='settings', settings={
            **jobs.QUEUED, **APPEND,
            'antispam_queue_lifetime': '300s'}) as d:
        row('log lines and events', counted, d)
        row('antispam_max_size: bigger ones are moved, not learned', small, d)
        row('a user who learns at once', inline, d)
        row("a user's own settings", other, d)
        row('what is mended meanwhile is used', mended, d)
        row('antispam_backend is none meanwhile: declined', ended, d)
        row('antispam_max_size is set meanwhile: declined', grown, d)
        row('the user is gone meanwhile: put aside', gone, d)
        row('the user has another uid meanwhile: put aside', other_uid, d)
        row('a slow filter slows no command', slow, d)
    with Dovecot(settings={**jobs.QUEUED, 'antispam_training': 'inline'},
                 users={'queued': {'antispam_training': 'queued'}},
                 name='queued for one user') as d:
        row('antispam_training = queued for one user alone', one_user, d)


class ListedAndMeasured(jobs.ListedUsers, jobs.Measured):
    pass


def move(d, user, *messages):
    with d.imap(user) as c:
        equal(c.append('INBOX', *messages).status, 'OK')
        began = time.monotonic()
        reply = c.move(c.select('INBOX'), 'SPAM')
        equal(reply.status, 'OK', str(reply))
        return time.monotonic() - began


def counted(d):
    move(d, 'counted', *(mail(f'counted {i}') for i in range(3)))
    d.assert_log(r'imap\(counted\).*Info: antispam: 3 queued as spam for pipe')
    with d.imap('counted') as c:
        equal(c.move(c.select('SPAM')[0], 'INBOX').status, 'OK')
    d.assert_log(r'imap\(counted\).*Info: antispam: 1 queued as ham for pipe')
    equal(len(jobs.taught(d)), 2, 'lessons')
    wait_until(lambda: d.log('taken back in time'), 5, 'the summary')
    d.assert_log(r'antispam-trainer\S*: Info: antispam: user counted: '
                 r'2 learned as spam by pipe, 2 taken back in time')
    d.assert_events(queued=4, learned=2, cancelled=2)


def small(d):
    move(d, 'small', mail('small'), mail('big', 'x' * 2000))
    with d.imap('small') as c:
        equal(c.count('SPAM'), 2)
        equal(c.append('SPAM', mail('big', 'y' * 2000)).status, 'OK')
    jobs.assert_taught(d, [(SPAM, stored(mail('small')))])
    d.assert_events(queued=1, learned=1)


def inline(d):
    move(d, 'inline', mail('inline'))
    equal([lesson.message for lesson in d.lessons()],
          [stored(mail('inline'))], 'lessons')
    equal(jobs.names(d), [], 'queued')


def other(d):
    move(d, 'other', mail('other'))
    jobs.wait_empty(d)
    equal([lesson.args for lesson in d.lessons()], [['--other']], 'arguments')


def mended(d):
    move(d, 'mended', mail('mended'))
    wait_until(lambda: d.log('tried again in'), 10, 'a failed try')
    equal(d.lessons(), [], 'lessons')
    jobs.rewrite_users(d, mended={'antispam_pipe_program_spam_arg': '--new'})
    jobs.wait_empty(d)
    d.expect_log(r"with pipe failed: /\S+ can't be executed: No such file")
    equal([(lesson.args, lesson.message) for lesson in d.lessons()],
          [(['--new'], stored(mail('mended')))], 'lessons')


def ended(d):
    with jobs.held(d):
        move(d, 'ended', mail('ended'))
        jobs.rewrite_users(d, ended={'antispam_backend': 'none'})
        d.events()
        d.counted = d.last
    jobs.assert_taught(d, [])
    d.assert_events(declined=1)


def grown(d):
    with jobs.held(d):
        move(d, 'grown', mail('grown', 'x' * 2000))
        jobs.rewrite_users(d, grown={'antispam_max_size': '1k'})
        d.events()
        d.counted = d.last
    jobs.assert_taught(d, [])
    d.assert_events(declined=1)


def gone(d):
    with jobs.held(d):
        move(d, 'gone', mail('gone'))
        name, = jobs.names(d)
        jobs.rewrite_users(d, gone=None)
    jobs.assert_taught(d, [])
    equal(jobs.failed(d), ['failed.' + name.split('.', 1)[1]], 'failed')
    d.assert_log('is put aside as failed.*userdb knows no user gone')
    shutil.rmtree(f'{jobs.queue(d)}/{jobs.failed(d)[0]}')


def other_uid(d):
    with jobs.held(d):
        move(d, 'moved', mail('moved'))
        jobs.rewrite_users(d, moved={'uid': '12346', 'gid': '12346'})
    jobs.assert_taught(d, [])
    equal(len(jobs.failed(d)), 1, 'failed')
    d.assert_log('it was put there by uid 12345, but user moved has uid 12346')
    # Its home is another's.
    d.expect_log(r'chdir\(\S+/home/')


def slow(d):
    d.recorder.control(sleep=5)
    took = move(d, 'slow', mail('slow 1'), mail('slow 2'))
    wait_until(lambda: os.listdir(d.recorder.calls), 10, 'the filter')
    with d.imap('slow') as c:
        began = time.monotonic()
        equal(c.move(c.select('SPAM'), 'INBOX').status, 'OK')
        took = max(took, time.monotonic() - began)
    d.recorder.control(sleep=None)
    if took > 3:
        raise AssertionError(f'it took {took} s')
    jobs.assert_taught(d, [(what, stored(mail(f'slow {i}')))
                           for what in (SPAM, HAM) for i in (1, 2)])


def one_user(d):
    move(d, 'inline', mail('inline'))
    equal(len(d.lessons()), 1, 'lessons')
    move(d, 'queued', mail('queued'))
    d.assert_log('1 queued as spam for pipe')
    jobs.assert_taught(d, [(SPAM, stored(mail('queued')))])


# Rollbacks

@test
def rollbacks():
    options = {'settings': {**jobs.QUEUED, **APPEND,
                            'antispam_queue_delay': '10ms'}}
    with Dovecot(plugins=['quota'], users={'quota': {}}, name='quota',
                 **options) as d:
        for command in ('copy', 'append'):
            row(f'{command} over quota: nothing is queued', over_quota, d,
                command)
    for storage in ('maildir', 'sdbox', 'mdbox', 'mbox'):
        with FaultyDovecot(storage, name=f'rollbacks on {storage}',
                           **options) as d:
            row(f'{storage}: the client goes within an APPEND', goes, d)
            row(f'{storage}: the client goes within a MULTIAPPEND', goes, d, 1)
            row(f'{storage}: there is no folder any more', no_folder, d)
            row(f'{storage}: the message is gone', no_message, d)


def assert_nothing(d):
    """Neither taught nor left, hidden files included."""
    wait_until(lambda: jobs.is_empty(d), 5, 'an empty queue')
    equal(os.listdir(jobs.queue(d)), [], 'queue')
    equal(d.lessons(), [], 'lessons')


def over_quota(d, command):
    """Three messages fit, one is there: the third one in a row does not."""
    with d.fill('quota') as c:
        if not c.select('Work'):
            equal(c.append('Work', mail('q1'), mail('q2')).status, 'OK')
    with d.imap('quota') as c:
        uids = c.select('Work')
        if command == 'append':
            reply = c.append('SPAM', mail('q3'), mail('q4'))
        else:
            reply = c.copy(uids, 'SPAM')
        equal((reply.status, reply.code), ('NO', 'OVERQUOTA'), str(reply))
        equal((c.count('Work'), c.count('SPAM')), (2, 0), 'messages')
    assert_nothing(d)


def goes(d, whole=0):
    """After so many whole messages of the command."""
    with d.imap('goes') as c:
        before = c.count('SPAM')
        parts = [Literal(mail(f'whole {i}', 'x' * 100000))
                 for i in range(whole)]
        c.sock.sendall(b'x APPEND SPAM')
        for part in parts:
            c.sock.sendall(b' ' + part.head() + b'\r\n')
            c.file.readline()
            c.sock.sendall(part.data)
        c.sock.sendall(b' {3000000}\r\n')
        c.file.readline()
        c.sock.sendall(lines(2 * MB)[:1500000])
        wait_until(lambda: jobs.names(d), 5, 'a transaction')
        c.sock.shutdown(socket.SHUT_RDWR)
    assert_nothing(d)
    with d.imap('goes') as c:
        equal(c.count('SPAM'), before, 'messages')


def no_folder(d):
    with d.imap('folder') as c:
        equal(c.append('INBOX', mail('stays')).status, 'OK')
        reply = c.move(c.select('INBOX'), 'SPAM/none')
        equal((reply.status, reply.code), ('NO', 'TRYCREATE'), str(reply))
        equal(c.count('INBOX'), 1, 'messages')
    assert_nothing(d)


def no_message(d):
    """Expunged by another session, which this one has not heard of."""
    with d.imap('message') as c, d.imap('message') as other_session:
        equal(c.append('INBOX', mail('a'), mail('b')).status, 'OK')
        uids = c.select('INBOX')
        other_session.select('INBOX')
        other_session.store(uids[1], r'+FLAGS (\Deleted)')
        other_session.do('EXPUNGE')
        reply = c.copy(uids, 'SPAM')
        equal(reply.status, 'NO', str(reply))
        equal(c.count('SPAM'), 0, 'messages')
    assert_nothing(d)
    d.expect_log('Expunged message reappeared|Corrupted|Purging')


main()

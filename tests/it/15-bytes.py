#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The filter gets each message byte for byte as Dovecot stores it, on every
storage, compressed or not. Only a first line that begins with "From " is
dropped."""

import base64
import os
import random

from harness import (PIPE, SPAM, SPOOL, STORAGES, Dovecot, Literal, equal,
                     main, row, short, stored, test)

HEAD = b'Subject: bytes\r\n\r\n'


def lines(size):
    """Bytes that are not to be had twice, in lines, as a client sends them."""
    text = base64.encodebytes(random.Random(size).randbytes(size))
    # The cut may leave a CR alone at the end.
    return (HEAD + text.replace(b'\n', b'\r\n'))[:size - 2] + b'xy'


MESSAGES = {
    '0 bytes': b'',
    '1 byte': b'x',
    '4 bytes': b'a: b',
    'a header alone': b'Subject: x\r\n',
    'an empty line': b'\r\n',
    'no header': b'\r\nbody\r\n',
    'no final newline': HEAD + b'the end',
    'two final newlines': HEAD + b'the end\r\n\r\n',
    'NULs': b'Subject: a\0b\r\n\r\n\0x\0\0y\r\n\0\r\n\0',
    'all bytes': b'Subject: \xe4\xf6\r\n\r\n' +
                 bytes(c for c in range(256) if c not in b'\r\n') + b'\r\n',
    'invalid UTF-8': HEAD + b'\xc3\x28\xa0\xa1\xff\xfe\xed\xa0\x80\r\n',
    'From in the body': HEAD + b'a\r\nFrom bob@example.org Sat Nov 21 07:26:52'
                        b' 2026\r\nFrom here on\r\n>From\r\n',
    'a dot and what SMTP would quote': HEAD + b'.\r\n..\r\n.\r\n',
    'a long line': HEAD + b'x' * 100000 + b'\r\n',
    'a first line of mbox': b'From bob@example.org  Sat Nov 21 07:26:52 2026'
                            b'\r\nSubject: x\r\n\r\nbody\r\n',
    'a first line that begins so': b'From me to you\r\nSubject: x\r\n\r\n'
                                   b'From body\r\n',
    'From without a blank': b'From: me\r\n\r\nbody\r\n',
    'a line of From alone': b'From ',
    '65535 bytes': lines(65535),
    '65536 bytes': lines(65536),
    '65537 bytes': lines(65537),
    '262144 bytes': lines(262144),
    '300000 bytes': lines(300000),
}
# Dovecot's own mbox fails to copy it: "Cached message size larger than
# expected".
NOT_IN_MBOX = ['From in the body']
BACKENDS = {'pipe': PIPE, 'spool': SPOOL}
APPEND = {'antispam_allow_append_to_spam': 'yes'}


def files(directory):
    return [os.path.join(path, name) for path, _, names in os.walk(directory)
            for name in names]


def read(name):
    with open(name, 'rb') as file:
        return file.read()


def put(d, user, folder, message):
    """Store a message, without the plugin. IMAP has no way to append 0
    bytes."""
    if message == b'':
        d.doveadm('save', '-u', user, '-m', folder, input=b'')
        return
    with d.fill(user) as c:
        reply = c.append(folder, Literal(message, binary=b'\0' in message))
        equal(reply.status, 'OK', str(reply))


def as_taught(message):
    """Without a first line that begins with "From "."""
    if not message.startswith(b'From '):
        return message
    return message.partition(b'\n')[2]


def fetched(c, uid):
    """The message as Dovecot stores it, by its own account. BODY.PEEK[] would
    have other bytes for NULs, but no difference elsewhere."""
    binary = c.body(uid, 'BINARY.PEEK[]')
    equal(c.body(uid), binary.replace(b'\0', b'\x80'), 'FETCH')
    return stored(binary)


def taught(d, message, other=None):
    """This message, or the other, was taught as spam, once."""
    got = d.lessons()
    equal([lesson.what for lesson in got], [SPAM], 'lessons')
    if got[0].message not in (message, other):
        raise AssertionError(f'taught: {short(got[0].message)}\n'
                             f'stored: {short(message)}')


def copied(d, user, message, exact):
    put(d, user, 'Work', message)
    with d.imap(user) as c:
        uid = c.select('Work')[-1]
        there = fetched(c, uid)
        if exact:
            equal(there, stored(message), 'stored')
        equal(c.copy(uid, 'SPAM').status, 'OK')
        taught(d, as_taught(there))
        # The copy is what the original is; mbox may add a newline.
        if exact:
            equal(fetched(c, c.select('SPAM')[-1]), there, 'copy')


def appended(d, user, message, exact):
    with d.imap(user) as c:
        reply = c.append('SPAM', Literal(message, binary=b'\0' in message))
        equal(reply.status, 'OK', str(reply))
        there = fetched(c, c.select('SPAM')[-1])
    # The newlines that mbox puts behind a message need not be taught.
    taught(d, as_taught(there),
           None if exact else as_taught(stored(message)))


def all_at_once(d, user):
    """More than is kept in memory."""
    with d.imap(user) as c:
        uids = c.select('Work')
        wanted = sorted(as_taught(fetched(c, uid)) for uid in uids)
        equal(c.move(uids, 'SPAM').status, 'OK')
    got = sorted(lesson.message for lesson in d.lessons())
    equal(len(got), len(wanted), 'lessons')
    for have, want in zip(got, wanted):
        equal(have, want, 'taught')


def every_message(d, storage, user, copies=True, appends=True):
    # mbox adds newlines and takes headers of its own away.
    exact = storage != 'mbox'
    for what, message in MESSAGES.items():
        if storage == 'mbox' and what in NOT_IN_MBOX:
            continue
        if copies:
            row(f'{d.name} {user} copy: {what}', copied, d, user, message,
                exact)
        if appends and message != b'':
            row(f'{d.name} {user} append: {what}', appended, d, user, message,
                exact)
    if copies:
        row(f'{d.name} {user} move: all at once', all_at_once, d, user)


@test
def as_stored():
    for storage in STORAGES:
        with Dovecot(storage, settings=APPEND, users=BACKENDS) as d:
            for user in BACKENDS:
                every_message(d, storage, user)


@test
def compressed():
    """By one backend each way: what is read is the same for both."""
    for storage in ('maildir', 'sdbox', 'mdbox'):
        with Dovecot(storage, settings=APPEND, users=BACKENDS,
                     plugins=['compress'], name=f'compressed {storage}') as d:
            every_message(d, storage, 'pipe', appends=False)
            every_message(d, storage, 'spool', copies=False)
            row(f'{storage}: it was compressed', is_compressed, d)


def is_compressed(d):
    put(d, 'pipe', 'Work', HEAD + b'not to be seen' * 1000)
    seen = [name for name in files(d.home('pipe')) if b'not to be' in
            read(name)]
    equal(seen, [], 'files with the message as it is')


@test
def with_crlf():
    """What is stored with CRLF is taught with CRLF; not every storage does
    what mail_save_crlf says."""
    # With it, mbox of Dovecot 2.3 finds no end of the header.
    for storage in ('maildir', 'sdbox', 'mdbox'):
        with Dovecot(storage, settings=APPEND, users=BACKENDS,
                     extra={'mail_save_crlf': 'yes'},
                     name=f'mail_save_crlf on {storage}') as d:
            for user in BACKENDS:
                row(f'mail_save_crlf on {storage} {user} copy', crlf_copied,
                    d, user)
                row(f'mail_save_crlf on {storage} {user} append',
                    crlf_appended, d, user)


def on_disk(d, user, body):
    """The body as some file has it: with CRLF, or with LF alone."""
    texts = [read(name) for name in files(d.home(user))]
    found = {form for form in (body, stored(body))
             if any(form in text for text in texts)}
    equal(len(found), 1, f'forms of {body!r} on the disk')
    return found.pop()


def crlf_copied(d, user):
    body = b'copied\r\nin two lines\r\n'
    put(d, user, 'Work', HEAD + body)
    with d.imap(user) as c:
        equal(c.copy(c.select('Work')[-1], 'SPAM').status, 'OK')
    crlf_taught(d, on_disk(d, user, body))


def crlf_appended(d, user):
    body = b'appended\r\nin two lines\r\n'
    with d.imap(user) as c:
        equal(c.append('SPAM', HEAD + body).status, 'OK')
    crlf_taught(d, on_disk(d, user, body))


def crlf_taught(d, body):
    head = HEAD if b'\r' in body else stored(HEAD)
    taught(d, head + body)


@test
def big():
    """20 MB: through a temporary file, a pipe and a spool."""
    message = lines(20 * 1000 * 1000)
    for storage in STORAGES:
        with Dovecot(storage, users=BACKENDS, name=f'20 MB on {storage}') as d:
            for user in BACKENDS:
                put(d, user, 'Work', message)
                row(f'20 MB {storage} {user}', big_move, d, user, message)


def big_move(d, user, message):
    with d.imap(user) as c:
        uid = c.select('Work')[0]
        reply = c.move(uid, 'SPAM')
        equal(reply.status, 'OK', str(reply))
        there = stored(c.body(c.select('SPAM')[0]))
    # mbox ends a message with a newline.
    equal(there.rstrip(b'\n'), stored(message).rstrip(b'\n'), 'stored')
    taught(d, there)


main()

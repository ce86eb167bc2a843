#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What a message's change of folder teaches: the table of antispam.7, by COPY,
MOVE, APPEND and REPLACE, on every storage, with two backends."""

import os

from harness import (HAM, MAIL_UID, PIPE, SPAM, SPOOL, STORAGES, Dovecot,
                     Literal, Namespace, Skip, equal, mail, main, row, stored,
                     test)

NOTHING, DENY = '-', 'NO'

# from: {to: what it means}
TABLE = {
    'spam': {'spam': NOTHING, 'trash': NOTHING, 'unsure': DENY, 'other': HAM},
    'trash': {'spam': NOTHING, 'trash': NOTHING, 'unsure': DENY,
              'other': NOTHING},
    'unsure': {'spam': SPAM, 'trash': NOTHING, 'unsure': DENY, 'other': HAM},
    'other': {'spam': SPAM, 'trash': NOTHING, 'unsure': DENY,
              'other': NOTHING},
}
# antispam_allow_append_to_spam: {to: what it means}
APPENDS = {
    'no': {'spam': DENY, 'trash': NOTHING, 'unsure': DENY, 'other': NOTHING},
    'yes': {'spam': SPAM, 'trash': NOTHING, 'unsure': DENY, 'other': NOTHING},
    'quiet': {'spam': NOTHING, 'trash': NOTHING, 'unsure': DENY,
              'other': NOTHING},
}
# By the defaults: SPAM by its name, Junk and Trash by their special use.
FOLDERS = {'spam': ['SPAM', 'Junk'], 'trash': ['Trash'],
           'unsure': ['Unsure'], 'other': ['Work', 'INBOX']}
BACKENDS = {'pipe': PIPE, 'spool': SPOOL}
UNSURE = {'antispam_unsure': 'Unsure'}


def moves():
    """The table's cells as folders, each folder at least once on both sides;
    within one class also from a folder to itself."""
    for source, cells in TABLE.items():
        for dest, verdict in cells.items():
            pairs = [(FOLDERS[source][0], FOLDERS[dest][-1]),
                     (FOLDERS[source][-1], FOLDERS[dest][0])]
            if source == dest:
                pairs.append((FOLDERS[source][0], FOLDERS[source][0]))
            for pair in dict.fromkeys(pairs):
                yield *pair, verdict


def all_folders():
    return [name for names in FOLDERS.values() for name in names]


def fill(d, user, folders, count):
    """Put count messages into each folder, behind the plugin's back."""
    with d.fill(user) as c:
        for folder in folders:
            equal(c.append(folder, *(mail(f'{folder} {i}')
                                     for i in range(count))).status, 'OK')


def assert_denied(reply):
    """A sentence for the user, and nothing of what is behind it."""
    equal((reply.status, reply.code), ('NO', 'CANNOT'), str(reply))
    if len(reply.text) < 20 or 'antispam' in reply.text or '/' in \
            reply.text.split('(')[0]:
        raise AssertionError(f'no sentence for a user: {reply}')


def assert_lessons(d, wanted):
    """Exactly these lessons, [(class, message)], in any order."""
    got = [(lesson.what, lesson.message) for lesson in d.lessons()]
    equal(sorted(got), sorted(wanted), 'lessons')


def change(d, c, command, source, dest, verdict, count=1):
    """Move or copy the first messages of a folder and see what came of it."""
    before = c.select(source)
    uids = before[:count]
    equal(len(uids), count, 'messages that are left for this test')
    messages = [stored(c.body(uid)) for uid in uids]
    dest_before = c.count(dest)
    reply = getattr(c, command)(uids, dest)

    # To itself: what was moved is there again, under another UID.
    if verdict == DENY:
        assert_denied(reply)
        equal(c.uids(), before, 'messages in the source')
        equal(c.count(dest), dest_before, 'messages in the destination')
    else:
        equal(reply.status, 'OK', str(reply))
        gone = uids if command == 'move' else []
        left = [uid for uid in c.uids() if uid <= before[-1]]
        equal(left, [uid for uid in before if uid not in gone], 'source')
        added = 0 if source == dest and gone else count
        equal(c.count(dest), dest_before + added, 'destination')
    assert_lessons(d, [(verdict, message) for message in messages]
                   if verdict in (SPAM, HAM) else [])


def append(d, c, folder, verdict, count):
    messages = [mail(f'appended to {folder} {i}') for i in range(count)]
    before = c.count(folder)
    reply = c.append(folder, *messages)
    if verdict == DENY:
        assert_denied(reply)
        equal(c.count(folder), before, 'messages in the folder')
    else:
        equal(reply.status, 'OK', str(reply))
        equal(c.count(folder), before + count, 'messages in the folder')
    assert_lessons(d, [(verdict, stored(message)) for message in messages]
                   if verdict in (SPAM, HAM) else [])


def replace(d, c, source, dest, verdict):
    before = c.select(source)
    new = mail(f'in place of one in {source}')
    reply = c.cmd(f'UID REPLACE {before[0]}', f'"{dest}"', Literal(new))
    if verdict == DENY:
        assert_denied(reply)
        equal(c.uids(), before, 'messages in the source')
    else:
        equal(reply.status, 'OK', str(reply))
        # The expunge is told with the next command.
        c.do('NOOP')
        if before[0] in c.uids():
            raise AssertionError('the replaced message is still there')
    assert_lessons(d, [(verdict, stored(new))]
                   if verdict in (SPAM, HAM) else [])


def has_replace(c):
    if not c.capability('REPLACE'):
        raise Skip('this Dovecot has no REPLACE')


def users():
    return {f'{backend}-{allowed}': {'antispam_allow_append_to_spam': allowed,
                                     **settings}
            for backend, settings in BACKENDS.items() for allowed in APPENDS}


@test
def every_cell():
    for storage in STORAGES:
        with Dovecot(storage, settings=UNSURE, users=users()) as d:
            for backend in BACKENDS:
                cells_of(d, storage, backend)
    with Dovecot('maildir', settings=PIPE, name='REPLACE') as d:
        with d.imap('bob') as c:
            row('REPLACE is there', has_replace, c)


def cells_of(d, storage, backend):
    fill(d, f'{backend}-no', all_folders(), 12)
    with d.imap(f'{backend}-no') as c:
        for source, dest, verdict in moves():
            for command in ('copy', 'move'):
                row(f'{storage} {backend} {command} {source} {dest}: '
                    f'{verdict}', change, d, c, command, source, dest, verdict)
    for allowed, cells in APPENDS.items():
        with d.imap(f'{backend}-{allowed}') as c:
            for to, verdict in cells.items():
                for folder in FOLDERS[to]:
                    appends_of(d, c, f'{storage} {backend} {allowed}',
                               folder, verdict)


def appends_of(d, c, name, folder, verdict):
    row(f'{name} append {folder}: {verdict}', append, d, c, folder, verdict, 1)
    row(f'{name} multiappend {folder}: {verdict}', append, d, c, folder,
        verdict, 3)
    if not c.capability('REPLACE') or \
            (name.startswith('mbox') and folder == 'Work'):
        # In one mbox, Dovecot's own index may break: "Log synchronization
        # error", and the session ends.
        return
    equal(c.append('Work', mail('to be replaced')).status, 'OK')
    row(f'{name} replace Work {folder}: {verdict}', replace, d, c, 'Work',
        folder, verdict)


@test
def many_in_one_command():
    """50 messages, one lesson each, in both directions."""
    for storage in STORAGES:
        with Dovecot(storage, settings=UNSURE, users=users()) as d:
            for backend in BACKENDS:
                many_of(d, storage, backend)
            spam, ham = (len(d.log(f': antispam: 50 learned as {what} by '))
                         for what in (SPAM, HAM))
            row(f'{storage}: one line in the log for each command',
                equal, (spam, ham), (4, 2))


def many_of(d, storage, backend):
    fill(d, f'{backend}-no', ['Work'], 50)
    with d.imap(f'{backend}-no') as c:
        for command, source, dest, verdict in (
                ('copy', 'Work', 'Junk', SPAM), ('move', 'Work', 'SPAM', SPAM),
                ('move', 'SPAM', 'Trash', NOTHING),
                ('copy', 'Junk', 'INBOX', HAM), ('move', 'Junk', 'Unsure',
                                                 DENY)):
            row(f'{storage} {backend} {command} 50 {source} {dest}: {verdict}',
                change, d, c, command, source, dest, verdict, 50)


@test
def across_storages():
    """Between any two storages: copied by saving, one lesson all the same."""
    spaces = [Namespace(f'{s}/', storage=s, boxes={'SPAM': '', 'Work': ''})
              for s in STORAGES[1:]]
    prefixes = ['', *(space.prefix for space in spaces)]
    with Dovecot('maildir', namespaces=spaces, users=BACKENDS,
                 name='across') as d:
        for user in BACKENDS:
            fill(d, user, [prefix + name for prefix in prefixes
                           for name in ('SPAM', 'Work')], 10)
            with d.imap(user) as c:
                across_of(d, c, user, prefixes)


def across_of(d, c, user, prefixes):
    for command in ('copy', 'move'):
        for source in prefixes:
            for dest in prefixes:
                if source != dest:
                    row(f'{user} {command} {source}Work {dest}SPAM', change,
                        d, c, command, source + 'Work', dest + 'SPAM', SPAM)
                    row(f'{user} {command} {source}SPAM {dest}Work', change,
                        d, c, command, source + 'SPAM', dest + 'Work', HAM)


@test
def out_of_a_virtual_folder():
    """The folder that counts is the one that holds the message."""
    for storage in STORAGES:
        with Dovecot(storage, users=BACKENDS, settings=UNSURE,
                     namespaces=[Namespace('virtual/', 'virtual')],
                     name=f'virtual on {storage}') as d:
            for user in BACKENDS:
                virtual_of(d, storage, user)


def virtual_of(d, storage, user):
    fill(d, user, ['SPAM', 'Work', 'Trash'], 8)
    path = d.home(user) + '/nsvirtual/All'
    os.makedirs(path)
    with open(path + '/dovecot-virtual', 'w', encoding='utf-8') as file:
        file.write('SPAM\nWork\nTrash\n  all\n')
    # What is saved into this one goes to SPAM.
    into = d.home(user) + '/nsvirtual/Into'
    os.makedirs(into)
    with open(into + '/dovecot-virtual', 'w', encoding='utf-8') as file:
        file.write('!SPAM\n  all\n')
    for name in (path, into, os.path.dirname(path)):
        os.chown(name, MAIL_UID, MAIL_UID)
    with d.imap(user) as c:
        for command in ('copy', 'move'):
            for source, dest, verdict in (
                    ('Work', 'SPAM', SPAM), ('SPAM', 'Work', HAM),
                    ('SPAM', 'Trash', NOTHING), ('Trash', 'Work', NOTHING),
                    ('Work', 'Unsure', DENY)):
                row(f'virtual {storage} {user} {command} {source} {dest}: '
                    f'{verdict}', virtual_change, d, c, command, source, dest,
                    verdict)
        row(f'virtual {storage} {user}: messages of several folders at once',
            virtual_mixed, d, c)
        for selected in ('Work', 'virtual/Into'):
            row(f'virtual {storage} {user}: into one, {selected} selected',
                virtual_into, d, c, selected)


def virtual_into(d, c, selected):
    """Not the user's doing: neither refused nor learned. But 2.4 puts the
    folder that takes it in its place, unless the virtual one is selected."""
    uid = c.select(selected)[0]
    message = stored(c.body(uid))
    copied = c.copy(uid, 'virtual/Into')
    appended = c.append('virtual/Into', mail('into a virtual folder'))
    if d.version >= (2, 4) and selected == 'Work':
        equal(copied.status, 'OK', str(copied))
        assert_denied(appended)
        assert_lessons(d, [(SPAM, message)])
        return
    for reply in (copied, appended):
        if reply.status != 'OK' and 'BUG' in str(reply):
            raise AssertionError(str(reply))
    assert_lessons(d, [])


def virtual_pick(c, folder):
    """The virtual folder's first message that came into folder."""
    for uid in c.select('virtual/All'):
        body = c.body(uid)
        if f'Subject: {folder} '.encode() in body:
            return uid, stored(body)
    raise AssertionError(f'the virtual folder has no message of {folder}')


def virtual_change(d, c, command, source, dest, verdict):
    # A copy or a move puts messages of one folder into another one, so the
    # first message that was filled into a folder is still there.
    uid, message = virtual_pick(c, source)
    before = c.count(dest)
    reply = getattr(c, command)(uid, dest)
    if verdict == DENY:
        assert_denied(reply)
        equal(c.count(dest), before, 'destination')
    else:
        equal(reply.status, 'OK', str(reply))
        equal(c.count(dest), before + 1, 'destination')
    assert_lessons(d, [(verdict, message)] if verdict in (SPAM, HAM) else [])


def virtual_mixed(d, c):
    picked = {folder: virtual_pick(c, folder)
              for folder in ('SPAM', 'Work', 'Trash')}
    uids = sorted(uid for uid, _ in picked.values())
    equal(c.copy(uids, 'Junk').status, 'OK')
    assert_lessons(d, [(SPAM, picked['Work'][1])])
    equal(c.copy(uids, 'INBOX').status, 'OK')
    assert_lessons(d, [(HAM, picked['SPAM'][1])])
    before = c.uids()
    assert_denied(c.move(uids, 'Unsure'))
    equal([uid for uid in before if uid not in c.uids()], [], 'moved')
    assert_lessons(d, [])


@test
def a_filter_that_fails():
    """Inline training: nothing is moved, whatever the storage."""
    one = {**PIPE, 'antispam_max_parallel': '1'}
    for storage in STORAGES:
        with Dovecot(storage, settings=one, users={'bob': {}},
                     name=f'failing filter on {storage}') as d:
            fill(d, 'bob', ['Work', 'SPAM'], 4)
            d.recorder.control(status=3, errors='broken\nin two lines\n')
            with d.imap('bob') as c:
                for command in ('copy', 'move'):
                    for source, dest in (('Work', 'SPAM'), ('SPAM', 'Work')):
                        row(f'{storage} {command} {source} {dest}: refused',
                            refused, d, c, command, source, dest)
            row(f'{storage}: the log says what and why', d.assert_log,
                r'imap\(bob\).*Error: antispam: learn\((spam|ham)\) with pipe '
                r'failed.*status 3.*broken', 4)
            d.recorder.control(status=None, errors=None)
            with d.imap('bob') as c:
                row(f'{storage} move, when it works again', change, d, c,
                    'move', 'Work', 'SPAM', SPAM, 4)
            d.recorder.control(fail_from=3)
            with d.imap('bob') as c:
                row(f'{storage} move: it fails later', fails_later, d, c)


def refused(d, c, command, source, dest, called=1):
    before = c.select(source)
    dest_before = c.count(dest)
    reply = getattr(c, command)(before, dest)
    equal((reply.status, reply.code), ('NO', 'UNAVAILABLE'), str(reply))
    # Dovecot takes the full stop for the time it took.
    equal(reply.text.split(' (')[0].rstrip('.'), 'The spam filter could not '
          'be taught; nothing was moved. Please try again later')
    equal(c.uids(), before, 'source')
    equal(c.count(dest), dest_before, 'destination')
    equal(len(d.lessons()), called, 'calls of the filter')


def fails_later(d, c):
    """The third message of four fails: two are taught, and stay where they
    are; the log counts them."""
    refused(d, c, 'move', 'SPAM', 'Work', called=3)
    d.end(c)
    d.assert_log(r'Error: antispam: learn\(ham\) with pipe failed.*status 1')
    d.assert_log(r'Warning: antispam: .*nothing was moved.*2 learned as ham')


@test
def a_full_quota():
    """What the storage refuses is not learned, even if it does so late: it
    takes the first message, which is too big to be kept until the second."""
    for storage in ('maildir', 'mbox'):
        with Dovecot(storage, users=BACKENDS, plugins=['quota'],
                     name=f'quota on {storage}') as d:
            for user in BACKENDS:
                row(f'quota {storage} {user}', over_quota, d, user)


def over_quota(d, user):
    with d.fill(user) as c:
        for i in range(2):
            reply = c.append('Work', mail(f'big {i}') + b'x\r\n' * 70000)
            equal(reply.status, 'OK', str(reply))
    with d.imap(user) as c:
        reply = c.copy(c.select('Work'), 'SPAM')
        equal((reply.status, reply.code), ('NO', 'OVERQUOTA'), str(reply))
        equal((len(c.uids()), c.count('SPAM')), (2, 0), 'messages')
        assert_lessons(d, [])


main()

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What no user does over IMAP in a folder of their own is neither refused nor
learned from, although the plugin is loaded everywhere."""

import os
import smtplib

from harness import (DEFAULT_BOXES, HAM, MAIL_UID, PIPE, SPAM, SPOOL, STORAGES,
                     Dovecot, Namespace, equal, mail, main, row, stored, test)

UNSURE = {'antispam_unsure': 'Unsure'}
SIEVE = '''require ["fileinto"];
if header :contains "subject" "to spam" { fileinto "SPAM"; stop; }
if header :contains "subject" "to unsure" { fileinto "Unsure"; stop; }
'''
DELIVERY = {'recipient_delimiter': '+', 'lmtp_save_to_detail_mailbox': 'yes'}
# Where what we must not touch can come from, and go to.
FOLDERS = ('SPAM', 'Junk', 'Trash', 'Unsure', 'Work', 'INBOX')


def write(d, path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chown(path, MAIL_UID, MAIL_UID)


def counts(d, user):
    with d.fill(user) as c:
        return {folder: c.count(folder) for folder in FOLDERS}


def nothing_learned(d):
    equal([(lesson.what, lesson.message) for lesson in d.lessons()], [],
          'lessons')
    equal(d.log(r'antispam: '), [], 'log')


class Expect:
    """Within "with", these folders gain so many messages, no other does, and
    nothing is learned or said."""

    def __init__(self, d, user, **gains):
        self.d, self.user, self.gains = d, user, gains

    def __enter__(self):
        self.before = counts(self.d, self.user)

    def __exit__(self, kind, *_):
        if kind is None:
            after = counts(self.d, self.user)
            equal({name: after[name] - self.before[name] for name in FOLDERS
                   if after[name] != self.before[name]},
                  {name: gain for name, gain in self.gains.items() if gain},
                  'new messages')
            nothing_learned(self.d)


@test
def delivery():
    for storage in STORAGES:
        with Dovecot(storage, settings={**PIPE, **UNSURE}, everywhere=True,
                     users={'bob': {}}, plugins=['lmtp', 'sieve'],
                     extra=DELIVERY, name=f'delivery to {storage}') as d:
            row(f'LMTP to {storage}', lmtp, d, '', 'to inbox', 'INBOX')
            row(f'LMTP to {storage}, detail SPAM', lmtp, d, '+SPAM', 'a',
                'SPAM')
            row(f'LMTP to {storage}, detail Unsure', lmtp, d, '+Unsure', 'a',
                'Unsure')
            for folder in FOLDERS:
                row(f'dovecot-lda to {folder} on {storage}', lda, d, 'a',
                    folder, folder)
            write(d, d.home('bob') + '/filter.sieve', SIEVE)
            for to in ('SPAM', 'Unsure'):
                row(f'Sieve fileinto {to} by LMTP on {storage}', lmtp, d, '',
                    f'to {to.lower()}', to)
                row(f'Sieve fileinto {to} by dovecot-lda on {storage}', lda,
                    d, f'to {to.lower()}', 'INBOX', to)
            row(f'a user moves what was delivered to {storage}', user_moves,
                d, 'bob')


def lmtp(d, detail, subject, folder):
    with Expect(d, 'bob', **{folder: 1}):
        with smtplib.LMTP(f'{d.dir}/run/lmtp', timeout=30) as client:
            refused = client.sendmail('ann@example.org', [f'bob{detail}'],
                                      mail(subject))
        equal(refused, {}, 'refused')


def lda(d, subject, mailbox, folder):
    with Expect(d, 'bob', **{folder: 1}):
        done = d.enter('/usr/lib/dovecot/dovecot-lda', '-c',
                       f'{d.dir}/dovecot.conf', '-d', 'bob', '-m', mailbox,
                       input=mail(subject))
        equal((done.returncode, done.stderr), (0, b''), 'dovecot-lda')


def user_moves(d, user):
    """The same plugin, in the same configuration, does learn."""
    with d.imap(user) as c:
        uid = c.select('INBOX')[0]
        message = stored(c.body(uid))
        equal(c.move(uid, 'SPAM').status, 'OK')
    equal([(lesson.what, lesson.message) for lesson in d.lessons()],
          [(SPAM, message)], 'lessons')
    d.assert_log(r'Info: antispam: 1 learned as spam by ')


@test
def doveadm():
    for storage in STORAGES:
        with Dovecot(storage, settings={**SPOOL, **UNSURE}, everywhere=True,
                     users={'bob': {}}, name=f'doveadm on {storage}') as d:
            for folder in FOLDERS:
                row(f'doveadm save {folder} on {storage}', doveadm_gains, d,
                    {folder: 1}, 'save', '-u', 'bob', '-m', folder,
                    input=mail('a'))
            for source in ('Work', 'SPAM', 'Unsure'):
                for dest in ('SPAM', 'Unsure', 'INBOX'):
                    doveadm_moves(d, storage, source, dest)
            row(f'doveadm flags on {storage}', doveadm_gains, d, {}, 'flags',
                'add', '-u', 'bob', '$Junk', 'mailbox', 'INBOX', 'all')
            row(f'doveadm backup and back on {storage}', backup, d, storage)
            row(f'a user moves what doveadm moved on {storage}', user_moves,
                d, 'bob')


def doveadm_gains(d, gains, *args, **kwargs):
    with Expect(d, 'bob', **gains):
        d.doveadm(*args, **kwargs)


def doveadm_moves(d, storage, source, dest):
    if source == dest:
        return
    subject = f'{source} to {dest}'
    d.doveadm('save', '-u', 'bob', '-m', source, input=mail(subject))
    for command, gain in (('copy', 0), ('move', -1)):
        row(f'doveadm {command} {source} {dest} on {storage}', doveadm_gains,
            d, {dest: 1, source: gain}, command, '-u', 'bob', dest,
            'mailbox', source, 'subject', subject)


def backup(d, storage):
    """dsync writes into both mail stores."""
    there = counts(d, 'bob')
    copy = f'maildir:{d.home("bob")}/backup'
    d.doveadm('backup', '-u', 'bob', copy)
    os.rename(d.home('bob') + '/mail', d.home('bob') + '/mail.old')
    if storage == 'mbox':
        os.unlink(d.home('bob') + '/mail.inbox')
    d.doveadm('backup', '-R', '-u', 'bob', copy)
    equal(counts(d, 'bob'), there, 'messages')
    nothing_learned(d)


@test
def lazy_expunge():
    """It moves what is expunged into a folder, inside the user's session."""
    for storage in STORAGES:
        with Dovecot(storage, settings={**PIPE, **UNSURE}, users={'bob': {}},
                     plugins=['lazy_expunge'], everywhere=True,
                     boxes={**DEFAULT_BOXES, 'EXPUNGED': ''},
                     name=f'lazy_expunge on {storage}') as d:
            with d.fill('bob') as c:
                for folder in FOLDERS:
                    c.append(folder, *(mail(f'{folder} {i}')
                                       for i in range(6)))
            with d.imap('bob') as c:
                for folder in FOLDERS:
                    row(f'expunge from {folder} with lazy_expunge on '
                        f'{storage}', expunge, d, c, folder)
                for source, dest, lesson in (
                        ('SPAM', 'INBOX', HAM), ('SPAM', 'Trash', None),
                        ('Work', 'SPAM', SPAM), ('Unsure', 'Work', HAM),
                        ('Trash', 'Work', None)):
                    row(f'move {source} {dest} with lazy_expunge on {storage}',
                        move, d, c, source, dest, lesson)


def expunge(d, c, folder):
    uids = c.select(folder)
    before = c.count('EXPUNGED')
    equal(c.store(uids[0], r'+FLAGS (\Deleted)').status, 'OK')
    equal(c.cmd('EXPUNGE').status, 'OK')
    equal(c.uids(), uids[1:], 'left')
    equal(c.count('EXPUNGED'), before + 1, 'kept by lazy_expunge')
    equal(d.lessons(), [], 'lessons')


def move(d, c, source, dest, lesson):
    """One lesson or none; the source's expunge is none."""
    uid = c.select(source)[0]
    message = stored(c.body(uid))
    equal(c.move(uid, dest).status, 'OK')
    equal([(got.what, got.message) for got in d.lessons()],
          [(lesson, message)] if lesson else [], 'lessons')


@test
def folders_of_others():
    """Shared and public folders: written to as without the plugin."""
    spaces = [Namespace('shared/', type='shared'),
              Namespace('public/', type='public',
                        boxes={'SPAM': '', 'Unsure': '', 'Work': ''})]
    for backend in (PIPE, SPOOL):
        with Dovecot('maildir', settings={**backend, **UNSURE},
                     users={'alice': {}, 'bob': {}}, plugins=['acl'],
                     namespaces=spaces, everywhere=True,
                     name='others, ' + backend['antispam_backend']) as d:
            share(d)
            with d.imap('alice') as c:
                others_of(d, c, backend['antispam_backend'])


def share(d):
    """Bob lets Alice do all in his folders, as do the public ones."""
    for user in ('alice', 'bob'):
        with d.fill(user) as c:
            for folder in FOLDERS:
                c.append(folder, *(mail(f"{user}'s {folder} {i}")
                                   for i in range(20)))
    for folder in FOLDERS:
        below = '' if folder == 'INBOX' else f'/.{folder}'
        allow(d, f'{d.home("bob")}/mail{below}')
    for folder in ('SPAM', 'Unsure', 'Work'):
        path = f'{d.home("alice")}/nspublic/.{folder}'
        os.makedirs(path + '/cur')
        for name in (os.path.dirname(path), path, path + '/cur'):
            os.chown(name, MAIL_UID, MAIL_UID)
        allow(d, path)
    with d.fill('alice') as c:
        for folder in ('SPAM', 'Unsure', 'Work'):
            equal(c.append('public/' + folder, *(
                mail(f'public {folder} {i}') for i in range(20))).status, 'OK')


def allow(d, path):
    write(d, path + '/dovecot-acl', 'anyone lrwstipekxa\n')


def others_of(d, c, backend):
    for mine in ('Work', 'SPAM', 'Unsure'):
        for theirs in ('Work', 'SPAM', 'Unsure'):
            for space in ('shared/bob/', 'public/'):
                for command in ('copy', 'move'):
                    row(f'{backend} {command} {mine} {space}{theirs}',
                        others_change, d, c, command, mine, space + theirs)
                    if mine == 'Unsure':
                        continue
                    row(f'{backend} {command} {space}{theirs} {mine}',
                        others_change, d, c, command, space + theirs, mine)
    for space in ('shared/bob/', 'public/'):
        for theirs in ('SPAM', 'Unsure', 'Work'):
            row(f'{backend} append {space}{theirs}', others_append, d, c,
                space + theirs)
            row(f'{backend} {space}{theirs} to shared/bob/SPAM',
                others_change, d, c, 'copy', space + theirs, 'shared/bob/SPAM')


def others_change(d, c, command, source, dest):
    uid = c.select(source)[0]
    before = c.count(dest)
    reply = getattr(c, command)(uid, dest)
    equal(reply.status, 'OK', str(reply))
    equal(c.count(dest), before + 1, 'destination')
    equal(d.lessons(), [], 'lessons')


def others_append(d, c, folder):
    reply = c.append(folder, mail('appended'))
    equal(reply.status, 'OK', str(reply))
    equal(d.lessons(), [], 'lessons')


@test
def wrong_settings():
    """Only a user's IMAP session says what is wrong, once, also where it
    meets other users' folders."""
    # Its paths are not set.
    with Dovecot('maildir', settings={'antispam_backend': 'spool2dir'},
                 everywhere=True, users={'alice': {}, 'bob': {}},
                 plugins=['acl', 'lmtp'], extra=DELIVERY,
                 namespaces=[Namespace('shared/', type='shared')],
                 name='wrong settings') as d:
        for folder in FOLDERS:
            row(f'LMTP to {folder} with a wrong setting', lmtp, d,
                '' if folder == 'INBOX' else f'+{folder}', 'a', folder)
            row(f'dovecot-lda to {folder} with a wrong setting', lda, d, 'a',
                folder, folder)
        for args in (('save', '-u', 'bob', '-m', 'SPAM'),
                     ('copy', '-u', 'bob', 'Work', 'mailbox', 'SPAM', 'all'),
                     ('move', '-u', 'bob', 'Junk', 'mailbox', 'Work', 'all'),
                     ('backup', '-u', 'bob',
                      f'maildir:{d.home("bob")}/backup')):
            row(f'doveadm {args[0]} with a wrong setting', silent, d, *args)
        allow(d, f'{d.home("bob")}/mail/.SPAM')
        row('a shared folder with a wrong setting', one_error, d)


def silent(d, *args):
    done = d.enter('doveadm', '-c', f'{d.dir}/dovecot.conf', *args,
                   input=mail('a'))
    equal((done.returncode, done.stderr), (0, b''), 'doveadm')
    nothing_learned(d)


def one_error(d):
    with d.imap('alice') as c:
        equal(c.append('Work', mail('a')).status, 'OK')
        equal(c.copy(c.select('Work')[0], 'shared/bob/SPAM').status, 'OK')
    equal(d.lessons(), [], 'lessons')
    d.assert_log('antispam: ')


NO_MOVES = [
    r'UID STORE 1:* +FLAGS (\Deleted $Junk $NotJunk)',
    r'UID STORE 1:* FLAGS.SILENT (Junk NonJunk)',
    'UID SEARCH UNSEEN', 'UID FETCH 1:* (BODY[] FLAGS)', 'CHECK', 'NOOP',
    'STATUS SPAM (MESSAGES)', 'LIST "" * RETURN (SPECIAL-USE)',
    'SUBSCRIBE Unsure', 'UNSUBSCRIBE Unsure', 'CREATE SPAM/sub',
    'RENAME Full Full2', 'RENAME Full2 SPAM/Full', 'RENAME SPAM/Full SPAMS',
    'RENAME SPAMS Full', 'DELETE SPAM/sub',
    r'UID STORE 2 +FLAGS.SILENT (\Deleted)', 'UID EXPUNGE 2', 'EXPUNGE',
    'UID COPY 99999 SPAM', 'UNSELECT',
]


@test
def commands_that_move_nothing():
    settings = {**PIPE, 'antispam_spam_pattern': 'SPAM*', **UNSURE}
    with Dovecot('maildir', settings=settings, users={'bob': {}},
                 boxes={'SPAM': '', 'Unsure': '', 'Work': ''},
                 everywhere=True, name='no moves') as d:
        with d.fill('bob') as c:
            c.create('Full')
            for folder in ('SPAM', 'Unsure', 'Work', 'Full'):
                c.append(folder, *(mail(f'{folder} {i}') for i in range(4)))
        with d.imap('bob') as c:
            for folder in ('SPAM', 'Unsure', 'Work'):
                for command in NO_MOVES:
                    row(f'in {folder}: {command}', no_move, d, c, folder,
                        command)


def no_move(d, c, folder, command):
    c.select(folder)
    equal(c.do(command).status, 'OK')
    equal(d.lessons(), [], 'lessons')


WORK_SIEVE = 'require ["fileinto", "copy"];\nfileinto :copy "SPAM";\n'


@test
def sieve_inside_imap():
    """A Sieve script that a user's COPY starts files mail into SPAM."""
    with Dovecot('maildir', settings={**PIPE, **UNSURE}, users={'bob': {}},
                 plugins=['sieve', 'imapsieve'], everywhere=True,
                 name='imapsieve') as d:
        write(d, d.dir + '/work.sieve', WORK_SIEVE)
        os.chown(d.dir, MAIL_UID, MAIL_UID)
        with d.fill('bob') as c:
            c.append('INBOX', mail('one'))
            c.append('SPAM', mail('two'))
        with d.imap('bob') as c:
            row('imapsieve files what is copied: no lesson', imapsieve, d, c,
                'INBOX', [])
            row('imapsieve files what is copied out of SPAM: one lesson',
                imapsieve, d, c, 'SPAM', [HAM])


def imapsieve(d, c, source, lessons):
    before = c.count('SPAM')
    uid = c.select(source)[0]
    equal(c.copy(uid, 'Work').status, 'OK')
    equal(c.count('SPAM'), before + 1, 'filed into SPAM')
    equal([lesson.what for lesson in d.lessons()], lessons, 'lessons')


main()

#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Names that mean mischief, of users and of folders: the right class, one
lesson, arguments and environment as they were, and no file anywhere but in
the spool."""

import os
import re
import unicodedata
from urllib.parse import unquote

from harness import (MAIL_UID, PIPE, SPAM, SPOOL, Dovecot, Namespace, Skip,
                     encode_name, equal, mail, main, quote_name, row, stored,
                     test)

USERS = [
    'plain', 'user@example.org', 'UPPER@Example.ORG', 'a/b', '/etc/passwd',
    '../../etc/passwd', '..', '.', '.hidden', '...', 'a..b', 'x%n', '%s%n%u',
    '%20lu', '%%', '%{user}', '%h', '%2F', 'a;b', 'a;--evil', ';', 'a b',
    'a  b ', ' a', 'quo"te', "it's", '"', '$(id)', '`id`', '$HOME', 'a|b',
    'a&b', 'a>b', 'a<b', 'a\\b', '\\', 'a*b', '?', '[a]', '{a,b}', '!a',
    '~root', '#a', 'a#b', '=', 'a=b', 'a,b', 'a:b', 'a@b@c', '@', '@domain',
    'user@', 'a@../..', 'a@x;y', 'a@x/y', '-rf', '--spam', '-', 'new\nline',
    'tab\tbed', 'ret\rurn', 'bell\a', 'del\x7f', '\x1b[31m', 'ünï', '迷惑',
    'e\u0301', '🗑', 'n' * 200, '.spam', 'a.ham', 'root',
]
# What becomes of a line of Dovecot's log with the user "new\nline".
TORN = r'imap\(new$|Error: line\)'
PIPE_ARGS = {**PIPE, 'antispam_pipe_program_args':
             '--for=@USER@; --name=@NAME@;--domain=@DOMAIN@;--home=@HOME@'
             ' ;@PERCENT@;--last',
             'antispam_pipe_env': 'WHO=@USER@;  EMPTY=;TWO=a b'}
SPOOL_USER = {
    **SPOOL,
    'antispam_spool2dir_spam': '@DIR@/spool/@USER@-%%020lu-%%05lu.spam',
    'antispam_spool2dir_notspam': '@DIR@/spool/@USER@-%%020lu-%%05lu.ham',
}
ENVIRONMENT = {
    'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'LANG': 'C.UTF-8',
}


def log_in(d, user):
    """A session, or Skip if Dovecot itself wants no such user."""
    try:
        return d.imap(user)
    except AssertionError as why:
        raise Skip(f'Dovecot refuses it: {why}') from None


def move_one(d, user):
    """Move a message into SPAM and return the one lesson."""
    message = mail('from ' + ascii(user))
    with log_in(d, user) as c:
        equal(c.append('Work', message).status, 'OK')
        reply = c.move(c.select('Work')[-1], 'SPAM')
        equal(reply.status, 'OK', str(reply))
    lessons = d.lessons()
    equal([(lesson.what, lesson.message) for lesson in lessons],
          [(SPAM, stored(message))], 'lessons')
    return lessons[0]


@test
def users_and_a_program():
    with Dovecot('maildir', settings=PIPE_ARGS, name='users, pipe') as d:
        d.recorder.control(detail=1)
        for user in USERS:
            row(f'pipe for user {ascii(user)}', program, d, user)
        d.expect_log(TORN)


def program(d, user):
    lesson = move_one(d, user)
    name, _, domain = user.partition('@')
    home = d.home(user)
    equal(lesson.args, [f'--for={user}', f'--name={name}',
                        f'--domain={domain}', f'--home={home}', '%', '--last',
                        '--spam'], 'arguments')
    equal(lesson.env, {**ENVIRONMENT, 'HOME': home, 'USER': user,
                       'LOGNAME': user, 'WHO': user, 'EMPTY': '',
                       'TWO': 'a b'}, 'environment')
    equal(lesson.cwd, home, 'working directory')
    equal(sorted(int(fd) for fd in lesson.fds), [0, 1, 2, 3],
          f'descriptors, 3 being of ls itself: {lesson.fds}')


def encoded(user):
    """What a user's name becomes in a file's name."""
    name = re.sub(rb'[^A-Za-z0-9@._+-]', lambda m: b'%%%02X' % m[0][0],
                  user.encode())
    return re.sub('^[.]', '%2E', name.decode())


@test
def users_and_a_spool():
    with Dovecot('maildir', settings=SPOOL_USER, name='users, spool') as d:
        before = everything(d)
        for user in USERS:
            row(f'spool for user {ascii(user)}', spooled, d, user)
        d.expect_log(TORN)
        row('nothing was written elsewhere', equal, everything(d), before)


def spooled(d, user):
    lesson = move_one(d, user)
    name = lesson.args[0]
    match = re.fullmatch(r'([A-Za-z0-9@._+%-]+)-(\d{20})-(\d{5,})\.spam', name)
    if match is None:
        raise AssertionError(f'unfit name in the spool: {name!r}')
    equal(unquote(match[1]), user, 'the user that a consumer reads')
    equal(match[1].upper(), encoded(user).upper(), 'name')


def everything(d):
    """What there is beside mail, logs and the spool; the spool is looked at
    with each lesson."""
    found = [os.path.relpath(os.path.join(path, name), d.dir)
             for path, folders, names in os.walk(d.dir)
             for name in folders + names]
    return sorted(name for name in found
                  if not name.startswith(('home/', 'run/', 'state/', 'log')))


@test
def a_directory_of_the_user():
    """The name as a whole path component can't lead out of the spool."""
    settings = {**SPOOL, 'antispam_spool2dir_spam':
                '@DIR@/spool/@USER@/%%020lu-%%05lu.spam'}
    with Dovecot('maildir', settings=settings, name='spool of users') as d:
        for user in ('..', '.', '../..', 'a/b', '/', 'plain'):
            row(f'directory of user {ascii(user)}', own_directory, d, user)


def own_directory(d, user):
    path = f'{d.dir}/spool/{encoded(user)}'
    os.mkdir(path)
    os.chown(path, MAIL_UID, MAIL_UID)
    with log_in(d, user) as c:
        equal(c.append('Work', mail('x')).status, 'OK')
        equal(c.move(c.select('Work')[0], 'SPAM').status, 'OK')
    equal(len(os.listdir(path)), 1, 'files in the directory')
    for name in os.listdir(path):
        os.unlink(f'{path}/{name}')
    os.rmdir(path)
    d.lessons()


@test
def a_user_is_no_option():
    """Where a bare name would become an option, nothing is learned."""
    settings = {**PIPE, 'antispam_pipe_program_args': '@USER@'}
    with Dovecot('maildir', settings=settings, name='bare user') as d:
        row('bare user bob', bare, d, 'bob')
        row('bare user --evil', bare_option, d, '--evil')
        row('bare user -', bare_option, d, '-')


def bare(d, user):
    equal(move_one(d, user).args, [user, '--spam'], 'arguments')


def bare_option(d, user):
    with log_in(d, user) as c:
        equal(c.append('Work', mail('x')).status, 'OK')
        equal(c.move(c.select('Work')[0], 'SPAM').status, 'OK')
    equal(d.lessons(), [], 'lessons')
    d.assert_log(rf'imap\({user}\).*Error: antispam: '
                 r'.*antispam_pipe_program_args.*')


NFC, NFD = 'Späm', unicodedata.normalize('NFD', 'Späm')
EXACT, PATTERN = 'antispam_spam', 'antispam_spam_pattern'
ICASE, REGEX = 'antispam_spam_pattern_ignorecase', 'antispam_spam_regex'
# setting, its value, folders that it names, folders that it does not
FOLDERS = [
    (EXACT, 'Spam', ['Spam'], ['SPAM', 'spam', 'Spam2', 'xSpam', 'Spam/sub']),
    (EXACT, 'A; B B ;C', ['A', 'B B', 'C'], ['B', 'A; B B']),
    (EXACT, '"quoted"', ['"quoted"'], ['quoted']),
    (EXACT, "it's", ["it's"], ['its']),
    (EXACT, r'back\slash', [r'back\slash'], ['backslash']),
    (EXACT, 'Spöm;迷惑メール;🗑 Spam', ['Spöm', '迷惑メール', '🗑 Spam'],
     ['Spom', 'SPÖM']),
    (EXACT, f'{NFC};{NFD}', [NFC, NFD], ['Spam']),
    (EXACT, NFC, [NFC], [NFD]),
    (EXACT, 'R&D', ['R&D'], ['RD', 'R&amp;D']),
    (EXACT, 'Gel&APY-schte', ['Gelöschte', 'Gel&APY-schte'], ['Gelschte']),
    (EXACT, '&-', ['&', '&-'], ['-']),
    (EXACT, '[Gmail]/Spam', ['[Gmail]/Spam'], ['G/Spam', 'Spam']),
    (EXACT, '100%%', ['100%'], ['100']),
    (EXACT, 'Spam*', [], ['Spam', 'Spam1']),
    (EXACT, '$(id);`id`;|id;>x', ['$(id)', '`id`', '|id', '>x'], ['id']),
    (EXACT, 'inbox', [], ['INBOX']),
    (EXACT, 'INBOX', ['INBOX'], []),
    (PATTERN, 'Spam*', ['Spam', 'Spam/2024/x', 'Spam 1'], ['SPAM', 'xSpam']),
    (PATTERN, '*spam*', ['spam', 'my spam box', 'a/spam/b'], ['SPAM']),
    (PATTERN, 'a*b*c', ['abc', 'a/b/c', 'axxbyyc'], ['acb', 'abcd', 'xabc']),
    (PATTERN, 'Gel&APY-schte *', ['Gelöschte Objekte'], ['Gelschte Objekte']),
    (PATTERN, 'a.b+(c)?{2}[d]^e|f*', ['a.b+(c)?{2}[d]^e|fg'], ['aXbbc2dfg']),
    (PATTERN, r'\Odd*', [r'\Odd', r'\Oddity'], ['Odd']),
    (PATTERN, '[Gmail]/S*', ['[Gmail]/Spam'], ['G/Spam']),
    (PATTERN, '100%%-*', ['100%-sure'], ['100-sure']),
    (PATTERN, '*a*a*a*a*a*a*a*a*b', ['a' * 60 + 'b'], ['a' * 200]),
    (ICASE, 'spam*', ['SPAM', 'sPaM x'], ['xspam']),
    (ICASE, 'ÖFFNUNG;späm', ['öffnung', 'Öffnung', 'SPÄM'], ['Offnung']),
    (ICASE, 'gel&ANY-schte*', ['Gelöschte', 'GELÖSCHTE X'], ['Gelschte']),
    (ICASE, 'спам', ['СПАМ', 'Спам'], ['CПAM']),
    (REGEX, '^(Junk|Spam)$', ['Junk', 'Spam'], ['Junk2', 'junk']),
    (REGEX, 'pam', ['Spam', 'xpamx'], ['PAM']),
    (REGEX, '(?i)^späm$', ['SPÄM', 'Späm'], ['Späm2']),
    (REGEX, '^a;b$', ['a;b'], ['a', 'b']),
    (REGEX, r'^\d+\x23$', ['12#'], ['x#']),
    (REGEX, '^.$', ['ä', '🗑'], ['ab']),
    (REGEX, '^(a+)+$', ['aaa'], ['a' * 20 + 'b']),
    (REGEX, '%%$', ['100%'], ['100']),
]


def folder_users():
    return {f'f{i}': {setting: value}
            for i, (setting, value, _, _) in enumerate(FOLDERS)}


@test
def folders():
    # maildir would forbid dots in a name.
    with Dovecot('sdbox', settings=PIPE, users=folder_users(),
                 boxes={'Work': ''}, name='folders') as d:
        for i, (setting, value, taken, left) in enumerate(FOLDERS):
            with d.imap(f'f{i}') as c:
                for folder in taken + left:
                    row(f'{setting} = {value}: {ascii(folder)[:70]} is '
                        f'{"" if folder in taken else "not "}spam', folder_is,
                        d, c, folder, folder in taken)
        row('an expression that takes too long', d.assert_log,
            'Error: antispam: antispam_spam_regex takes too long on folder a+b')


def folder_is(d, c, folder, spam):
    message = mail('into ' + ascii(folder))
    create(c, folder)
    equal(c.append('Work', message).status, 'OK')
    reply = c.copy(c.select('Work')[-1], folder)
    equal(reply.status, 'OK', str(reply))
    equal([(lesson.what, lesson.message) for lesson in d.lessons()],
          [(SPAM, stored(message))] if spam else [], 'lessons')


def create(c, folder):
    if folder == 'INBOX':
        return
    reply = c.cmd('CREATE', quote_name(folder))
    if reply.status != 'OK':
        raise Skip(f'Dovecot refuses the folder: {reply}')
    listed = b'\n'.join(line for line, _ in c.do('LIST "" *').untagged)
    if folder == NFD and encode_name(folder).encode() not in listed:
        raise Skip('this Dovecot normalizes names')


@test
def folders_in_a_namespace():
    """With the prefix and without it; only ours, and only where it matches."""
    users = {'whole': {'antispam_spam': 'two/Spam'},
             'short': {'antispam_spam': 'Spam'},
             'glob': {'antispam_spam_pattern': 'two/S*'},
             'regex': {'antispam_spam_regex': '^two/Spam$'}}
    takes = {'whole': ['two/Spam'], 'short': ['Spam', 'two/Spam'],
             'glob': ['two/Spam', 'two/Sp'], 'regex': ['two/Spam']}
    with Dovecot('maildir', settings=PIPE, users=users, boxes={'Work': ''},
                 namespaces=[Namespace('two/', boxes={'Work': ''})],
                 name='namespace') as d:
        for user, taken in takes.items():
            with d.imap(user) as c:
                for folder in ('Spam', 'two/Spam', 'two/Sp', 'two/Works'):
                    row(f'namespace: {users[user]}: {folder}', folder_is, d, c,
                        folder, folder in taken)


FORGED = 'X\nNov 21 07:26:52 imap(eve): Error: antispam: forged'


@test
def control_characters():
    """A folder's name stays within one line of the log. IMAP refuses to make
    such folders; they come from elsewhere."""
    folders = [FORGED, 'X\ta', 'X\x1b[31m', 'X\ra', 'X%s%n', 'X' * 200]
    users = {f'user{i}': {'antispam_spam_pattern': 'X*'}
             for i in range(len(folders))}
    with Dovecot('sdbox', settings=PIPE, boxes={'Work': ''}, users=users,
                 name='control characters') as d:
        d.recorder.control(status=1, errors='\x1b[31m one\ntwo\n')
        for i, folder in enumerate(folders):
            row(f'log of a folder {ascii(folder)[:70]}', logged, d, f'user{i}',
                folder)
        row('each line of the log is one of Dovecot', equal,
            [line for line in d.log() if not
             re.match(r'\w{3} \d\d \d\d:\d\d:\d\d \w', line)], [])


def logged(d, user, folder):
    with d.fill(user) as c:
        create(c, 'there')
    boxes = d.home(user) + '/mail/mailboxes/'
    os.rename(boxes + 'there', boxes + encode_name(folder))
    with d.imap(user) as c:
        equal(c.append('Work', mail('x')).status, 'OK')
        reply = c.copy(c.select('Work')[0], folder)
        if reply.code == 'CANNOT':
            raise Skip(f'Dovecot refuses the folder: {reply}')
        equal(reply.status, 'NO', str(reply))
    line, = d.assert_log(
        rf'imap\({user}\).*Error: antispam: learn\(spam\) with pipe failed: '
        '.* one')
    if re.search('[\0-\x1f]', line):
        raise AssertionError(f'control characters in the log: {line!r}')
    equal(len(d.lessons()), 1, 'calls of the filter')


main()

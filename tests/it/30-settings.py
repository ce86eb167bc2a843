#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A wrong setting gives one error a session that names setting and value,
nothing is learned, and IMAP works; right ones do what they say, old names
included. Each row is a user with settings of their own."""

import os
import re

import pkg

from harness import (HAM, MAIL_UID, PIPE, SPAM, SPOOL, Dovecot, Skip, equal,
                     mail, main, row, stored, test)


def pipe(**settings):
    return changed(PIPE, settings)


def spool(**settings):
    return changed(SPOOL, settings)


def changed(base, settings):
    """The base with other settings, named without antispam_; None removes
    one."""
    values = dict(base)
    for name, value in settings.items():
        values['antispam_' + name] = value
    return {name: value for name, value in values.items() if value is not None}


# settings, and what the error must hold
WRONG = [
    (pipe(spam_regex='('), r'antispam_spam_regex = \(: .*paren'),
    (pipe(trash_regex='[a'), r'antispam_trash_regex = \[a: '),
    (pipe(unsure_regex='a{2,1}'), r'antispam_unsure_regex = a\{2,1\}: '),
    (pipe(spam_regex='(?<n>a)(?<n>b)'), r'antispam_spam_regex = '),
    (pipe(spam_pattern_ignorecase='\udcff*'),
     r'antispam_spam_pattern_ignorecase = '),
    (pipe(spam=r'\Jnuk'), r'antispam_spam = .*\\Jnuk: .*write'),
    (pipe(trash=r'Bin;\Trush'), r'antispam_trash = .*\\Trush: .*write'),
    (pipe(unsure='\\'), r'antispam_unsure = .*\\: .*write'),
    (pipe(spam='yes'), r'antispam_spam = yes: .*a;b'),
    (pipe(trash_pattern='No'), r'antispam_trash_pattern = No: .*a;b'),
    (pipe(backend='nosuch'), r'antispam_backend = nosuch: .*pipe'),
    (pipe(backend='pipes'), r'antispam_backend = pipes: .*pipe'),
    (pipe(backend='pipe;spool2dir'), r'antispam_backend = pipe;spool2dir: '),
    (pipe(pipe_program_spam_arg=None), 'antispam_pipe_program_spam_arg'),
    (pipe(pipe_program_notspam_arg=None), 'antispam_pipe_program_notspam_arg'),
    (pipe(pipe_program='sendmail'), 'antispam_pipe_program = sendmail: '),
    (pipe(pipe_program='./x -y'), 'antispam_pipe_program = ./x -y: '),
    (pipe(pipe_tmpdir='tmp'), 'antispam_pipe_tmpdir = tmp: '),
    (spool(spool2dir_spam=None), 'antispam_spool2dir_spam'),
    (spool(spool2dir_notspam=None), 'antispam_spool2dir_notspam'),
    (spool(spool2dir_spam='spool/%%lu-%%lu'),
     'antispam_spool2dir_spam = spool/.*absolute'),
    (spool(spool2dir_spam='@DIR@/spool/%%lu'),
     'antispam_spool2dir_spam = .*two numbers'),
    (spool(spool2dir_notspam='@DIR@/spool/%%lu-%%lu-%%lu'),
     'antispam_spool2dir_notspam = .*two numbers'),
    (spool(spool2dir_spam='@DIR@/spool/%%lu-%%lu-%%s'),
     'antispam_spool2dir_spam = .*%'),
    (spool(spool2dir_spam='@DIR@/spool/%%lu-%%lu-%%n'),
     'antispam_spool2dir_spam = .*%'),
    (spool(spool2dir_spam='@DIR@/spool/%%999999999lu-%%lu'),
     'antispam_spool2dir_spam = .*64'),
    (spool(spool2dir_spam='@DIR@/spool/.%%lu-%%lu'),
     'antispam_spool2dir_spam = .*dot'),
    (spool(spool2dir_spam='@DIR@/spool/../%%lu-%%lu'),
     r'antispam_spool2dir_spam = .*\.\.'),
    (spool(spool2dir_spam='@DIR@/%%lu/%%lu'),
     'antispam_spool2dir_spam = .*directory'),
    (pipe(allow_append_to_spam='maybe'),
     'antispam_allow_append_to_spam = maybe: .*quiet'),
    (pipe(training='later'), 'antispam_training = later: .*inline'),
    (pipe(timeout='60'), 'antispam_timeout = 60: .*unit'),
    (pipe(timeout='soon'), 'antispam_timeout = soon: .*unit'),
    (pipe(timeout='-1 s'), 'antispam_timeout = -1 s: '),
    (pipe(timeout='0'), 'antispam_timeout = 0: '),
    (pipe(timeout='5 fortnights'), 'antispam_timeout = 5 fortnights: '),
    (pipe(max_size='big'), 'antispam_max_size = big: '),
    (pipe(max_size='-1'), 'antispam_max_size = -1: '),
    (pipe(max_size='10 X'), 'antispam_max_size = 10 X: '),
    (pipe(max_size='99999999999999999999'), 'antispam_max_size = 9+: '),
    (pipe(max_parallel='0'), 'antispam_max_parallel = 0: '),
    (pipe(max_parallel='many'), 'antispam_max_parallel = many: '),
    (pipe(max_parallel='-4'), 'antispam_max_parallel = -4: '),
    (pipe(max_parallel='4.5'), 'antispam_max_parallel = 4.5: '),
    (pipe(log_lessons='maybe'), 'antispam_log_lessons = maybe: .*yes or no'),
    # What is the same for all is nothing that a user may have.
    (pipe(queue_dir='/var/spool/x'), "antispam_queue_dir: can't be set per "
     'user; write it in the configuration file'),
    (pipe(queue_delay='1 s'), "antispam_queue_delay: can't be set per user"),
    (pipe(queue_lifetime='1 d'), "antispam_queue_lifetime: can't be set per "),
    (pipe(trainer_max_children='1'), "antispam_trainer_max_children: can't "),
    (pipe(trainer_vsz_limit='1 G'), "antispam_trainer_vsz_limit: can't be "),
    # More than one thing wrong: still one error.
    (pipe(log_lessons='maybe', max_size='big', spam_regex='('), 'antispam_'),
    (pipe(backend='nosuch', spam=r'\Jnuk'), 'antispam_backend = nosuch'),
]


def numbered(prefix, table):
    return {f'{prefix}{i}': settings[0] for i, settings in enumerate(table)}


def put_and_move(d, user, source='Work', dest='SPAM'):
    """Put a message into a folder and move it; returns the message."""
    message = mail(f'{source} to {dest}')
    with d.imap(user) as c:
        equal(c.append(source, message).status, 'OK')
        reply = c.move(c.select(source)[-1], dest)
        equal(reply.status, 'OK', str(reply))
    return stored(message)


def faults_of(d, user):
    return d.log(rf'imap\({re.escape(user)}\).*\b(Error|Warning|Fatal): ')


def wrong(d, user, pattern):
    """One error in each session, whatever is done in it."""
    for session in (1, 2):
        with d.imap(user) as c:
            for folder in ('Work', 'SPAM', 'Unsure'):
                reply = c.append(folder, mail('one'), mail('two'))
                equal(reply.status, 'OK', str(reply))
            for source, dest in (('Work', 'SPAM'), ('SPAM', 'Work'),
                                 ('Work', 'Unsure'), ('Unsure', 'INBOX')):
                for command in (c.copy, c.move):
                    reply = command(c.select(source)[0], dest)
                    equal(reply.status, 'OK', str(reply))
        equal(d.lessons(), [], 'lessons')
        d.assert_log(rf'imap\({user}\).*Error: antispam: .*{pattern}', session)
    equal(len(faults_of(d, user)), 2, 'errors and warnings in two sessions')


def brief(settings):
    """What of the settings makes the row."""
    return '; '.join(f'{name[9:]}={value}' for name, value in settings.items()
                     if PIPE.get(name) != value and SPOOL.get(name) != value)


@test
def wrong_settings():
    with Dovecot('maildir', users=numbered('w', WRONG),
                 settings={'antispam_unsure': 'Unsure'},
                 name='wrong settings') as d:
        for i, (settings, pattern) in enumerate(WRONG):
            row(f'wrong: {ascii(brief(settings))[:90]}', wrong, d, f'w{i}',
                pattern)


# In dovecot.conf itself; TRUE: what 2.4's doveconf can see, it refuses, and
# Dovecot does not start with it.
WRONG_FOR_ALL = [
    (pipe(backend='nosuch'), r'antispam_backend = nosuch: .*pipe', True),
    (pipe(spam='yes'), r'antispam_spam = yes: .*a;b', True),
    (pipe(spam_regex='('), r'antispam_spam_regex = \(: .*paren', False),
    (pipe(timeout='soon'), 'antispam_timeout = soon: .*unit', True),
    (pipe(max_size='big'), 'antispam_max_size = big: .*unit', True),
    (pipe(queue_dir='queue'), 'antispam_queue_dir = queue: .*from / on', True),
    (pipe(queue_dir='/q/@PERCENT@'), 'antispam_queue_dir = /q/%%: .*without %',
     True),
    (pipe(queue_lifetime='0 s'), 'antispam_queue_lifetime = 0 s: .*5 days',
     True),
    (pipe(trainer_vsz_limit='10 M'),
     'antispam_trainer_vsz_limit = 10 M: .*1 G', True),
    (pipe(pipe_program='sendmail'), 'antispam_pipe_program = sendmail: ',
     False),
]


@test
def wrong_for_all():
    """It hurts nobody's mail: Dovecot starts, and IMAP works."""
    for settings, pattern, visible in WRONG_FOR_ALL:
        name = f'wrong in dovecot.conf: {brief(settings)}'
        wanted = {**settings, 'antispam_unsure': 'Unsure'}
        if visible and pkg.dovecot_version() >= (2, 4):
            row(f'{name}: Dovecot refuses it', refused_at_start, wanted,
                pattern)
        else:
            row(name, wrong_in_conf, name, wanted, pattern)


def wrong_in_conf(name, settings, pattern):
    with Dovecot('maildir', settings=settings, name=name) as d:
        wrong(d, 'bob', pattern)


def refused_at_start(settings, pattern):
    try:
        with Dovecot('maildir', settings=settings):
            pass
    except AssertionError as why:
        if re.search(pattern, str(why)) is None:
            raise
    else:
        raise AssertionError('Dovecot started')


UNKNOWN = [
    ({'antispam_spamm': 'SPAM'}, 'antispam_spamm.*antispam_spam'),
    ({'antispam_pipe_programm_args': 'x'}, 'antispam_pipe_programm_args'),
    ({'antispam_': 'x'}, 'antispam_'),
    ({'antispam_ünknown': 'x'}, 'antispam_'),
]


@test
def unknown_names():
    """Where Dovecot itself does not refuse to start with them."""
    for i, (settings, pattern) in enumerate(UNKNOWN):
        name = next(iter(settings))
        try:
            with Dovecot('maildir', settings={**PIPE, **settings},
                         name=f'unknown {name}') as d:
                row(f'unknown: {name}', wrong, d, f'u{i}', pattern)
        except AssertionError as why:
            row(f'unknown: {name}: Dovecot refuses it', refused_by_dovecot,
                str(why))


def refused_by_dovecot(why):
    if 'Unknown setting: antispam' not in why:
        raise AssertionError(why)


@test
def off():
    users = {'none': {'antispam_backend': 'none'},
             'none-case': {'antispam_backend': 'None'},
             'none-wrong': {'antispam_backend': 'none',
                            'antispam_unsure': 'Unsure'}}
    with Dovecot('maildir', users=users, name='off') as d:
        for user in users:
            row(f'{user}: off, and silent', switched_off, d, user, 0)
        row('antispam_backend unset: one warning', switched_off, d, 'unset', 1)


def switched_off(d, user, warnings):
    with d.imap(user) as c:
        for folder in ('Work', 'SPAM', 'Unsure'):
            equal(c.append(folder, mail('x')).status, 'OK')
        for source, dest in (('Work', 'SPAM'), ('SPAM', 'Unsure')):
            equal(c.move(c.select(source)[0], dest).status, 'OK')
    equal(d.lessons(), [], 'lessons')
    equal(len(faults_of(d, user)), warnings, 'errors and warnings')
    d.assert_log(rf'imap\({user}\).*Warning: antispam: antispam_backend',
                 warnings)


OLD_PIPE = {
    'antispam_backend': 'pipe',
    'antispam_mail_sendmail': '@DIR@/filter/record.sh',
    'antispam_mail_sendmail_args': '-f;me@example.org',
    'antispam_mail_spam': '--spam',
    'antispam_mail_notspam': '--ham',
    'antispam_mail_tmpdir': '@DIR@/tmp',
    'antispam_debug_target': 'syslog',
    'antispam_verbose_debug': '1',
    'antispam_debug_prefix': 'antispam: ',
    'antispam_skip_from_line': '1',
}
# settings, where a message is moved from and to, lesson, arguments, warnings
RIGHT = [
    (OLD_PIPE, 'Work', 'SPAM', SPAM, ['-f', 'me@example.org', '--spam'], 0),
    (OLD_PIPE, 'SPAM', 'Work', HAM, ['-f', 'me@example.org', '--ham'], 0),
    (changed(OLD_PIPE, {'backend': 'mailtrain'}), 'Work', 'SPAM', SPAM,
     ['-f', 'me@example.org', '--spam'], 0),
    (changed(OLD_PIPE, {'backend': 'sendmail'}), 'Work', 'SPAM', SPAM,
     ['-f', 'me@example.org', '--spam'], 0),
    (changed(OLD_PIPE, {'backend': 'PIPE'}), 'Work', 'SPAM', SPAM,
     ['-f', 'me@example.org', '--spam'], 0),
    (changed(OLD_PIPE, {'pipe_program_args': 'new'}), 'Work', 'SPAM', SPAM,
     ['new', '--spam'], 1),
    (pipe(pipe_program_args=' a ; b c;;d ;'), 'Work', 'SPAM', SPAM,
     ['a', 'b c', 'd', '--spam'], 0),
    (pipe(pipe_program_spam_args='--x; z ;--spam'), 'Work', 'SPAM', SPAM,
     ['--x', 'z', '--spam'], 0),
    (pipe(pipe_program_notspam_args='--ham;z'), 'SPAM', 'Work', HAM,
     ['--ham', 'z'], 0),
    (pipe(pipe_program_spam_arg='  --spam  '), 'Work', 'SPAM', SPAM,
     ['--spam'], 0),
    (pipe(pipe_program_args='"a b";$HOME;`id`;a\\b'), 'Work', 'SPAM', SPAM,
     ['"a b"', '$HOME', '`id`', 'a\\b', '--spam'], 0),
    (pipe(pipe_program_args='100%%;%%u'), 'Work', 'SPAM', SPAM,
     ['100%', '%u', '--spam'], 0),
    (pipe(spam=' Work ;;Other; SPAM'), 'INBOX', 'Work', SPAM, ['--spam'], 0),
    # A default ends with any setting of its class, and with that one alone.
    (pipe(spam='Work'), 'INBOX', 'SPAM', None, None, 0),
    (pipe(spam_pattern='X*'), 'Work', 'Junk', None, None, 0),
    (pipe(spam_regex='^X'), 'Work', 'SPAM', None, None, 0),
    (pipe(spam='SPAM'), 'Work', 'Junk', None, None, 0),
    (pipe(spam=r'\Junk'), 'Work', 'Junk', SPAM, ['--spam'], 0),
    (pipe(spam=r'\JUNK'), 'Work', 'Junk', SPAM, ['--spam'], 0),
    (pipe(trash='Bin'), 'SPAM', 'Trash', HAM, ['--ham'], 0),
    (pipe(unsure='Unsure'), 'Work', 'Junk', SPAM, ['--spam'], 0),
    # In two classes: said once; trash before spam before unsure.
    (pipe(trash='Work', spam='Work'), 'INBOX', 'Work', None, None, 1),
    (pipe(spam='Work', unsure='Work'), 'INBOX', 'Work', SPAM, ['--spam'], 1),
    (pipe(trash='Work', unsure_pattern='W*'), 'INBOX', 'Work', None, None, 1),
    (pipe(trash='Work;SPAM', spam='SPAM'), 'Work', 'SPAM', None, None, 1),
    # One that matches twice within its class is no such thing.
    (pipe(spam='Work;Work', spam_pattern='W*'), 'INBOX', 'Work', SPAM,
     ['--spam'], 0),
    (pipe(max_parallel='1000'), 'Work', 'SPAM', SPAM, ['--spam'], 1),
    (pipe(timeout='2 mins', max_size='10 M', log_lessons='no'), 'Work',
     'SPAM', SPAM, ['--spam'], 0),
    # The message that a row moves is bigger.
    (pipe(max_size='20'), 'Work', 'SPAM', None, None, 0),
    (pipe(max_size='20 B'), 'Work', 'SPAM', None, None, 0),
    (pipe(max_size='1 k'), 'Work', 'SPAM', SPAM, ['--spam'], 0),
]


@test
def right_settings():
    with Dovecot('maildir', users=numbered('r', RIGHT),
                 name='right settings') as d:
        for i, (settings, source, dest, *_) in enumerate(RIGHT):
            row(f'right: {brief(settings)[:80]}: {source} {dest}', right, d,
                f'r{i}', *RIGHT[i][1:])


def right(d, user, source, dest, lesson, args, warnings):
    message = mail(f'{source} to {dest}')
    with d.fill(user) as c:
        equal(c.append(source, message).status, 'OK')
    with d.imap(user) as c:
        for command in (c.copy, c.copy):
            reply = command(c.select(source)[0], dest)
            equal(reply.status, 'OK', str(reply))
    wanted = [(lesson, stored(message), args)] * 2 if lesson else []
    equal([(got.what, got.message, got.args) for got in d.lessons()], wanted,
          'lessons')
    d.assert_log(rf'imap\({user}\).*Warning: antispam: ', warnings)
    equal(len(faults_of(d, user)), warnings, 'errors and warnings')


@test
def empty_means_no_folder():
    settings = {**PIPE, 'antispam_spam': '', 'antispam_trash': ''}
    with Dovecot('maildir', settings=settings, name='empty') as d:
        for dest in ('SPAM', 'Junk', 'Trash'):
            row(f'empty antispam_spam and _trash: Work {dest}', not_learned, d,
                'bob', 'Work', dest)
            row(f'empty antispam_spam and _trash: {dest} Work', not_learned, d,
                'bob', dest, 'Work')


def not_learned(d, user, source, dest):
    put_and_move(d, user, source, dest)
    equal(d.lessons(), [], 'lessons')


@test
def variables():
    """Dovecot 2.3's variables, as old configurations have them: in 2.4 they
    work too, with a warning that says what to write."""
    settings = {**PIPE, 'antispam_pipe_program_args':
                '--user=%u;--name=%n ;--domain=%d; --home=%h;%%u'}
    users = ['a;--evil@example.org', 'semi;colon@ex;ample', 'x %h@%n', 'plain']
    with Dovecot('maildir', settings=settings, name='variables') as d:
        for user in users:
            row(f'variables of {user}', expanded, d, user)


def expanded(d, user):
    put_and_move(d, user)
    name, _, domain = user.partition('@')
    lesson, = d.lessons()
    equal(lesson.args, [
        f'--user={user}', f'--name={name}', f'--domain={domain}',
        f'--home={d.home(user)}', '%u', '--spam'], 'arguments')
    said = rf'imap\({re.escape(user)}\).*Warning: antispam: .*'
    new = {'%u': '%{user}', '%n': '%{user | username}',
           '%d': '%{user | domain}', '%h': '%{home}'}
    for old, to_write in new.items():
        d.assert_log(f'{said}{old}.*{re.escape(to_write)}',
                     0 if d.has_old_variables else 1)


@test
def of_one_user():
    """What userdb says of a user goes before what all have."""
    users = {'spooler': {**SPOOL, 'antispam_spam': 'Work'},
             'nobody': {'antispam_backend': 'none'},
             'args': {'antispam_pipe_program_args': 'of;this user'}}
    with Dovecot('maildir', settings=PIPE, users=users,
                 name='userdb') as d:
        row('userdb: another backend', other_backend, d)
        row('userdb: none', not_learned, d, 'nobody', 'Work', 'SPAM')
        row('userdb: other arguments', other_arguments, d, 'args',
            ['of', 'this user', '--spam'])
        row('userdb: nothing', other_arguments, d, 'plain', ['--spam'])


def other_backend(d):
    message = put_and_move(d, 'spooler', 'INBOX', 'Work')
    lesson, = d.lessons()
    equal((lesson.what, lesson.message), (SPAM, message), 'lesson')
    equal(lesson.args[0][-5:], '.spam', 'a file')


def other_arguments(d, user, args):
    put_and_move(d, user)
    lesson, = d.lessons()
    equal(lesson.args, args, 'arguments')


@test
def temporary_spool():
    """systemd's PrivateTmp hides /tmp from the consumer: one warning."""
    with Dovecot('maildir', settings=SPOOL, name='spool below /tmp') as d:
        if not d.dir.startswith(('/tmp/', '/var/tmp/')):
            raise Skip('the test directory is not below /tmp')
        put_and_move(d, 'bob')
        put_and_move(d, 'ann')
        equal(len(d.lessons()), 2, 'lessons')
        for user in ('bob', 'ann'):
            row(f'spool below /tmp: one warning in a session of {user}',
                d.assert_log, rf'imap\({user}\).*Warning: antispam: '
                r'.*lies below /(var/)?tmp')


@test
def no_home():
    users = {'homeless': {'home': None}}
    with Dovecot('maildir', settings=PIPE, users=users, name='no home') as d:
        d.recorder.control(detail=1)
        row('no home: no HOME, one warning', homeless, d)


def homeless(d):
    message = put_and_move(d, 'homeless')
    lesson, = d.lessons()
    equal((lesson.what, lesson.message), (SPAM, message), 'lesson')
    equal('HOME' in lesson.env, False, 'HOME is set')
    equal((lesson.env['USER'], lesson.cwd), ('homeless', '/'), 'environment')
    d.assert_log(r'imap\(homeless\).*Warning: antispam: .*home')


@test
def unknown_variable():
    """Dovecot 2.3 itself lets no user in who has one."""
    users = {'bob': pipe(pipe_program_args='--x=%{nosuch}')}
    with Dovecot('maildir', users=users,
                 settings={'antispam_unsure': 'Unsure'},
                 name='unknown variable') as d:
        row('unknown %variable', unknown_expanded, d)


def unknown_expanded(d):
    try:
        wrong(d, 'bob', r'antispam_pipe_program_args = --x=%\{nosuch\}: ')
    except AssertionError:
        d.assert_log(r'imap\(\d+\): Error: Failed to expand plugin setting '
                     'antispam_pipe_program_args')


@test
def chroot():
    with Dovecot('maildir', settings={**PIPE, 'antispam_unsure': 'Unsure'},
                 users={'caged': {'home': '@DIR@/home/./caged'}},
                 extra={'valid_chroot_dirs': '@DIR@/home'},
                 name='chroot') as d:
        os.mkdir(f'{d.dir}/home/caged')
        os.chown(f'{d.dir}/home/caged', MAIL_UID, MAIL_UID)
        row('mail_chroot: off, one error, and moves pass', wrong, d, 'caged',
            'mail_chroot')


main()

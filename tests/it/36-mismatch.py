#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What an admin meets when parts do not fit: files of another Dovecot or none,
settings that are wrong. Dovecot or we say what it is, in the words that README
and antispam.7 quote; where it is ours to decide, mail works on."""

import re

import admin
import manual
import pkg
import readme
import sources
from admin import MODULE, PLUGIN, TRAINER
from harness import equal, mail, main, row, test, wait_until
from imap import Imap

IS_NEW = admin.release() >= (2, 4)
LINES = ['antispam_backend = pipe', 'antispam_pipe_program = /bin/true',
         'antispam_pipe_program_spam_arg = x',
         'antispam_pipe_program_notspam_arg = y']
ALL_FILES = [PLUGIN, MODULE]
OURS = 'Error: antispam: nothing is learned in this session: '
# How a log line differs from what is quoted of it.
VARYING = {
    '...': '.*',
    '/usr/lib/dovecot/modules': r'\S+/modules',
    'ABI version 2.3.ABIv19(2.3.19.1)': r'ABI version \S+',
    'ABI version 2.4.ABIv1': r'ABI version \S+',
}


def pattern(quotation):
    """The log lines that it stands for."""
    text = re.escape(quotation)
    for varying, wanted in VARYING.items():
        text = text.replace(re.escape(varying), wanted)
    return text


def in_readme(first):
    """What README shows of the log; it wraps the lines."""
    text = ' '.join(readme.script('Install', first).split())
    return [pattern(line) for line in re.split(' (?=Error: |Fatal: )', text)]


def in_manual(first):
    found = [line.removeprefix('... ') for line in
             manual.of_dovecot() + manual.diagnostics()]
    found = [line for line in found if line.startswith(first)]
    equal(len(found), 1, f'antispam.7 quotes "{first}"')
    return pattern(found[0])


# Sessions

def moves_pass(d):
    """Returns what the session says of us in the log."""
    before = len(d.log('antispam: '))
    with d.imap('joe') as c:
        for source, dest in (('INBOX', 'SPAM'), ('SPAM', 'Work')):
            equal(c.append('INBOX', mail('x')).status, 'OK')
            reply = c.move(c.select(source)[0], dest)
            equal(reply.status, 'OK', str(reply))
    return d.log('antispam: ')[before:]


def says_once(d, wanted):
    """Mail works, nothing is learned, and we say why."""
    equal(len(moves_pass(d)), 1, 'lines of ours')
    d.assert_log(OURS + wanted)


def silent(d):
    equal(moves_pass(d), [], 'lines of ours')


def no_session(d, *wanted):
    """Dovecot itself ends it and says why; the user reads nothing of us."""
    session = Imap(d.port, 'joe')
    with session.sock, session.file:
        said = str(session.login) + session.file.read().decode()
    equal('Internal error occurred' in said, True, said)
    equal('antispam' in said, False, said)
    for line in wanted:
        d.assert_log(r'imap\(\w+\).*: ' + line)


def no_start(text, change, *wanted):
    try:
        with admin.Admin(text, change):
            pass
    except AssertionError as why:
        for line in wanted:
            if re.search(line, str(why)) is None:
                raise
    else:
        raise AssertionError('Dovecot started')


# Files

@test
def stale_plugin():
    with admin.Admin(admin.whole(*LINES), admin.make_stale(PLUGIN),
                     name='stale plugin') as d:
        row('stale plugin: no session, and why', no_session, d,
            *in_readme("Error: Couldn't load required plugin"),
            in_manual("Couldn't load required plugin"))


@test
def stale_module():
    if not IS_NEW:
        row('stale settings module: mail works, and what is said',
            works_without, admin.make_stale(MODULE))
        return
    row('stale settings module: no start, and why', no_start,
        admin.whole(*LINES), admin.make_stale(*ALL_FILES),
        *in_readme("Error: Couldn't load plugin"),
        in_manual("Couldn't load plugin"),
        in_manual('Error in configuration file'))


@test
def remedy():
    """Out of mail_plugins; on 2.4, where Dovecot reads the settings, these
    too."""
    lines = [] if IS_NEW else ['plugin {', *LINES, '}']
    with admin.Admin('\n'.join(lines) + '\n', admin.make_stale(*ALL_FILES),
                     name='remedy') as d:
        row('stale files: mail works by what README says', silent, d)
        d.expect_log(in_manual("Couldn't load plugin"))


@test
def no_plugin():
    with admin.Admin(admin.whole(*LINES), admin.remove(PLUGIN),
                     name='no plugin') as d:
        row('no plugin: no session, and why', no_session, d,
            in_manual("Plugin 'antispam' not found"))


def works_without(change):
    """Dovecot 2.3 needs the settings module for the service alone."""
    with admin.Admin(admin.whole(*LINES), change, name='no service') as d:
        taught(d)
        d.expect_log(in_manual("Couldn't load plugin"))


def taught(d):
    """A lesson; nothing else is said."""
    lines = moves_pass(d)
    equal([re.search(r'antispam: (.*)$', line)[1] for line in lines],
          ['1 learned as spam by pipe', '1 learned as ham by pipe'])


@test
def no_module():
    if not IS_NEW:
        row('no settings module: mail works, and nothing is said',
            works_without, admin.remove(MODULE))
        return
    with admin.Admin(admin.whole(), admin.remove(MODULE),
                     name='no settings module') as d:
        row('no settings module and no settings: one error, mail works',
            says_once, d, in_manual("can't read the antispam settings"))
        row('no settings module, but settings: doveconf refuses them',
            refused, d, LINES[0], in_manual('Error in configuration file'))
    quotation = 'Unknown setting: antispam_backend'
    row('no settings module, but settings: no start, and why', no_start,
        admin.whole(*LINES), admin.remove(MODULE), quotation,
        in_manual('Error in configuration file'))
    text = ' '.join(sources.read(f'{pkg.ROOT}/README').split())
    row('README quotes it', equal,
        f'Dovecot refuses to start ("{quotation}")' in text, True)


@test
def stale_trainer():
    """Of another Dovecot that has the same ABI, or it would not be started."""
    with admin.Admin(admin.whole(*LINES), admin.make_stale_trainer,
                     name='stale trainer') as d:
        row('stale trainer: mail works', taught, d)
        row('stale trainer: what is said', says_trainer, d,
            in_manual('antispam-trainer was built for Dovecot'))


def says_trainer(d, wanted):
    """And then Dovecot's master says that it waits before it tries again."""
    wait_until(lambda: d.log('startup failed, throttling'), 5, 'its end')
    fatal = d.assert_log('Fatal: ' + wanted)
    d.broken.update(fatal)
    d.expect_log(r'service\(antispam-trainer\): command startup failed')


@test
def no_trainer():
    row('no trainer: no start, and why', no_start, admin.whole(*LINES),
        admin.remove(TRAINER), 'antispam-trainer')


# Settings that are wrong: what is written, and what is said

def wrong_words():
    for name, (kind, _, words) in sources.settings().items():
        if kind == 'ENUM':
            words = ', '.join(words) if len(words) > 1 else '.*pipe, .*none'
            yield f'{name} = nosuch', f'{name} = nosuch: .*{words}'


WRONG = [
    *wrong_words(),
    ('antispam_log_lessons = perhaps',
     'antispam_log_lessons = perhaps: .*yes or no'),
    ('antispam_timeout = 60', 'antispam_timeout = 60: .*60 s'),
    ('antispam_max_size = big', 'antispam_max_size = big: .*10 M'),
    ('antispam_max_parallel = 0', 'antispam_max_parallel = 0: .*at least 1'),
    # A list as in Dovecot 2.4's own settings. Dovecot takes a value's first
    # and last quote away.
    ('antispam_spam = "A" "B"', 'antispam_spam = A" "B: .*as a;b'),
    ('antispam_spam = "A" "B C" "D"',
     'antispam_spam = A" "B C" "D: .*as a;b'),
    ('antispam_spam = "A";"B"', 'antispam_spam = A";"B: .*as a;b'),
    ('antispam_trash_pattern = A "B C"',
     'antispam_trash_pattern = A "B C": .*as a;b'),
    (r'antispam_spam = SPAM \Junk',
     r'antispam_spam = SPAM \\Junk: .*as a;b'),
    (r'antispam_spam = \Junk SPAM',
     r'antispam_spam = .*\\Junk SPAM: .*write one of'),
    ('antispam_pipe_program_args = "-x" "-y"',
     'antispam_pipe_program_args = -x" "-y: .*as a;b'),
    ('antispam_spam = yes', 'antispam_spam = yes: .*as a;b'),
]
# What only a session can know.
LATE = [r'antispam_spam = \Junk SPAM']


@test
def wrong_settings():
    with admin.Admin(admin.whole(*LINES), name='right settings') as d:
        row('right settings: doveconf', equal, d.doveconf('-n')[::2], (0, ''))
        for line, wanted in WRONG:
            if IS_NEW and line not in LATE:
                row(f'{line}: doveconf refuses it', refused, d, line, wanted)
        row('a list in braces: doveconf refuses it', refused, d,
            'antispam_spam {\n  SPAM = yes\n}',
            'antispam_spam = yes: .*as a;b' if IS_NEW
            else 'Section not allowed here')
        if IS_NEW:
            row('antispam_spma: doveconf refuses it', refused, d,
                'antispam_spma = x', unknown())
            row('plugin { }: doveconf refuses it', refused, d,
                'plugin {\n  antispam_spam = x\n}', 'plugin')
    for line, wanted in WRONG:
        if not IS_NEW or line in LATE:
            row(f'{line}: a session', one_error, line, wanted)


def unknown():
    """What the manual says that Dovecot 2.4 says."""
    said = 'antispam_spma: Unknown setting: antispam_spma'
    equal(f'\n.Ql {said} .\n' in '\n'.join(manual.lines()), True, said)
    return said


def refused(d, line, wanted):
    """By doveconf, and so by Dovecot."""
    path = d.with_text('wrong.conf', admin.whole(*LINES, line))
    status, _, err = d.doveconf('-n', path=path)
    equal(status != 0 and re.search(wanted, err) is not None, True,
          f'exit status {status}, {err}')


def one_error(line, wanted):
    with admin.Admin(admin.whole(*LINES, line), name=line) as d:
        says_once(d, wanted)


@test
def wrong_for_dovecot():
    if IS_NEW:
        row('antispam_spma: no start, and why', no_start,
            admin.whole(*LINES, 'antispam_spma = x'), None, unknown())
        return
    row('antispam_spma: a session', one_error, 'antispam_spma = x',
        in_manual('unknown setting antispam_spma'))
    with admin.Admin(admin.whole(*LINES, 'antispam_spam = 100% spam'),
                     name='percent') as d:
        row('a percent sign alone: no session, and why', no_session, d,
            in_manual('Failed to expand plugin setting'))


main()

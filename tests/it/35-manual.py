#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What antispam.7 and README tell an admin is so: each example is accepted by
doveconf, which prints what was written, and by a session, without a word of
ours; settings, defaults, log lines and sentences are those of the sources."""

import os
import re
import signal
import urllib.request

import admin
import manual
import pkg
import sources
from harness import (DEFAULT_BOXES, PIPE, SPAM, Dovecot, equal, mail, main,
                     row, test, wait_until)

# What a setting needs beside itself, by the beginning of its name.
SPOOL_DIR = '/var/spool/antispam/'
BASES = {
    'antispam_spool2dir': {
        'antispam_backend': 'spool2dir',
        'antispam_spool2dir_spam': SPOOL_DIR + '%%lu-%%lu.spam',
        'antispam_spool2dir_notspam': SPOOL_DIR + '%%lu-%%lu.ham'},
    'antispam_dspam': {
        'antispam_backend': 'dspam',
        'antispam_dspam_result_header': 'X-DSPAM-Result'},
    'antispam_signature': {'antispam_backend': 'dspam'},
    'antispam_spamd': {'antispam_backend': 'spamd'},
    'antispam_rspamd': {'antispam_backend': 'rspamd'},
    'antispam_crm': {
        'antispam_backend': 'crm114',
        'antispam_crm_binary': '/usr/share/crm114/mailreaver.crm'},
    'antispam_': {
        'antispam_backend': 'pipe',
        'antispam_pipe_program': '/bin/true',
        'antispam_pipe_program_spam_arg': 'x',
        'antispam_pipe_program_notspam_arg': 'y'},
}
BASE = BASES['antispam_']
# A setting, where it begins a line or a piece of code.
SETTING = re.compile(r'(?m)^ *(antispam_\w+) = (.*)$')


def readme():
    return sources.read(f'{pkg.ROOT}/README')


def readme_blocks():
    """Indented text: [(heading, version it is for or '', text)]."""
    found = []
    for part in re.split(r'(?m)^#+ ', readme())[1:]:
        heading = part.split('\n', 1)[0]
        for before, block in re.findall(
                r'(?m)(^.*)\n\n((?:(?:    .*)?\n)*    .*\n)', part):
            version = re.search(r'Dovecot (2\.\d):$', before)
            found.append((heading, version[1] if version else '',
                          re.sub(r'(?m)^    ', '', block)))
    return found


def lines_of(settings):
    return [f'{name} = {value}' for name, value in settings.items()]


# Examples that are but settings

def small_examples():
    """[(where, name, value)]"""
    found = []
    for literal in manual.literals():
        if not literal.mark:
            found += [('antispam.7', *pair)
                      for pair in SETTING.findall(literal.text)]
    found += [('antispam.7', *pair) for pair in manual.in_text()]
    for heading, version, text in readme_blocks():
        if not version:
            found += [(f'README, {heading}', *pair)
                      for pair in SETTING.findall(text)]
    found += [('README', *pair) for pair in
              re.findall(r'`(antispam_\w+) = ([^`]+)`', readme())]
    return found


def base_of(name):
    return next(base for begin, base in BASES.items()
                if name.startswith(begin))


def grouped(examples):
    """As few configurations as can be, each setting once in each:
    [(settings that are needed beside them, [example])]."""
    groups = []
    for example in examples:
        name, base = example[1], base_of(example[1])
        for needed, members in groups:
            if needed is base and name not in [m[1] for m in members]:
                members.append(example)
                break
        else:
            groups.append((base, [example]))
    return groups


@test
def settings_work():
    for base, members in grouped(small_examples()):
        name = f'{len(members)} settings, {base["antispam_backend"]}'
        row(f'{name}: a session', group_works, name, base, members)


def group_works(name, base, members):
    given = {setting: value for _, setting, value in members}
    with admin.Admin(admin.whole(*lines_of({**base, **given})),
                     name=name) as d:
        printed = d.printed()
        for where, setting, value in members:
            row(f'{where}: {setting} = {value}', equal, printed.get(setting),
                [value], 'doveconf -n')
        harmless_session(d)


def harmless_session(d):
    """Nothing is taught, but settings are read and folders are looked at; of
    faults, the end of the instance tells."""
    with d.imap('joe') as c:
        equal(c.append('INBOX', mail('hello')).status, 'OK')
        reply = c.move(c.select('INBOX')[0], 'Work')
        equal(reply.status, 'OK', str(reply))
    equal(d.faults(), [], 'faults')


# Examples that are whole configurations

@test
def quick_starts():
    found = {'2.3': [], '2.4': []}
    for heading, version, text in readme_blocks():
        if version:
            found[version].append(heading)
        if version == admin.number():
            row(f'README, {heading}', works, heading, text)
    equal(len(found['2.3']) >= 6, True, f'quick starts: {found}')
    row('README: the same for both', equal, found['2.3'], found['2.4'])


@test
def synopsis():
    literal = manual.literals()[0]
    start = literal.text.split('\n')[0].index('Dovecot 2.4')
    piece = slice(start, None) if admin.release() >= (2, 4) \
        else slice(0, start)
    column = [line[piece].rstrip() for line in literal.text.split('\n')]
    equal(column[0], f'Dovecot {admin.number()}')
    more = [line for line in lines_of(BASE) if 'backend' not in line]
    text = '\n'.join(column[1:]).replace('antispam_... = ...',
                                         '\n'.join(more)) + '\n'
    row('antispam.7, SYNOPSIS', works, 'SYNOPSIS', text)


@test
def of_dovecot():
    """Settings of Dovecot's own that the manual gives."""
    count = 0
    for literal in manual.literals():
        release, _, kind = literal.mark.rpartition(' ')
        if kind == 'global' and release in ('', admin.number()):
            count += 1
            row(f'antispam.7, {literal.section}', works, literal.section,
                admin.whole(*lines_of(BASE)) + literal.text,
                counted if 'metric' in literal.text else None)
    row('antispam.7: settings of Dovecot', equal, count, 2)


def works(name, text, check=None):
    with admin.Admin(text, name=name) as d:
        assert_shown(d)
        harmless_session(d)
        if check is not None:
            check(d)


def assert_shown(d):
    """All that was written, and the plugin for IMAP."""
    printed = d.printed()
    for name, value in re.findall(r'(?m)^ *(\w+) = (.*)$', d.written):
        if name not in ('mail_plugins', 'antispam'):
            equal(value in printed.get(name, []), True,
                  f'{name} = {value} in {printed.get(name)}')
    status, out, err = d.doveconf('-f', 'protocol=imap', 'mail_plugins')
    equal((status, err), (0, ''), 'doveconf mail_plugins')
    equal('antispam' in out.split(), True, out)


def counted(d):
    """By Dovecot itself, and for OpenMetrics."""
    with d.imap('ann') as c:
        equal(c.append('INBOX', mail('cheap')).status, 'OK')
        equal(c.move(c.select('INBOX')[0], 'SPAM').status, 'OK')
    counts = 'dovecot_antispam_total{class="spam",outcome="learned"} 1\n'
    wait_until(lambda: counts in metrics(d), 5, counts)
    dumped = d.doveadm('stats', 'dump')
    equal('antispam' in dumped, True, dumped)


def metrics(d):
    url = f'http://127.0.0.1:{d.example_port}/metrics'
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@test
def of_one_user():
    """The field of a passwd-file, in that very syntax."""
    text = next(literal.text for literal in manual.literals()
                if ':userdb_' in literal.text)
    user, name, value = re.fullmatch(
        r'(\w+):\{PLAIN\}pw:\d+:\d+::/[\w/]+::userdb_(antispam_\w+)=(\S+)\n',
        text).groups()
    with Dovecot(settings=PIPE, users={user: {name: value}},
                 boxes={**DEFAULT_BOXES, 'Bulk': ''}, name='passwd-file') as d:
        row(f'antispam.7: the field of {user}', own_folder, d, user, [SPAM])
        row('antispam.7: not for others', own_folder, d, 'x' + user, [])


def own_folder(d, user, lessons):
    with d.imap(user) as c:
        equal(c.append('INBOX', mail('cheap')).status, 'OK')
        equal(c.move(c.select('INBOX')[0], 'Bulk').status, 'OK')
    equal([lesson.what for lesson in d.lessons()], lessons, 'lessons')


# Settings and the sources

def defines(name):
    return sources.defines()[name]


def in_code(array):
    """The strings of a NULL-terminated array."""
    text = sources.read(f'{pkg.ROOT}/src/antispam-folder.c')
    found = re.search(array + r'\[\] = \{ (.*), NULL \}', text)
    return ';'.join(sources.unescape(word)
                    for word in re.findall(r'"(.*?)"', found[1]))


def defaults(name, default):
    """What the manual must name: some are found out as late as a backend or a
    class of folders is known."""
    late = re.match('antispam_(spam|trash)($|_pattern|_regex)', name)
    if late:
        return [in_code(late[1] + '_default')]
    if name == 'antispam_signature':
        return [defines('DSPAM_SIGNATURE_HEADER'),
                defines('CRM114_SIGNATURE_HEADER')]
    if name == 'antispam_signature_regex':
        return [defines('SIGNATURE_REGEX'), next(
            text for text in sources.literals() if text.startswith('^sfid'))]
    return [default]


@test
def settings_are_explained():
    explained, given = manual.settings(), [e[1] for e in small_examples()
                                           if e[0] == 'antispam.7']
    known = sources.settings()
    row('antispam.7 explains all settings, and no others', equal,
        sorted(explained), sorted(name for name, setting in known.items()
                                  if setting[0] != 'IGNORED'))
    for name, item in explained.items():
        row(f'antispam.7: {name} has an example', equal, name in given, True)
        row(f'antispam.7: {name}: its default', default_named, item.text,
            defaults(name, known[name][1]))
    for name, (kind, _, words) in known.items():
        if kind == 'IGNORED':
            row(f'antispam.7: {name} is without effect', ignored, name)
        elif kind == 'ENUM':
            row(f'antispam.7: {name}: its words', words_named,
                explained[name].text, enum_words(name, words))
    for old, new in sources.old_settings().items():
        row(f'antispam.7: {old}, an old name', equal,
            re.search(rf'Old names?:.*\b{old}\b', explained[new].text)
            is not None, True)


def default_named(text, values):
    for value in values:
        if not value:
            wanted = r'[Bb]y default (there are none|none is)|No default|' \
                'must be given'
        else:
            value = re.escape(value)
            wanted = (rf'[Dd]efaults?,? (\S+ and )?{value}(?![\w-])|'
                      rf'(?<!\S){value}, the default\b')
            if len(values) > 1:
                wanted += rf'|Defaults?\b.*(?<!\S){value}(?![^\s.,])'
        if re.search(wanted, text, re.S) is None:
            raise AssertionError(f'no default "{value}" in: {text}')


def enum_words(name, words):
    if name != 'antispam_backend':
        return words
    return ['none'] + [word for backend, old in sources.backends().items()
                       for word in [backend, *old]]


def words_named(text, words):
    equal([word for word in words
           if re.search(rf'(?<![\w-]){word}(?![\w-])', text) is None], [],
          'words that are not named')


def ignored(name):
    part = '\n'.join(manual.lines()).split('.Ss Accepted, without effect')[1]
    equal(name in part.split('\n.S')[0], True, name)


NO_SETTINGS = {
    # events, and metrics of the examples
    'antispam_lesson_finished', 'antispam_lesson_queued',
    'antispam_lesson_cancelled', 'antispam_lesson_failed',
    'antispam_lesson_lost', 'antispam_queued', 'antispam_failed',
    'antispam_lost',
    # wrong ones, as such
    'antispam_spma',
}


@test
def names_exist():
    """Wherever one is mentioned; X and * stand for several."""
    known = {*sources.settings(), *sources.old_settings(), *NO_SETTINGS}
    for where, text in (('README', readme()),
                        ('antispam.7', '\n'.join(manual.lines()))):
        found = set(re.findall(r'\bantispam_[a-z0-9_]+[a-z0-9]\b(?![*.])',
                               text))
        equal(len(found) > 20, True, f'names in {where}')
        row(f'{where}: all names are settings', equal,
            sorted(found - known), [])


# Log lines and sentences

# What stands in a log line for something else.
VALUES = re.compile('|'.join((
    r'\.\.\.', r'"\.\.\."', r'[0-9a-f]+\.\.\.', r'sfid-\.\.\.', r'\d+',
    'NAME|REASON|INBOX|SPAM|Virus', 'first line that it wrote', r'/[\w./-]*',
    r'antispam_\w+', r'X-[\w-]+', 'r?spamd|spam|ham|trash|unsure',
    '(crm114|dspam|pipe|spool2dir)(, (crm114|dspam|pipe|spool2dir))*',
    r'u|%\{\w+\}',
    *(re.escape(os.strerror(number)) for number in range(1, 134)),
    *(re.escape(signal.strsignal(number)) for number in range(1, 16)))))


def uncovered(line, constants):
    """What follows the longest beginning of the line that is made of the
    sources' words and of values; '' if all of it is."""
    reached = {0: 0}
    for at in range(len(line)):
        if at not in reached:
            continue
        value = VALUES.match(line, at)
        for piece in constants:
            if line.startswith(piece, at) and is_whole(line, at, len(piece)):
                end = at + len(piece)
                reached[end] = max(reached.get(end, 0), reached[at],
                                   len(piece))
        if value and is_whole(line, at, len(value[0])):
            reached.setdefault(value.end(), reached[at])
        if line[at] in ' ,:()':
            reached.setdefault(at + 1, reached[at])
    # One long piece must be there: values alone are no log line.
    if reached.get(len(line), 0) >= 9:
        return ''
    return line[max(reached):] or line


def is_whole(line, at, size):
    """No word is cut there."""
    around = line[at - 1:at + 1], line[at + size - 1:at + size + 1]
    return not any(len(two) == 2 and re.fullmatch(r'\w\w', two)
                   for two in around)


@test
def log_lines():
    constants = {piece for text in sources.constants()
                 for piece in (text, text.strip())
                 if re.search('[A-Za-z]', piece)}
    lines = manual.diagnostics()
    equal(len(lines) > 30, True, 'lines in DIAGNOSTICS')
    for where, text in ((f'antispam.7, {literal.section}', literal.text)
                        for literal in manual.literals()):
        lines += said_in(text)
    for _, _, text in readme_blocks():
        lines += said_in(text)
    for line in lines:
        row(f'a log line: {line}', equal, uncovered(line, constants), '')
        # So that a word that nobody says is noticed.
        wrong = re.sub(longest_word(line), 'wrongly', line, count=1)
        if not uncovered(wrong, constants):
            raise AssertionError(f'this would pass: {wrong}')


def said_in(text):
    return re.findall(r'(?m)^imap\(.*\)<.*: \w+: antispam: (.*)$', text)


def longest_word(line):
    return max(re.findall(r'(?<![\w/.-])[a-z]{4,}(?![\w/.-])', line), key=len)


@test
def sentences():
    """What the user reads."""
    literals = sources.literals()
    quoted = re.findall(r'"([A-Z][^"]*\.)"', ' '.join(readme().split()))
    equal(bool(manual.sentences() and quoted), True, 'there are sentences')
    for sentence in manual.sentences() + quoted:
        row(f'a sentence: {sentence}', equal, sentence in literals, True)


main()

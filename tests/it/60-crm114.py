#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""crm114 itself: a message that its mailreaver.crm has misjudged is moved over
IMAP, and mailreaver.crm judges another way. Its id comes from the sender as
easily as from the filter, and runs nothing."""

import os
import re
import shutil
import subprocess

from harness import MAIL_UID, Dovecot, Skip, equal, main, row, test

SHARE = '/usr/share/crm114'
REAVER = f'{SHARE}/mailreaver.crm'
ID = re.compile(rb'^X-CRM114-CacheID: (sfid-\S+)', re.M)
STATUS = re.compile(rb'^X-CRM114-Status: (\w+) +\( *([-0-9.]+) *\)', re.M)
# What mailfilter.cf has to say for this.
MAILFILTER = {
    'spw': '/none/', 'log_to_allmail.txt': '/no/', 'log_rejections': '/no/',
    'add_mailtrainer_report': '/no/', 'spam_flag_subject_string': '//',
    'unsure_flag_subject_string': '//', 'good_flag_subject_string': '//',
    'confirm_flag_subject_string': '//',
}
CRM114 = {
    'antispam_backend': 'crm114',
    'antispam_crm_binary': REAVER,
    'antispam_crm_args': '-u;@HOME@/.crm114;--fileprefix=@HOME@/.crm114/',
    'antispam_unsure': 'Unsure',
}
PILLS = 'cheap pills, buy pills now, best pills, pharmacy without a doctor'
MEETING = 'the minutes of our meeting, and the agenda of the next one'
LEARNED = 'Info: antispam: {} learned as {} by crm114'


class Reaver:
    """One user's crm114: its rules, its words and its cache."""

    def __init__(self, home):
        self.dir = f'{home}/.crm114'
        os.makedirs(self.dir)
        for name in os.listdir(SHARE):
            if name.endswith('.crm'):
                shutil.copy(f'{SHARE}/{name}', self.dir)
        with open(f'{SHARE}/mailfilter.cf', encoding='latin-1') as file:
            text = file.read()
        for name, value in MAILFILTER.items():
            text = re.sub(rf'(?m)^:{name}:.*', f':{name}: {value}', text)
        with open(f'{self.dir}/mailfilter.cf', 'w',
                  encoding='latin-1') as file:
            file.write(text)
        for name in ('priolist', 'rewrites', 'whitelist', 'blacklist'):
            with open(f'{self.dir}/{name}.mfp', 'w', encoding='ascii'):
                pass
        for path, _, names in os.walk(home):
            for name in ['.', *names]:
                os.chown(os.path.join(path, name), MAIL_UID, MAIL_UID)
        for name in ('spam', 'nonspam'):
            self.run('cssutil', '-b', '-r', f'{self.dir}/{name}.css')

    def run(self, *command, data=b'', check=True):
        return subprocess.run(
            ['setpriv', f'--reuid={MAIL_UID}', f'--regid={MAIL_UID}',
             '--clear-groups', *command], cwd=self.dir, input=data,
            check=check, capture_output=True, timeout=60,
            env={'PATH': '/usr/bin:/bin', 'LANG': 'C.UTF-8'}).stdout

    def reaver(self, data, *args, **kwargs):
        return self.run('crm', '-u', self.dir, 'mailreaver.crm',
                        f'--fileprefix={self.dir}/', *args, data=data,
                        **kwargs)

    def deliver(self, message):
        """As an MDA does: the message with mailreaver's headers."""
        out = self.reaver(message)
        if STATUS.search(out) is None:
            raise AssertionError(f'mailreaver.crm did not judge: {out!r}')
        return out

    def verdict(self, text):
        return STATUS.search(self.deliver(mail('judge this', text)))[1]

    def goodness(self, text):
        return float(STATUS.search(self.deliver(mail('judge this', text)))[2])

    def learned(self):
        """What was ever learned as spam, and as good."""
        return tuple(set(os.listdir(path)) if os.path.isdir(path) else set()
                     for path in (f'{self.dir}/reaver_cache/known_spam',
                                  f'{self.dir}/reaver_cache/known_good'))


def mail(subject, text, headers=''):
    return (f'From: Ann <ann@example.org>\nTo: bob@example.org\n'
            f'Subject: {subject}\nMessage-ID: <{abs(hash(subject))}@x>\n'
            f'{headers}\n' + f'{text}\n' * 5).encode()


def id_of(message):
    """The last one counts, as for the plugin."""
    return ID.findall(message)[-1].decode().removeprefix('sfid-')


def put(d, user, *messages, folder='INBOX'):
    """Deliver without the plugin; returns the UIDs."""
    with d.fill(user) as c:
        reply = c.append(folder, *(message.replace(b'\n', b'\r\n')
                                   for message in messages))
        equal(reply.status, 'OK', str(reply))
        return c.select(folder)[-len(messages):]


def move(d, user, source, dest, uids=None):
    with d.imap(user) as c:
        found = c.select(source)
        reply = c.move(uids or found, dest)
        return reply, len(c.uids()), c.count(dest)


def accepted(result, left, there):
    reply, in_source, in_dest = result
    equal((reply.status, in_source, in_dest), ('OK', left, there), str(reply))


def refused(result, code, text, left, there):
    reply, in_source, in_dest = result
    equal((reply.status, reply.code, in_source, in_dest),
          ('NO', code, left, there), str(reply))
    if text not in reply.text or 'crm' in reply.text.lower():
        raise AssertionError(f'what the user reads: {reply}')


def misjudged(d, reaver):
    """There and back again."""
    equal(reaver.verdict(PILLS), b'UNSURE', 'verdict at first')
    equal(reaver.verdict(MEETING), b'UNSURE', 'verdict at first')
    message = reaver.deliver(mail('pills', PILLS))
    before = reaver.learned()
    put(d, 'bob', message)
    accepted(move(d, 'bob', 'INBOX', 'SPAM'), 0, 1)
    equal(reaver.learned(), (before[0] | {id_of(message)}, before[1]),
          'learned')
    d.assert_log(LEARNED.format(1, 'spam'))
    equal(reaver.verdict(PILLS), b'SPAM', 'verdict after it was moved')

    accepted(move(d, 'bob', 'SPAM', 'Work'), 0, 1)
    equal(reaver.learned()[1], before[1] | {id_of(message)}, 'learned')
    d.assert_log(LEARNED.format(1, 'ham'))
    if reaver.verdict(PILLS) == b'SPAM':
        raise AssertionError('spam it is still')

    # A text that it has learned already: ln complains.
    accepted(move(d, 'bob', 'Work', 'SPAM'), 0, 1)
    d.assert_log(LEARNED.format(1, 'spam'), 2)
    equal(reaver.verdict(PILLS), b'SPAM', 'verdict after it was moved again')


def many(d, reaver):
    before = reaver.learned()
    goodness = reaver.goodness(MEETING)
    messages = [reaver.deliver(mail(f'meeting {i}', f'{MEETING} {i}'))
                for i in range(6)]
    for message in messages:
        d.doveadm('save', '-u', 'bob', '-m', 'Unsure', input=message)
    accepted(move(d, 'bob', 'Unsure', 'INBOX'), 0, 6)
    equal(reaver.learned()[1] - before[1], {id_of(m) for m in messages},
          'learned')
    d.assert_log(LEARNED.format(6, 'ham'))
    if not reaver.goodness(MEETING) > goodness:
        raise AssertionError(f'no better than before: {goodness}')


def injected(d, reaver, value):
    """The id that would run a command if it reached mailreaver.crm. Moved, not
    learned."""
    marker = f'{reaver.dir}/pwned'
    value = value.replace('MARKER', marker)
    headers = f'X-CRM114-CacheID: {value}\n'
    before = reaver.learned(), d.log('is no signature')
    uids = put(d, 'bob', mail('injected', PILLS, headers), folder='Work')
    with d.imap('bob') as c:
        there = c.count('SPAM')
    result = move(d, 'bob', 'Work', 'SPAM', uids)
    accepted(result, 0, there + 1)
    equal(reaver.learned(), before[0], 'learned')
    d.assert_log('Warning: antispam: not learned, since its header '
                 'X-CRM114-CacheID is no signature', len(before[1]) + 1)
    if os.path.exists(marker):
        raise AssertionError('the command was run')


def runs_commands(reaver):
    """It does reach a shell: else the rows before this one prove nothing."""
    marker = f'{reaver.dir}/pwned'
    reaver.reaver(f'X-CRM114-CacheID: sfid-x;touch${{IFS}}{marker}\n\n'
                  .encode(), '--spam', check=False)
    if not os.path.exists(marker):
        raise AssertionError('mailreaver.crm has not run the command')
    os.unlink(marker)


FORGED = 'sfid-20200101_000000_1_AA'
NO_TEXT = 'Error: antispam: learn.spam. with crm114 failed: ' \
    'mailreaver.crm has no text '


def forged(d, reaver):
    """It looks like an id, but mailreaver.crm does not know it: the sender's,
    who must not be able to keep his spam where it is."""
    before = reaver.learned()
    uids = put(d, 'bob', mail('forged', PILLS,
                              f'X-CRM114-CacheID: {FORGED}\n'), folder='Work')
    with d.imap('bob') as c:
        there = c.count('SPAM')
    accepted(move(d, 'bob', 'Work', 'SPAM', uids), 0, there + 1)
    equal(reaver.learned(), before, 'learned')
    d.assert_log(f'{NO_TEXT}{FORGED} in its cache')


def forged_among(d, reaver):
    """The others of the same command are learned."""
    before = reaver.learned()
    good = [reaver.deliver(mail(f'among {i}', PILLS)) for i in range(3)]
    bad = mail('among', PILLS, f'X-CRM114-CacheID: {FORGED}B\n')
    put(d, 'ian', good[0], bad, *good[1:])
    accepted(move(d, 'ian', 'INBOX', 'SPAM'), 0, 4)
    equal(reaver.learned()[0] - before[0], {id_of(m) for m in good},
          'learned')
    d.assert_log(f'{NO_TEXT}{FORGED}B in its cache')
    d.assert_log('ian.*' + LEARNED.format(3, 'spam'))


def elsewhere(d, reaver):
    """It looks for its cache where there is none: as if the id were unknown,
    though it exits with 0."""
    before = reaver.learned()
    put(d, 'cat', reaver.deliver(mail('for cat', PILLS)))
    accepted(move(d, 'cat', 'INBOX', 'SPAM'), 0, 1)
    equal(reaver.learned(), before, 'learned')
    d.assert_log(f'cat.*{NO_TEXT}sfid-.*antispam_crm_args = -u;')


def misplaced(d, reaver):
    """It does not find its rules, though it exits with 0."""
    before = reaver.learned()
    put(d, 'hal', reaver.deliver(mail('for hal', PILLS)))
    refused(move(d, 'hal', 'INBOX', 'SPAM'), 'UNAVAILABLE',
            'could not be taught', 1, 0)
    equal(reaver.learned(), before, 'learned')
    d.assert_log('hal.*Error: antispam: learn.spam. with crm114 failed: .*'
                 '--fileprefix= must be the directory of mailfilter.cf')


def unwritable(d, reaver):
    """It says that it has learned, and that it could not."""
    message = reaver.deliver(mail('unwritable', PILLS))
    put(d, 'eve', message)
    for name in ('spam.css', 'nonspam.css'):
        os.chown(f'{reaver.dir}/{name}', 0, 0)
        os.chmod(f'{reaver.dir}/{name}', 0o444)
    refused(move(d, 'eve', 'INBOX', 'SPAM'), 'UNAVAILABLE',
            'could not be taught', 1, 0)
    d.assert_log(r'eve.*Error: antispam: learn.spam. with crm114 failed: '
                 'mailreaver.crm complains: .*spam.css')


def unsigned(d):
    put(d, 'dan', mail('no id', PILLS))
    refused(move(d, 'dan', 'INBOX', 'SPAM'), 'CANNOT',
            'bears no mark of the spam filter', 1, 0)
    d.assert_log('dan.*Error: antispam: refused, since it has no header '
                 'X-CRM114-CacheID .antispam_signature_missing = move lets')


def unsigned_moved(d):
    put(d, 'fay', mail('no id', PILLS))
    accepted(move(d, 'fay', 'INBOX', 'SPAM'), 0, 1)
    d.assert_log('fay.*Info: antispam: 1 declined by crm114')


def not_set(d):
    put(d, 'gil', mail('no program', PILLS))
    accepted(move(d, 'gil', 'INBOX', 'SPAM'), 0, 1)
    d.assert_log('gil.*Error: antispam: nothing is learned in this session: '
                 'antispam_crm_binary is not set: write antispam_crm_binary = '
                 + REAVER)


@test
def crm114():
    if not os.path.exists(REAVER):
        raise Skip('crm114 is not installed')
    users = {
        'bob': {},
        'cat': {'antispam_crm_args': '--fileprefix=@HOME@/.crm114/'},
        'dan': {},
        'eve': {},
        'fay': {'antispam_signature_missing': 'move'},
        'gil': {'antispam_crm_binary': '/bin/false'},
        'hal': {'antispam_crm_args':
                '-u;@HOME@/.crm114;--fileprefix=@HOME@/.crm114'},
        'ian': {},
    }
    with Dovecot(settings=CRM114, users=users, name='crm114') as d:
        reavers = {user: Reaver(d.home(user))
                   for user in ('bob', 'cat', 'eve', 'hal', 'ian')}
        bob = reavers['bob']
        row('a misjudged message, to SPAM and back', misjudged, d, bob)
        row('six messages at once', many, d, bob)
        for value in ('sfid-x;touch${IFS}MARKER', 'sfid-x;touch MARKER',
                      'sfid-$(touch${IFS}MARKER)', 'sfid-`touch MARKER`',
                      'sfid-20200101_000000_1_AA;touch${IFS}MARKER',
                      'sfid-20200101_000000_1_AA\n ;touch MARKER'):
            row(f'in the header: {value!r}', injected, d, bob, value)
        row('such a header does run a command', runs_commands, bob)
        row('an unknown id', forged, d, bob)
        row('an unknown id among others', forged_among, d, reavers['ian'])
        row('without -u', elsewhere, d, reavers['cat'])
        row('--fileprefix without "/"', misplaced, d, reavers['hal'])
        row('files that it may not write', unwritable, d, reavers['eve'])
        row('no id: error', unsigned, d)
        row('no id: move', unsigned_moved, d)
        row('no program set', not_set, d)


main()

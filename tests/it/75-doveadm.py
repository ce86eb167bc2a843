#!/usr/bin/env python3
# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""doveadm antispam: status names what is wrong and says nothing where nothing
is; test hands one message to the filter, as the user; queue shows, retries,
removes and hurries what waits, and is neither stopped nor fooled by what
others have put there."""

import json
import os
import resource
import shutil
import socket
import time
import urllib.request
from base64 import b64encode

import admin
import transactions
import pkg
import readme
from harness import (DEFAULT_BOXES, HAM, MAIL_UID, PIPE, SPAM, SPOOL, Dovecot, Skip,
                     equal, free_port, mail, main, row, test, wait_until)

QUEUED = {**PIPE, 'antispam_training': 'queued',
          'antispam_queue_dir': '@DIR@/queue'}
# What waits, waits: nothing is tried during a test.
SLOW = {**QUEUED, 'antispam_queue_delay': '1 h'}
# Exit statuses.
HEALTHY, DEGRADED, OFF, TEMPFAIL, USAGE, NOPERM = 0, 65, 68, 75, 64, 77
OTHER_UID = 12346


def doveadm(d, *args, uid=None, **kwargs):
    """Returns exit status, stdout and stderr."""
    drop = [] if uid is None else [
        'setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups']
    done = d.enter(*drop, 'doveadm', '-c', f'{d.dir}/dovecot.conf', *args,
                   **kwargs)
    return (done.returncode, done.stdout.decode(),
            done.stderr.decode(errors='replace'))


def rows(d, *args, code=0, **kwargs):
    """The rows of a command, from its JSON."""
    status, out, err = doveadm(d, '-f', 'json', 'antispam', *args, **kwargs)
    equal(status, code, f'{args}: {out} {err}')
    return json.loads(out)


def status(d, user='u', code=0, **kwargs):
    return rows(d, 'status', '-u', user, code=code, **kwargs)


def of(found, topic):
    return [(entry['name'], entry['value'], entry['text'])
            for entry in found if entry['topic'] == topic]


def assert_problem(found, code, *parts):
    """One problem, which says all of that."""
    problems = of(found, 'problem')
    equal([name for name, _, _ in problems], [code], str(problems))
    for part in parts:
        equal(part in problems[0][2], True, f'{part!r} in {problems[0][2]!r}')


def queue(d):
    return f'{d.dir}/queue'


def make_queue(d, mode=0o1733):
    wait_until(lambda: os.path.isdir(queue(d)), 5, 'the queue')
    for name in os.listdir(queue(d)):
        path = f'{queue(d)}/{name}'
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    os.chmod(queue(d), mode)


def message_file(d, name='message', mode=0o644):
    path = f'{d.dir}/{name}'
    with open(path, 'wb') as file:
        file.write(mail('tested'))
    os.chmod(path, mode)
    return path


# Status

@test
def healthy():
    for name, settings in (('inline', PIPE), ('queued', SLOW)):
        with Dovecot(settings=settings, name=name) as d:
            with d.imap('u'):
                pass
            if settings is SLOW:
                make_queue(d)
            row(f'{name}: nothing is wrong', nothing_wrong, d, name)
            row(f'{name}: folders, and why', folders, d)
            row(f'{name}: as the mail\'s uid', as_mail_uid, d)


def nothing_wrong(d, training):
    found = status(d)
    equal(of(found, 'problem') + of(found, 'note'), [], 'wrong')
    equal(of(found, 'training')[0][:2], ('state', 'healthy'), 'state')
    shown = {name: value for name, value, _ in of(found, 'setting')}
    equal(shown, {'antispam_backend': 'pipe', 'antispam_training': training,
                  'mail_plugins': 'antispam'}, 'settings')
    equal(list(found[0]), ['topic', 'name', 'value', 'text'], 'fields')


def folders(d):
    shown = {name: (value, text) for name, value, text
             in of(status(d), 'folder')}
    equal(sorted(shown), sorted(['INBOX', *DEFAULT_BOXES]), 'folders')
    equal(shown['Junk'], ('spam', 'antispam_spam (default): \\Junk'), 'Junk')
    equal(shown['Trash'], ('trash', 'antispam_trash (default): \\Trash'),
          'Trash')
    equal(shown['Work'], ('other', ''), 'Work')


def as_mail_uid(d):
    """It can't ask 2.3's config process, and can't list root's queue: that is
    said, and is no fault of the set-up."""
    found = status(d, uid=MAIL_UID)
    equal(of(found, 'problem'), [], 'problems')


@test
def settings_are_wrong():
    users = {
        'none': {'antispam_backend': 'none'},
        'unknown': {'antispam_backend': 'dspamm'},
        'pattern': {'antispam_spam': '\\Jnuk'},
        'nospam': {'antispam_spam': 'Nothing'},
        'regex': {'antispam_spam_regex': '('},
        'program': {'antispam_pipe_program': 'relative'},
        'global': {'antispam_queue_dir': '/x'},
        'twice': {'antispam_trash': 'SPAM'},
    }
    with Dovecot(settings=PIPE, users=users) as d:
        for name, code, parts in (
                ('unknown', 'settings', ['antispam_backend', 'dspamm']),
                ('pattern', 'settings', ['antispam_spam', '\\Jnuk',
                                         '\\Junk']),
                ('regex', 'settings', ['antispam_spam_regex']),
                ('program', 'settings', ['antispam_pipe_program',
                                         'relative']),
                ('global', 'settings', ['antispam_queue_dir'])):
            row(f'{name}: off, and why', is_off, d, name, code, parts)
        row('none: off, on purpose', off_on_purpose, d)
        row('no spam folder: degraded', no_spam_folder, d)
        row('a folder in two classes: a note', two_classes, d)
        row('-A: the worst of all', all_users, d, users)


def is_off(d, user, code, parts):
    found = status(d, user, OFF)
    equal(of(found, 'training')[0][1], 'off', 'state')
    assert_problem(found, code, *parts)


def off_on_purpose(d):
    found = status(d, 'none', OFF)
    equal(of(found, 'problem'), [], 'problems')
    equal('none' in of(found, 'training')[0][2], True, str(found))


def no_spam_folder(d):
    found = status(d, 'nospam', DEGRADED)
    assert_problem(found, 'no-spam-folder', 'antispam_spam', '\\Junk')


def two_classes(d):
    found = status(d, 'twice')
    (_, _, text), = of(found, 'note')
    equal('SPAM is both trash (by antispam_trash) and spam' in text, True,
          text)


def all_users(d, users):
    found = rows(d, 'status', '-A', code=OFF)
    states = {entry['username']: entry['value'] for entry in found
              if entry['topic'] == 'training'}
    for user in users:
        equal(states.get(user), {'nospam': 'degraded', 'twice': 'healthy'}
              .get(user, 'off'), user)


@test
def backend_is_not_set():
    with Dovecot(settings={'antispam_spam': 'SPAM'}) as d:
        row('antispam_backend is not set', lambda: assert_problem(
            status(d, code=OFF), 'settings', 'antispam_backend is not set'))


@test
def program_is_missing():
    for name, say in (('/nonexistent/filter', 'No such file'),
                      ('/etc/passwd', 'Permission denied')):
        with Dovecot(settings={**PIPE, 'antispam_pipe_program': name}) as d:
            with d.imap('u'):
                pass
            row(f'the program is {name}', lambda: assert_problem(
                status(d, code=DEGRADED), 'program',
                f'antispam_pipe_program: {name} can\'t be executed: {say}'))


@test
def plugin_is_not_loaded():
    text = '\n'.join(f'{name} = {value}' for name, value in {
        **PIPE, 'antispam_pipe_program': '/bin/true',
        'antispam_pipe_tmpdir': '/tmp'}.items()) + '\n'
    if admin.release() < (2, 4):
        text = f'plugin {{\n{text}}}\n'
    with admin.Admin(text) as d:
        row('the plugin is missing from mail_plugins of imap',
            lambda: assert_problem(
                status(d, code=OFF), 'plugin',
                'mail_plugins of protocol imap is ""', 'antispam',
                'within protocol imap'))


@test
def of_protocol_imap():
    """What is set for IMAP alone is what counts, whatever doveadm has."""
    inner = '\n'.join(f'{name} = {value}' for name, value in {
        **PIPE, 'antispam_pipe_program': '/bin/true',
        'antispam_pipe_tmpdir': '/tmp'}.items()) + '\n'
    outer = 'antispam_backend = none\n'
    if admin.release() < (2, 4):
        inner, outer = (f'plugin {{\n{text}}}\n' for text in (inner, outer))
    load = admin.LOAD[admin.release()]
    with admin.Admin(outer + load[:load.rindex('}')] + inner + '}\n') as d:
        with d.imap('u'):
            pass
        row('protocol imap has settings of its own', imap_counts, d)


def imap_counts(d):
    equal(of(status(d), 'training')[0][1], 'healthy', 'state')
    found, = rows(d, 'test', '-u', 'u', '--spam', message_file(d))
    equal((found['result'], found['backend']), ('learned', 'pipe'), 'test')


@test
def plugin_in_doveadm():
    """The plugin is in the same process: neither takes the other's functions
    for its own."""
    with Dovecot(settings=SLOW, everywhere=True) as d:
        with d.imap('u'):
            pass
        make_queue(d)
        row('mail_plugins of all protocols: status', nothing_wrong, d,
            'queued')
        row('mail_plugins of all protocols: test', taught, d, SPAM)
        row('mail_plugins of all protocols: queue list',
            lambda: equal(queue_list(d), {}, 'list'))


# Status of a queue

@test
def queue_is_wrong():
    with Dovecot(settings=SLOW) as d:
        with d.imap('u'):
            pass
        make_queue(d)
        row('it is missing', queue_missing, d)
        row('others may remove what is there', queue_unsafe, d)
        row('it is somebody else\'s', queue_foreign, d)
        row('it is on another mount', queue_elsewhere, d)
        row('jobs that wait and that failed', queue_jobs, d)
        row('nobody reads it', no_trainer, d)
        d.expect_log('antispam-trainer.*Error')


def queue_missing(d):
    os.rename(queue(d), queue(d) + '.away')
    try:
        assert_problem(status(d, code=DEGRADED), 'queue-dir',
                       f'antispam_queue_dir = {queue(d)}', 'missing',
                       'install -d -o root -g root -m 1733')
    finally:
        if os.path.exists(queue(d)):
            os.rmdir(queue(d))
        os.rename(queue(d) + '.away', queue(d))


def queue_unsafe(d):
    os.chmod(queue(d), 0o777)
    try:
        assert_problem(status(d, code=DEGRADED), 'queue-dir',
                       'others may remove', f'chmod 1733 {queue(d)}')
    finally:
        os.chmod(queue(d), 0o1733)


def queue_foreign(d):
    os.chown(queue(d), OTHER_UID, OTHER_UID)
    try:
        assert_problem(status(d, code=DEGRADED), 'queue-dir',
                       f'belongs to {OTHER_UID}', 'chown root:root')
    finally:
        os.chown(queue(d), 0, 0)


def queue_elsewhere(d):
    equal(d.enter('mount', '-t', 'tmpfs', '-o', 'mode=1733', 'tmpfs',
                  queue(d)).returncode, 0, 'mount')
    try:
        found = status(d)
        (name, _, text), = of(found, 'note')
        equal(name, 'copied', text)
        for part in ('copied', queue(d), 'another mount'):
            equal(part in text, True, text)
    finally:
        equal(d.enter('umount', queue(d)).returncode, 0, 'umount')


def queue_jobs(d):
    transactions.put_job(queue(d), 'job.1', MAIL_UID, 'u', count=3, age=100)
    transactions.put_job(queue(d), 'job.2', MAIL_UID, 'u', age=50,
                 state=transactions.state(0, 0, 'waiting', 2, 60, 'no filter'))
    transactions.put_job(queue(d), 'failed.3', MAIL_UID, 'u', count=2,
                 state=transactions.state(0, 1, why='filter broke'))
    # Another's, one that says so but is not, and one of nobody's.
    transactions.put_job(queue(d), 'job.4', MAIL_UID, 'v')
    transactions.put_job(queue(d), 'failed.5', OTHER_UID, 'u',
                 state=transactions.state(why='not mine'))
    found = status(d, code=DEGRADED)
    shown = {name: (value, text) for name, value, text in of(found, 'queue')}
    equal((shown['waiting'][0], shown['failed'][0]), ('4', '2'), 'jobs')
    equal(100 <= int(shown['oldest'][0]) < 160, True, shown['oldest'])
    equal(shown['last_error'][1] in ('filter broke', 'no filter'), True,
          shown['last_error'])
    equal([name for name, _, _ in of(found, 'problem')],
          ['failed', 'retried'], 'problems')
    equal('not mine' in str(found), False, 'of another uid')
    found = status(d, 'v')
    equal({n: v for n, v, _ in of(found, 'queue')}['waiting'], '1', 'v')
    make_queue(d)


def no_trainer(d):
    os.unlink(f'{d.dir}/run/antispam-trainer')
    assert_problem(status(d, code=DEGRADED), 'trainer',
                   f'{d.dir}/run/antispam-trainer', 'nobody reads the queue')


# Formats, servers

@test
def formats():
    port, http = free_port(), free_port()
    new = admin.release() >= (2, 4)
    settings = '\n'.join(f'{name} = {value}' for name, value in {
        **PIPE, 'antispam_pipe_program': '/bin/false',
        'antispam_pipe_tmpdir': '/tmp'}.items()) + '\n'
    with admin.Admin(
            admin.LOAD[admin.release()]
            + (settings if new else f'plugin {{\n{settings}}}\n')
            + 'doveadm_password = secret\ndoveadm_api_key = key\n'
            + 'service doveadm {\n'
            + f'inet_listener doveadm {{\nport = {port}\n}}\n'
            + f'inet_listener http {{\nport = {http}\n}}\n}}\n',
            users={'off': {'antispam_backend': 'none'}}) as d:
        with d.imap('u'):
            pass
        for form in ('table', 'tab', 'flow', 'json'):
            row(f'-f {form}', one_format, d, form)
        for where in (f'{d.dir}/run/doveadm-server', f'127.0.0.1:{port}'):
            row(f'-S {where[-20:]}: the same, and its exit status', by_server,
                d, where)
        row('HTTP API: status', http_status, d, http)
        row('HTTP API: queue list', http_queue, d, http)
        row('HTTP API: test', http_test, d, http)
        row('usage', usage, d)
        d.expect_log('Error|Warning')


def one_format(d, form):
    code, out, err = doveadm(d, '-f', form, 'antispam', 'status', '-u', 'u')
    equal((code, err), (0, ''), 'status')
    for part in ('healthy', 'Junk', '\\Junk' if form != 'json' else '\\\\Junk'):
        equal(part in out, True, out)
    code, out, err = doveadm(d, '-f', form, 'antispam', 'queue', 'list')
    equal(code, 0, f'queue list: {err}')


def by_server(d, where):
    local = status(d)
    equal(rows(d, 'status', '-S', where, '-u', 'u'), local, 'rows')
    equal(of(rows(d, 'status', '-S', where, '-u', 'off', code=OFF),
             'training')[0][1], 'off', 'off')
    found = rows(d, 'test', '-S', where, '-u', 'u', '--spam', message_file(d),
                 code=TEMPFAIL)
    equal(found[0]['reason'], 'exited with status 1', 'reason')


def ask(d, http, *commands):
    request = urllib.request.Request(
        f'http://127.0.0.1:{http}/doveadm/v1',
        json.dumps([list(command) + ['tag'] for command in commands]).encode(),
        {'Authorization': 'X-Dovecot-API '
         + b64encode(b'key').decode(), 'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def http_status(d, http):
    """An exit status would take the place of the rows."""
    (kind, found, _), = ask(d, http, ('antispamStatus', {'user': 'u'}))
    equal(kind, 'doveadmResponse', str(found))
    equal(of(found, 'training')[0][1], 'healthy', 'state')
    (kind, found, _), = ask(d, http, ('antispamStatus', {'user': 'off'}))
    equal((kind, of(found, 'training')[0][1]), ('doveadmResponse', 'off'),
          'off')


def http_queue(d, http):
    (kind, found, _), = ask(d, http, ('antispamQueueList', {}))
    equal((kind, found), ('doveadmResponse', []), 'queue list')


def http_test(d, http):
    (kind, found, _), = ask(d, http, ('antispamTest', {
        'user': 'u', 'ham': True, 'file': 'Subject: x\n\nHello.\n'}))
    equal((kind, found.get('exitCode')), ('error', TEMPFAIL), str(found))


def usage(d):
    for args in (('test', '-u', 'u', message_file(d)),
                 ('test', '-u', 'u', '--spam', '--ham', message_file(d))):
        code, _, err = doveadm(d, 'antispam', *args)
        equal((code, '--spam|--ham' in err), (USAGE, True), err)


# Test

@test
def test_message():
    users = {'none': {'antispam_backend': 'none'},
             'wrong': {'antispam_backend': 'dspamm'},
             'sh': {'antispam_pipe_program': '/bin/sh',
                    'antispam_pipe_program_args':
                    '-c;echo learned well, by $(id -u) $(id -ru) && '
                    'echo more >&2'},
             'small': {'antispam_max_size': '10'},
             'dspam': {'antispam_backend': 'dspam'}}
    with Dovecot(settings=PIPE, users=users) as d:
        for what in (SPAM, HAM):
            row(f'{what}: the message, byte by byte, as the user',
                taught, d, what)
        row("the filter's words", words, d)
        row('it fails: its words, and exit status', fails, d)
        row('a file that is root\'s alone; and stdin', roots_file, d)
        row('no such file', no_file, d)
        row('declined, off, wrong, without a signature', not_taught, d)
        row('-A: as each user, for good', taught_all, d)
        d.expect_log('Error|Warning')


def taught(d, what):
    found = rows(d, 'test', '-u', 'u', f'--{what}', message_file(d))
    equal([(r['result'], r['class'], r['backend'], r['reason'])
           for r in found], [('learned', what, 'pipe', '')], 'rows')
    lesson, = d.lessons()
    equal((lesson.what, lesson.message), (what, mail('tested')), 'lesson')


def words(d):
    found, = rows(d, 'test', '-u', 'sh', '--spam', message_file(d))
    equal(found['output'],
          f'learned well, by {MAIL_UID} {MAIL_UID} | more', 'output')


def fails(d):
    d.recorder.control(status=75)
    found, = rows(d, 'test', '-u', 'u', '--spam', message_file(d),
                  code=TEMPFAIL)
    d.recorder.control(status=None)
    d.recorder.forget()
    equal((found['result'], found['reason'].startswith(
        'exited with status 75')), ('later', True), str(found))


def roots_file(d):
    path = message_file(d, 'secret', 0o600)
    rows(d, 'test', '-u', 'u', '--spam', path)
    status, _, err = doveadm(d, 'antispam', 'test', '-u', 'u', '--ham',
                             input=b'From x\nSubject: y\n\nz\n')
    equal(status, 0, err)
    equal([lesson.message for lesson in d.lessons()],
          [mail('tested'), b'Subject: y\n\nz\n'], 'messages')


def no_file(d):
    status, out, err = doveadm(d, 'antispam', 'test', '-u', 'u', '--spam',
                               f'{d.dir}/nothing')
    equal((status, 'No such file' in err), (TEMPFAIL, True), out + err)


def not_taught(d):
    found, = rows(d, 'test', '-u', 'small', '--spam', message_file(d))
    equal((found['result'], 'antispam_max_size' in found['reason']),
          ('declined', True), str(found))
    found, = rows(d, 'test', '-u', 'dspam', '--spam', message_file(d),
                  code=DEGRADED)
    equal((found['result'], 'X-DSPAM-Signature' in found['reason']),
          ('broken', True), str(found))
    for user, code, part in (('none', OFF, 'none'),
                             ('wrong', DEGRADED, 'dspamm')):
        status, _, err = doveadm(d, 'antispam', 'test', '-u', user, '--spam',
                                 message_file(d))
        equal((status, part in err), (code, True), err)


def taught_all(d):
    status, out, err = doveadm(d, '-f', 'json', 'antispam', 'test', '-A',
                               '--spam', message_file(d))
    found = {r['username']: r for r in json.loads(out)}
    equal(found['sh']['output'],
          f'learned well, by {MAIL_UID} {MAIL_UID} | more', err)
    d.recorder.forget()


@test
def test_spool():
    with Dovecot(settings=SPOOL) as d:
        row('spool2dir: a file under its visible name', spooled, d)


def spooled(d):
    found, = rows(d, 'test', '-u', 'u', '--ham', message_file(d))
    equal(found['result'], 'learned', 'result')
    lesson, = d.lessons()
    equal((lesson.what, lesson.message), (HAM, mail('tested')), 'file')


# Queue

@test
def queue_commands():
    with Dovecot(settings=SLOW) as d:
        with d.imap('u'):
            pass
        make_queue(d)
        row('list: what is there, of whom', listed, d)
        row('list: of one user, and by id', listed_some, d)
        row('as the mail\'s uid: it can\'t be listed, but by id',
            list_unprivileged, d)
        row('a queue that is the mail\'s uid\'s own', own_queue, d)
        row('retry', retry, d)
        row('remove', remove, d)
        row('say of what', say_of_what, d)
        row('hostile files', hostile, d)
        d.expect_log('antispam-trainer.*(Error|Warning)')


def queue_list(d, *args, **kwargs):
    return {r['id']: r for r in rows(d, 'queue', 'list', *args, **kwargs)}


def listed(d):
    transactions.put_job(queue(d), 'job.1', MAIL_UID, 'u', age=70)
    transactions.put_job(queue(d), 'job.2', MAIL_UID, 'u@x y', folder='Jünk',
                 spam=False, state=transactions.state(0, 0, 'waiting', 2, 100, 'tired'))
    transactions.put_job(queue(d), 'failed.3', MAIL_UID, 'v', state=transactions.state(
        why='broke'))
    # Of two jobs one is done.
    transactions.put_job(queue(d), '.job.4', MAIL_UID, 'u', count=2,
                 state=transactions.state(0, 0, 'done', 0, 0, ''))
    found = queue_list(d)
    equal(sorted(found), ['.job.4', 'failed.3', 'job.1', 'job.2'], 'ids')
    one, two, three = (found[i] for i in ('job.1', 'job.2', 'failed.3'))
    equal(70 <= one.pop('age') < 130, True, 'age')
    equal(one, {'id': 'job.1', 'user': 'u', 'class': 'spam', 'folder': 'SPAM',
                'state': 'waiting', 'attempts': 0, 'next_try': 0,
                'message': 'UID 1 of INBOX', 'reason': ''}, 'job.1')
    equal((two['user'], two['class'], two['folder'], two['attempts'],
           two['reason']), ('u@x y', 'ham', 'Jünk', 2, 'tired'), 'job.2')
    equal(50 < two['next_try'] <= 100, True, two['next_try'])
    equal((three['state'], three['reason']), ('failed', 'broke'), 'failed.3')


def listed_some(d):
    equal(sorted(queue_list(d, '-u', 'u')), ['.job.4', 'job.1'], '-u')
    equal(sorted(queue_list(d, 'job.1', 'failed.3')), ['failed.3', 'job.1'],
          'ids')
    status, _, err = doveadm(d, 'antispam', 'queue', 'list', 'job.9')
    equal((status, 'no transaction job.9' in err), (OFF, True), err)


def list_unprivileged(d):
    status, _, err = doveadm(d, 'antispam', 'queue', 'list', uid=MAIL_UID)
    equal((status, "can't list" in err and 'root' in err), (NOPERM, True), err)
    equal(sorted(queue_list(d, 'job.1', uid=MAIL_UID)), ['job.1'], 'by id')


def own_queue(d):
    os.chown(queue(d), MAIL_UID, MAIL_UID)
    os.chmod(queue(d), 0o700)
    try:
        for uid in (None, MAIL_UID):
            equal(len(queue_list(d, uid=uid)), 4, 'jobs')
        shown = status(d, uid=MAIL_UID, code=DEGRADED)
        found = {n: v for n, v, _ in of(shown, 'queue')}
        equal(found['waiting'], '2', 'waiting')
        # It would do for the user, but here the trainer is root.
        assert_problem(shown, 'trainer', 'does not read the queue',
                       f'it belongs to {MAIL_UID}', 'chown root:root')
        # Nothing of it needs root.
        equal([r['result'] for r in rows(d, 'queue', 'retry', 'failed.3',
                                         uid=MAIL_UID)], ['retried'], 'retry')
    finally:
        os.chown(queue(d), 0, 0)
        os.chmod(queue(d), 0o1733)


def retry(d):
    make_queue(d)
    transactions.put_job(queue(d), 'failed.1', MAIL_UID, 'u', count=3,
                 state=transactions.state(0, 0, 'done', 0, 0, '')
                 + transactions.state(1, 2, why='broke'))
    transactions.put_job(queue(d), 'failed.2', OTHER_UID, 'v', state=transactions.state())
    found = rows(d, 'queue', 'retry', '-u', 'u')
    equal([(r['id'], r['result']) for r in found], [('failed.1', 'retried')],
          'rows')
    found = [r for r in rows(d, 'queue', 'list') if r['user'] == 'u']
    equal([(r['id'], r['state'], r['attempts'], r['reason']) for r in found],
          [('job.1', 'waiting', 0, '')] * 2, 'list')
    equal(os.stat(f'{queue(d)}/job.1/state').st_uid, MAIL_UID, 'owner')
    found = rows(d, 'queue', 'retry', '-A')
    equal([r['result'] for r in found], ['retried'], '-A')
    found = rows(d, 'queue', 'retry', 'job.1', code=TEMPFAIL)
    equal('not failed' in found[0]['reason'], True, str(found))


def remove(d):
    make_queue(d)
    for name, user in (('job.1', 'u'), ('failed.2', 'u'), ('job.3', 'v')):
        transactions.put_job(queue(d), name, MAIL_UID, user)
    equal([r['result'] for r in rows(d, 'queue', 'remove', 'job.1')],
          ['removed'], 'by id')
    equal(sorted(os.listdir(queue(d))), ['failed.2', 'job.3'], 'left')
    rows(d, 'queue', 'remove', '-u', 'u')
    equal(os.listdir(queue(d)), ['job.3'], 'left')
    rows(d, 'queue', 'remove', '-A')
    equal(os.listdir(queue(d)), [], 'left')


def say_of_what(d):
    for command in ('retry', 'remove'):
        status, _, err = doveadm(d, 'antispam', 'queue', command)
        equal((status, '-u' in err), (USAGE, True), err)


def hostile(d):
    """What anybody may put there: it is named or passed over, and removed
    without harm to what it leads to."""
    make_queue(d)
    base = queue(d)
    victim = f'{d.dir}/victim'
    with open(victim, 'wb') as file:
        file.write(transactions.jobs_file('u'))
    transactions.put_job(base, 'job.good', MAIL_UID, 'u')
    os.symlink('/etc', f'{base}/job.link')
    os.mkfifo(f'{base}/job.fifo')
    with open(f'{base}/job.file', 'wb'):
        pass
    for name, mode in (('job.root', 0o700), ('job.open', 0o777),
                       ('failed.junk', 0o700)):
        os.mkdir(f'{base}/{name}')
        os.chmod(f'{base}/{name}', mode)
        if name != 'job.root':
            os.chown(f'{base}/{name}', MAIL_UID, MAIL_UID)
    transactions.put(base, 'job.crc', MAIL_UID, {'jobs': transactions.jobs_file('u', crc=1)})
    transactions.put(base, 'job.half', MAIL_UID, {'jobs': transactions.jobs_file('u')[:60]})
    transactions.put(base, 'job.count', MAIL_UID, {'jobs': transactions.jobs_file('u').replace(
        b'\t0000000001\t', b'\t4294967295\t')})
    path = transactions.put(base, 'job.linked', MAIL_UID, {})
    os.symlink(victim, f'{path}/jobs')
    path = transactions.put(base, 'job.pipe', MAIL_UID, {})
    os.mkfifo(f'{path}/jobs')
    transactions.put_job(base, 'job.name', OTHER_UID, 'u\x1b[2J"},{\x7f',
                 folder='\x1b]0;x\x07', state=transactions.state(
                     0, 0, 'waiting', 1, 0, 'why\x1b[2J"'))
    transactions.put_job(base, 'job.\x1b[2J\n', MAIL_UID, 'w')
    transactions.put_job(base, 'job.state', MAIL_UID, 'u', state='0\t999999\tfailed\t'
                 '1\t0\tx\n\xff\xfe\n')

    began = time.monotonic()
    found = queue_list(d)
    equal(time.monotonic() - began < 5, True, 'time')
    waiting = {i for i, r in found.items() if r['state'] == 'waiting'}
    equal({'job.good', 'job.state', 'job.name'} <= waiting, True, str(waiting))
    equal(waiting & {'job.crc', 'job.half', 'job.count', 'job.linked',
                     'job.pipe', 'job.link', 'job.fifo', 'job.file',
                     'job.root', 'job.open'}, set(), 'taken for jobs')
    status_, out, _ = doveadm(d, 'antispam', 'queue', 'list')
    equal(status_, 0, 'table')
    equal([c for c in out if ord(c) < 32 and c != '\n'], [], 'control')
    shown = {n: v for n, v, _ in of(status(d), 'queue')}
    equal(shown['waiting'], '2', "u's")
    doveadm(d, 'antispam', 'queue', 'remove', '-A')
    equal(os.listdir(base), [], 'left')
    equal(os.path.exists(victim) and os.path.isdir('/etc'), True, 'victims')


@test
def flush():
    settings = {**QUEUED, 'antispam_queue_delay': '1 s',
                'antispam_queue_lifetime': '5 d'}
    with Dovecot(settings=settings) as d:
        row('flush: what came to nothing is tried at once', flushed, d)
        row('flush: not by anybody', flush_untrusted, d)
        d.expect_log('learn.*failed')


def move_one(d):
    with d.imap('u') as session:
        session.append('INBOX', mail('queued'))
        session.move(session.select('INBOX'), 'SPAM')


def attempts(d):
    return [r['attempts'] for r in rows(d, 'queue', 'list')]


def flushed(d):
    d.recorder.control(status=75)
    move_one(d)
    wait_until(lambda: attempts(d) == [1], 10, 'the first try')
    equal(rows(d, 'queue', 'list')[0]['next_try'] > 30, True, 'next try')
    d.recorder.control(status=None)
    d.recorder.forget()
    equal(doveadm(d, 'antispam', 'queue', 'flush', '-u', 'v')[0], 0, 'v')
    time.sleep(0.5)
    equal(len(d.lessons()), 0, "lessons after another's flush")
    equal(doveadm(d, 'antispam', 'queue', 'flush')[0], 0, 'flush')
    wait_until(lambda: attempts(d) == [], 10, 'the lesson')
    equal(len(d.lessons()), 1, 'lessons')


def flush_untrusted(d):
    d.recorder.control(status=75)
    move_one(d)
    wait_until(lambda: attempts(d) == [1], 10, 'the first try')
    done = doveadm(d, 'antispam', 'queue', 'flush', uid=OTHER_UID)
    equal(done[0], 0, str(done))
    time.sleep(0.5)
    equal(attempts(d), [1], 'attempts')
    d.recorder.control(status=None)
    doveadm(d, 'antispam', 'queue', 'flush')
    wait_until(lambda: attempts(d) == [], 10, 'the lesson')
    d.recorder.forget()


# The way of a new admin

PROGRAM = '/usr/bin/bogofilter'
TRAINING = 'antispam_training = queued\n'


class Start(admin.Admin):
    """A quick start of README, with other lines in the place of one."""

    def __init__(self, instead, **kwargs):
        text = readme.quick_start('bogofilter', pkg.dovecot_version())
        equal(text.count(TRAINING), 1, TRAINING)
        super().__init__(text.replace(TRAINING, instead), boxes={}, **kwargs)


@test
def quick_start():
    if not os.path.exists(PROGRAM):
        raise Skip(f'{PROGRAM} is not installed')
    for name, instead in (
            ('inline', 'antispam_training = inline\n'),
            ('queued', TRAINING + 'antispam_queue_delay = 1 s\n')):
        with Start(instead, name=name) as d:
            row(f'README, {name}: status, test, a message dragged, the queue',
                literal, d, name)


def literal(d, name):
    first, second = readme.script('Quick starts', 'doveadm antispam status'
                                  ).splitlines()
    path = message_file(d, 'some-spam.eml')
    for line in (first, second.replace('some-spam.eml', path)):
        done = doveadm(d, *line.split()[1:])
        equal(done[0], 0, f'{line}: {done[1]} {done[2]}')
    with d.imap('joe') as session:
        session.append('INBOX', mail('drag me', 'cheap pills\r\n'))
        reply = session.move(session.select('INBOX'), 'Junk')
        equal(reply.status, 'OK', str(reply))
    if name == 'queued':
        waiting, = rows(d, 'queue', 'list')
        equal((waiting['user'], waiting['folder']), ('joe', 'Junk'), 'list')
        wait_until(lambda: rows(d, 'queue', 'list') == [], 20, 'the lesson')
    d.assert_log('Info: antispam: .*1 learned as spam by pipe')


@test
def very_many():
    with Dovecot(settings=SLOW) as d:
        with d.imap('u'):
            pass
        make_queue(d)
        data = transactions.jobs_file('u', count=20)
        for i in range(5000):
            transactions.put(queue(d), f'job.{i}', MAIL_UID, {'jobs': data})
        for what, args in (('status', ('status', '-u', 'u')),
                           ('queue list', ('queue', 'list'))):
            row(f'{what}: 100,000 jobs in less than 2 s', in_time, d, args)
        shutil.rmtree(queue(d))
        d.expect_log('antispam-trainer')


def in_time(d, args):
    """In seconds of a processor: others may keep this one busy."""
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime
    before = used()
    status, out, err = doveadm(d, 'antispam', *args)
    equal((status, err), (0, ''), 'exit status')
    equal('100000' in out or out.count('\n') == 100001, True, 'jobs')
    equal(used() - before < 2, True, f'{used() - before} s')


main()

# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Does what users move teach a filter as well as its own tool does?

    accuracy.py CORPUS [FILTER...]

CORPUS is a directory; messages are the files below its directories whose names
hold "spam" or "ham". Half of them are taught, the others are judged.

One database is taught by the plugin: an IMAP session moves spam from INBOX
into SPAM, another one ham out of it, a message a command. Another database of
the same filter is taught the same messages in the same order by the filter's
own tool. Then both judge the other half, and verdicts that differ are counted.
Where a filter is not sure to repeat itself, a third database, taught by the
tool again, shows by how much.

MESSAGES   how many are taught; as many are judged (1000)
"""

import os
import random
import re
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name)
                for name in ('it', 'demo')]

import daemons  # noqa: E402
import harness  # noqa: E402
import learners  # noqa: E402
import pkg  # noqa: E402
import tap  # noqa: E402
from learners import GOOD, SPAM  # noqa: E402

USER = 'user'
# Verdicts in a thousand that may differ.
ALLOWED = 1
MAX_BYTES = 500 * 1000


class Bogofilter(learners.Bogofilter):
    """Databases in homes of their own; the tool is bogofilter."""


class Crm114(learners.Crm114):
    """Likewise; each message must have been there before it is taught, and
    mailreaver.crm finds it by its id."""
    needs_delivery = True

    def train(self, verdict, messages):
        option = '--spam' if verdict == SPAM else '--good'
        for message in messages:
            line = re.search(rb'(?m)^X-CRM114-CacheID: \S+', message)[0]
            if b'LEARNED AND CACHED' not in self.reaver(line + b'\n\n', option):
                raise AssertionError('mailreaver.crm has not learned')


class Spamd(learners.SpamAssassinDaemon):
    """One daemon; a database for each name. The tool is spamc."""
    daemon = None
    settings = {'antispam_backend': 'spamd',
                'antispam_spamd_socket': '@DIR@/spamd/s'}

    def set_up(self):
        self.name = os.path.basename(self.home)
        if Spamd.daemon is None:
            directory = os.path.dirname(os.path.dirname(self.home))
            Spamd.daemon = daemons.Spamd(f'{directory}/spamd').start()
            self.name = USER

    def close(self):
        if Spamd.daemon is not None:
            Spamd.daemon.stop()
            Spamd.daemon = None

    def train(self, verdict, messages):
        for message in messages:
            self.run('spamc', '-U', self.daemon.socket, '-u', self.name,
                     '-s', str(2 * MAX_BYTES), '-L',
                     'spam' if verdict == SPAM else 'ham', message=message)

    def judge(self, messages):
        found = []
        for message in messages:
            spam, score, _ = self.daemon.judge(self.name, message)
            found.append(learners.Verdict(SPAM if spam else GOOD, str(score),
                                          message))
        return found


class Rspamd(learners.Rspamd):
    """Each with a daemon and a Redis of its own. The tool is rspamc. It does
    not guess languages, which it does by chance. It is not quite sure of itself
    even so: of the same database it judges one in 500 messages otherwise when
    it is asked again."""
    repeats = False
    settings = {**learners.Rspamd.settings, 'antispam_max_parallel': '1'}

    def set_up(self):
        directory = os.path.dirname(os.path.dirname(self.home))
        if os.path.exists(f'{directory}/rspamd'):
            directory = self.home
        self.daemon = self.make(f'{directory}/rspamd',
                                languages=False).start()

    def train(self, verdict, messages):
        for message in messages:
            self.run('rspamc', '-h', self.daemon.socket, '--header',
                     'Learn-Type=bulk',
                     'learn_spam' if verdict == SPAM else 'learn_ham',
                     message=message)


FILTERS = {'bogofilter': Bogofilter, 'crm114': Crm114, 'rspamd': Rspamd,
           'spamd': Spamd}


# The corpus

def truth_of(path):
    folder = os.path.basename(os.path.dirname(path)).lower()
    return SPAM if 'spam' in folder else GOOD if 'ham' in folder else None


def as_stored(message):
    """As Dovecot keeps it: its line ends, no From_ line, no NULs."""
    message = message.replace(b'\r\n', b'\n').replace(b'\0', b'')
    if message.startswith(b'From '):
        message = message.split(b'\n', 1)[-1]
    return message.rstrip(b'\n') + b'\n'


def corpus(directory, count):
    """Those to teach and those to judge: [(truth, message)] each, the same in
    each run."""
    paths = sorted(os.path.join(where, name)
                   for where, _, names in os.walk(directory)
                   for name in names)
    paths = [path for path in paths if truth_of(path)]
    random.Random(1).shuffle(paths)
    found, seen = [], set()
    for path in paths:
        with open(path, 'rb') as file:
            message = as_stored(file.read())
        if b'\n\n' in message and len(message) < MAX_BYTES and \
                message not in seen:
            seen.add(message)
            found.append((truth_of(path), message))
    half = min(count, len(found) // 2)
    if half < 20:
        sys.exit(f'accuracy: {directory}: {len(found)} messages in its '
                 'directories of spam and ham are too few')
    return found[:half], found[half:2 * half]


# Both ways of teaching

def upload(d, lessons):
    """Where the user's filter has put them wrongly. Returns their UIDs."""
    uids = []
    with d.fill(USER) as session:
        next_uid = {'INBOX': 1, 'SPAM': 1}
        for truth, message in lessons:
            box = 'INBOX' if truth == SPAM else 'SPAM'
            reply = session.append(box, message.replace(b'\n', b'\r\n'))
            tap.equal(reply.status, 'OK', str(reply))
            uids.append(next_uid[box])
            next_uid[box] += 1
    return uids


def teach_by_moves(d, lessons):
    uids = upload(d, lessons)
    with d.imap(USER) as spam, d.imap(USER) as ham:
        spam.select('INBOX')
        ham.select('SPAM')
        for uid, (truth, _) in zip(uids, lessons):
            reply = (spam if truth == SPAM else ham).move(
                uid, 'SPAM' if truth == SPAM else 'Work')
            tap.equal(reply.status, 'OK', str(reply))


def teach_by_tool(learner, lessons):
    for truth, message in lessons:
        learner.train(truth, [message])


def delivered(learner, lessons):
    """As its delivery leaves them."""
    if not getattr(learner, 'needs_delivery', False):
        return lessons
    return [(truth, learner.judge([message])[0].message)
            for truth, message in lessons]


def verdicts(learner, unseen):
    return [one.verdict for one in learner.judge([m for _, m in unseen])]


def right(found, unseen):
    return sum(verdict == truth
               for verdict, (truth, _) in zip(found, unseen)) / len(unseen)


def differing(one, other):
    return sum(a != b for a, b in zip(one, other))


def make_home(path):
    os.makedirs(path)
    os.chown(path, harness.MAIL_UID, harness.MAIL_UID)
    return path


def compare(name, cls, lessons, unseen):
    """Returns how many verdicts differ in a thousand more than they do where
    the tool is compared with itself."""
    variable = '%{home}' if pkg.dovecot_version() >= (2, 4) else '%h'
    settings = {key: value.replace('@HOME@', variable)
                for key, value in cls.settings.items()}
    learned, made = {}, []
    with harness.Dovecot(settings=settings, users={USER: {}},
                         name=name) as d:
        def learner(home):
            made.append(cls(make_home(home), harness.MAIL_UID))
            return made[-1]
        try:
            one = learner(d.home(USER))
            began = time.monotonic()
            teach_by_moves(d, delivered(one, lessons))
            learned['plugin'] = time.monotonic() - began
            found = {'plugin': verdicts(one, unseen)}
            for arm in ('tool',) if getattr(cls, 'repeats', True) else \
                    ('tool', 'again'):
                other = learner(f'{d.dir}/tool/{arm}')
                began = time.monotonic()
                teach_by_tool(other, delivered(other, lessons))
                learned[arm] = time.monotonic() - began
                found[arm] = verdicts(other, unseen)
        finally:
            for one in made:
                one.close()
        d.expect_log('')
    return report(name, found, unseen, learned)


def report(name, found, unseen, learned):
    thousand = 1000 / len(unseen)
    wrong = differing(found['plugin'], found['tool']) * thousand
    text = f'{name:11}{right(found["plugin"], unseen):8.2%} ' \
        f'{right(found["tool"], unseen):8.2%} {wrong:8.1f}'
    noise = 0
    if 'again' in found:
        noise = differing(found['tool'], found['again']) * thousand
        text += f' {noise:8.1f}'
    print(text + ' ' * (54 - len(text)) + '   '.join(
        f'{arm} {seconds:.0f} s' for arm, seconds in learned.items()))
    sys.stdout.flush()
    return wrong - noise


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit('accuracy: CORPUS must be a directory that holds directories '
                 'of spam and ham: make bench-accuracy CORPUS=DIR')
    if os.geteuid() != 0:
        sys.exit('accuracy: must be run as root: it starts a private Dovecot')
    names = sys.argv[2:] or list(FILTERS)
    lessons, unseen = corpus(sys.argv[1],
                             int(os.environ.get('MESSAGES') or 1000))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('accuracy: ended'))
    print(f'{len(lessons)} messages taught, {len(unseen)} others judged; '
          f'Dovecot {".".join(map(str, pkg.dovecot_version()))}')
    print('verdicts that are right, of the database that was taught by the '
          'plugin and by\nthe tool; verdicts that differ in a thousand; those '
          'where the tool itself taught twice')
    print(f'{"":11}{"plugin":>8} {"tool":>8} {"differ":>8} {"twice":>8}')
    failed = []
    try:
        for name in names:
            if compare(name, FILTERS[name], lessons, unseen) > ALLOWED:
                failed.append(name)
    finally:
        tap.finish()
    if failed or tap.Results.failed:
        sys.exit('accuracy: FAILED: more than one in a thousand: '
                 + ', '.join(failed))


if __name__ == '__main__':
    main()

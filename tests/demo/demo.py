# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The plugin at work, for people to watch: a user drags mail that a real spam
filter has misjudged, and the filter judges unseen mail of the same kinds right.

The filter is $FILTER. The exit status is 0 only if that is what happened.
"""

import contextlib
import io
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'it'))

import corpus  # noqa: E402
import harness  # noqa: E402
import pkg  # noqa: E402
import tap  # noqa: E402
from learners import GOOD, LEARNERS, SPAM  # noqa: E402

USER = 'user@example.org'
# Messages: that the filter knows beforehand, that are delivered, and that are
# neither but are judged; of each kind.
KNOWN, DELIVERED, UNSEEN = 20, 24, 12
# Unseen messages of each kind to show.
SHOWN = 4
# Share of the unseen messages that may be judged right before, or wrong after.
ALLOWED = 0.1


class Failed(Exception):
    """The demo did not show what it is to show."""


def step(number, text):
    print(f'\n{number}. {text}')


def say(text):
    print('   ' + text)


def both(new_spam, new_good):
    return ((SPAM, new_spam), (GOOD, new_good))


def tally(verdicts):
    counts = {}
    for one in verdicts:
        counts[one.verdict] = counts.get(one.verdict, 0) + 1
    return ', '.join(f'{counts[name]} {name}' for name in sorted(counts))


def show_verdicts(unseen, verdicts):
    """Returns how many are right."""
    right = 0
    for truth, messages in unseen:
        judged = verdicts[truth]
        for message, one in list(zip(messages, judged))[:SHOWN]:
            mark = 'right' if one.verdict == truth else 'WRONG'
            say(f'  {truth} "{corpus.subject(message):<32.32}" judged '
                f'{one.verdict:<6} ({one.score:>6})  {mark}')
        good = sum(one.verdict == truth for one in judged)
        right += good
        say(f'  all {len(judged)} of {truth}: {tally(judged)}; '
            f'{good} right')
    return right


def judge(learner, unseen):
    return {truth: learner.judge(messages) for truth, messages in unseen}


def deliver(server, learner, mail):
    """Deliver as a mail server does: what the filter calls spam goes to
    SPAM. Returns the UIDs that lie where they should not, by truth."""
    places = {'SPAM': [], 'INBOX': []}
    for truth, messages in mail:
        for one in learner.judge(messages):
            box = 'SPAM' if one.verdict == SPAM else 'INBOX'
            places[box].append(truth)
            done = server.enter(
                '/usr/lib/dovecot/dovecot-lda', '-c',
                f'{server.dir}/dovecot.conf', '-d', USER, '-m', box,
                '-e', input=one.message)
            if done.returncode != 0:
                raise Failed('dovecot-lda: ' + done.stderr.decode())
    wrong = {}
    for box, truth in (('INBOX', SPAM), ('SPAM', GOOD)):
        wrong[truth] = [uid for uid, kind in enumerate(places[box], 1)
                        if kind == truth]
        say(f'{box} holds {len(places[box])} messages, '
            f'{len(wrong[truth])} of them {truth}: misjudged')
        if len(wrong[truth]) < DELIVERED / 2:
            raise Failed('the filter misjudges too few of them to show it')
    return wrong


def drag(server, wrong):
    moves = (('INBOX', 'SPAM', wrong[SPAM]), ('SPAM', 'INBOX', wrong[GOOD]))
    with server.imap(USER) as session:
        # Known before the first move adds to a folder.
        for source, target, uids in moves:
            session.select(source)
            began = time.monotonic()
            reply = session.move(uids, target)
            say(f'{source}: UID MOVE {len(uids)} messages to {target}: '
                f'{reply.status} ({time.monotonic() - began:.2f} s)')
            if reply.status != 'OK':
                raise Failed(f'the move was refused: {reply}')
        session.select('INBOX')
    for line in server.log('antispam'):
        say('log: ' + line)


def plugin_settings(learner_class):
    variable = '%{home}' if pkg.dovecot_version() >= (2, 4) else '%h'
    return {name: value.replace('@HOME@', variable)
            for name, value in learner_class.settings.items()}


def story(server, learner_class):
    os.mkdir(server.home(USER), 0o700)
    os.chown(server.home(USER), harness.MAIL_UID, harness.MAIL_UID)
    learner = learner_class(server.home(USER), harness.MAIL_UID)
    try:
        return acts(server, learner_class, learner)
    finally:
        learner.close()


def acts(server, learner_class, learner):
    step(1, 'A private Dovecot runs, and a filter knows a little.')
    say(f'Dovecot {".".join(map(str, server.version))} in {server.dir}, '
        f'the mail belongs to uid {harness.MAIL_UID}; settings:')
    for name, value in plugin_settings(learner_class).items():
        say(f'  {name} = {value.replace("@DIR@", server.dir)}')
    say(f'{learner.package} is taught {KNOWN} fake invoices as spam, and '
        f'{KNOWN} messages of colleagues as good.')
    learner.train(SPAM, corpus.messages(corpus.OLD_SPAM, KNOWN, 'known'))
    learner.train(GOOD, corpus.messages(corpus.OLD_HAM, KNOWN, 'known'))

    step(2, f'New mail of two kinds comes in: {DELIVERED} pieces of spam that '
         'talk like a colleague,')
    say(f'and {DELIVERED} real invoices of a shop. {learner.package} decides '
        'where it goes.')
    wrong = deliver(server, learner, both(
        corpus.messages(corpus.NEW_SPAM, DELIVERED, 'new'),
        corpus.messages(corpus.NEW_HAM, DELIVERED, 'new')))

    step(3, f'What {learner.package} says BEFORE of {2 * UNSEEN} similar '
         'messages that nobody has seen')
    say(f'({learner.scale}):')
    unseen = both(corpus.messages(corpus.NEW_SPAM, UNSEEN, 'unseen'),
                  corpus.messages(corpus.NEW_HAM, UNSEEN, 'unseen'))
    before = show_verdicts(unseen, judge(learner, unseen))

    step(4, 'The user drags spam from INBOX into SPAM, and good mail out of '
         'it, over IMAP.')
    drag(server, wrong)

    step(5, f'What {learner.package} says AFTER of the same {2 * UNSEEN} '
         'unseen messages:')
    after = show_verdicts(unseen, judge(learner, unseen))
    return before, after


def conclude(learner_class, before, after):
    """Filters differ from run to run: crm114 by the order of its lessons,
    which run side by side."""
    total = 2 * UNSEEN
    if before > ALLOWED * total or after < total - ALLOWED * total:
        raise Failed(f'{before} of {total} verdicts were right before and '
                     f'{after} after')
    print(f'\nThe plugin works: of {total} unseen messages, '
          f'{learner_class.package} judged {before} right before the user '
          f'moved mail, and {after} after.')


def stop_server():
    """Wait for its end, and complain if it did not end well."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        tap.finish()
    if tap.Results.failed:
        raise Failed('Dovecot did not stop in good order:\n' + said.getvalue())


def run(learner_class):
    try:
        # A session with the plugin in every protocol, as in many a
        # dovecot.conf: the delivery is not learned from.
        with harness.Dovecot(settings=plugin_settings(learner_class),
                             boxes={'SPAM': r'\Junk'}, everywhere=True,
                             name='demo') as server:
            before, after = story(server, learner_class)
    finally:
        stop_server()
    conclude(learner_class, before, after)


def main():
    name = os.environ.get('FILTER') or 'bogofilter'
    if name not in LEARNERS:
        sys.exit(f'demo: FILTER={name}: there are ' + ', '.join(LEARNERS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('demo: ended'))
    try:
        run(LEARNERS[name])
    except (Failed, AssertionError, tap.Skip) as why:
        sys.exit(f'\ndemo: FAILED: {why}')
    except KeyboardInterrupt:
        sys.exit('\ndemo: interrupted')


if __name__ == '__main__':
    main()

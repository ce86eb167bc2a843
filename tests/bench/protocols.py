# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""How fast a thousand messages are learned by spamd and rspamd: by one MOVE
with the plugin, and by bare requests, which is the filter's own best way. In one
run, in turns, each time into an empty database.

    protocols.py [FILTER...]

MESSAGES   how many (1000)
TRAINING   inline: how long the MOVE takes; queued: from its OK to the last
           message learned (queued)
ROUNDS     how often all is measured (3)
"""

import os
import random
import signal
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'it'))

import daemons  # noqa: E402
import harness  # noqa: E402
import pkg  # noqa: E402
import tap  # noqa: E402

USER = 'user'
COUNT = int(os.environ.get('MESSAGES') or 1000)
ROUNDS = int(os.environ.get('ROUNDS') or 3)
TRAINING = os.environ.get('TRAINING') or 'queued'
QUEUE = {'antispam_training': 'queued', 'antispam_queue_dir': '@DIR@/queue',
         'antispam_queue_delay': '0'}
# How many times as long as bare requests the plugin may take.
ALLOWED = {'spamd': 1.2, 'rspamd': 1.3}
SETTINGS = {
    'spamd': {'antispam_backend': 'spamd',
              'antispam_spamd_socket': '@DIR@/spamd/s'},
    'rspamd': {'antispam_backend': 'rspamd',
               'antispam_rspamd_url': '@DIR@/rspamd/ctl',
               'antispam_rspamd_bulk': 'yes'},
}
MAKE = {'spamd': daemons.Spamd, 'rspamd': daemons.Rspamd}


def messages(seed):
    """Of about 6 kB; as in a language, few words are most of the text."""
    rng = random.Random(seed)
    words = [''.join(rng.choices('abcdefghiklmnoprstuvw', k=rng.randint(3, 9)))
             for _ in range(4000)]
    ranks = [1 / rank for rank in range(1, len(words) + 1)]
    found = []
    for number in range(COUNT):
        lines = [' '.join(rng.choices(words, ranks, k=9)) for _ in range(100)]
        found.append((f'From: ann@example.org\nTo: bob@example.org\nSubject: '
                      f'{number}\nMessage-ID: <{seed}.{number}@x>\n\n'
                      + '\n'.join(lines) + '\n').encode())
    return found


def bare(name, daemon, some):
    began = time.monotonic()
    for message in some:
        if name == 'spamd':
            answer = daemon.tell(USER, message, True)
            good = b'DidSet: local' in answer
        else:
            answer = daemon.post('/learnspam', message, 'Learn-Type: bulk')
            good = b'"success":true' in answer
        if not good:
            raise AssertionError(f'not learned: {answer!r}')
    return time.monotonic() - began


def moved(name, some):
    """The daemon is fresh."""
    settings = {**SETTINGS[name], **(QUEUE if TRAINING == 'queued' else {})}
    with harness.Dovecot(settings=settings, users={USER: {}},
                         name=name) as d:
        with d.fill(USER) as session:
            for message in some:
                session.append('INBOX', message.replace(b'\n', b'\r\n'))
        with MAKE[name](f'{d.dir}/{name}').start() as daemon, \
                d.imap(USER) as session:
            uids = session.select('INBOX')
            began = time.monotonic()
            reply = session.cmd('UID MOVE', f'1:{uids[-1]}', 'SPAM')
            tap.equal(reply.status, 'OK', str(reply))
            if TRAINING == 'queued':
                began = time.monotonic()
                harness.wait_until(lambda: not os.listdir(f'{d.dir}/queue'),
                                   600, 'an empty queue')
            took = time.monotonic() - began
            learned = daemon.counts(*([USER] if name == 'spamd' else []))
            tap.equal(learned, (len(some), 0), 'learned')
    return took


def measure(name):
    times = {'bare': [], 'plugin': []}
    for number in range(ROUNDS):
        some = messages(number)
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            with MAKE[name](f'{directory}/{name}').start() as daemon:
                times['bare'].append(bare(name, daemon, some))
            times['plugin'].append(moved(name, some))
    medians = {way: statistics.median(taken) / COUNT * 1000
               for way, taken in times.items()}
    ratio = medians['plugin'] / medians['bare']
    print(f'{name:8}{medians["bare"]:8.2f}{medians["plugin"]:8.2f}'
          f'{ratio:8.2f}  (at most {ALLOWED[name]})')
    sys.stdout.flush()
    return ratio <= ALLOWED[name]


def main():
    if os.geteuid() != 0:
        sys.exit('protocols: must be run as root')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('protocols: ended'))
    version = '.'.join(map(str, pkg.dovecot_version()))
    print(f'{COUNT} messages of {len(messages(0)[0])} bytes or so, {ROUNDS} '
          f'rounds, {TRAINING}, Dovecot {version}; ms a message')
    print(f'{"":8}{"bare":>8}{"plugin":>8}{"ratio":>8}')
    try:
        slow = [name for name in sys.argv[1:] or list(MAKE)
                if not measure(name)]
    finally:
        tap.finish()
    if slow or tap.Results.failed:
        sys.exit('protocols: too slow: ' + ', '.join(slow))


if __name__ == '__main__':
    main()

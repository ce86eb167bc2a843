# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Real spam filters, each with a private configuration and memory in a
user's home, and how the plugin teaches it. All of them run as the user."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'it'))

import daemons  # noqa: E402

SPAM, GOOD, UNSURE = 'spam', 'good', 'unsure'


@dataclass
class Verdict:
    verdict: str
    # The filter's own measure.
    score: str
    # The message as it is delivered: a filter may add headers.
    message: bytes


class Learner:
    # The package that has it.
    package = ''
    # How to read the score.
    scale = ''
    # What the plugin is told, in 2.3's plugin { } or anywhere in 2.4's file;
    # @HOME@ stands for the variable that holds the user's home, @DIR@ for the
    # private Dovecot's directory.
    settings = {}

    def __init__(self, home, uid):
        self.home, self.uid = home, uid
        self.set_up()

    def set_up(self):
        """Make the filter's configuration in the user's home."""

    def close(self):
        """End what set_up() has started."""

    def train(self, verdict, messages):
        """Teach it by hand, without the plugin."""
        raise NotImplementedError

    def judge(self, messages):
        """A Verdict for each message; nothing is learned."""
        raise NotImplementedError

    def run(self, *command, codes=(0,), message=None):
        """Run a program as the user; returns what it did."""
        done = subprocess.run(
            command, input=message, stdin=None if message is not None
            else subprocess.DEVNULL, capture_output=True, cwd=self.home,
            user=self.uid, group=self.uid, extra_groups=[], timeout=120,
            env={'PATH': '/usr/bin:/bin', 'HOME': self.home,
                 'LANG': 'C.UTF-8'})
        if done.returncode not in codes:
            raise AssertionError(f'{command[0]} ended with status '
                                 f'{done.returncode}: '
                                 + done.stderr.decode(errors='replace'))
        return done

    def own(self, *names):
        """Give files in the home to the user."""
        for name in names:
            os.chown(f'{self.home}/{name}', self.uid, self.uid)


class Bogofilter(Learner):
    """Its memory is ~/.bogofilter; it needs no configuration."""
    package = 'bogofilter'
    scale = '0 = good, 1 = spam; "unsure" between 0.45 and 0.99'
    settings = {
        'antispam_backend': 'pipe',
        'antispam_pipe_program': '/usr/bin/bogofilter',
        # Whatever /etc/bogofilter.cf says.
        'antispam_pipe_program_args': '-C',
        'antispam_pipe_program_spam_arg': '-s',
        'antispam_pipe_program_notspam_arg': '-n',
    }
    verdicts = {0: SPAM, 1: GOOD, 2: UNSURE}

    def train(self, verdict, messages):
        for message in messages:
            self.run('bogofilter', '-C', '-s' if verdict == SPAM else '-n',
                     message=message)

    def judge(self, messages):
        found = []
        for message in messages:
            done = self.run('bogofilter', '-C', '-T', codes=self.verdicts,
                            message=message)
            score = float(done.stdout.split()[1])
            found.append(Verdict(self.verdicts[done.returncode],
                                 f'{score:.4f}', message))
        return found


class SpamAssassin(Learner):
    """Of all its rules, those that ask its Bayes filter."""
    package = 'spamassassin'
    scale = 'spam from 3.0 points on; only the learned words give points'
    options = ('-C', '@HOME@/rules', '--siteconfigpath', '@HOME@/site',
               '-p', '/dev/null')
    settings = {
        'antispam_backend': 'pipe',
        'antispam_pipe_program': '/usr/bin/sa-learn',
        'antispam_pipe_program_args': ';'.join(options),
        'antispam_pipe_program_spam_arg': '--spam',
        'antispam_pipe_program_notspam_arg': '--ham',
    }
    rules = ('10_default_prefs.cf', '20_aux_tlds.cf', '23_bayes.cf',
             '60_bayes_stopwords.cf')
    plugins = ('Bayes', 'Check', 'BodyEval', 'HeaderEval', 'HTMLEval',
               'MIMEEval')
    local = '''\
use_bayes 1
bayes_auto_learn 0
bayes_min_spam_num 5
bayes_min_ham_num 5
bayes_path {home}/bayes/bayes
lock_method flock
skip_rbl_checks 1
dns_available no
report_safe 0
required_score 3
score BAYES_00 -2
score BAYES_05 -1
score BAYES_80 3
score BAYES_95 4
score BAYES_99 5
score BAYES_999 0
'''

    def set_up(self):
        for name in ('rules', 'site', 'bayes', 'in'):
            os.mkdir(f'{self.home}/{name}')
        self.own('bayes')
        for name in self.rules:
            shutil.copy(f'/usr/share/spamassassin/{name}',
                        f'{self.home}/rules')
        with open(f'{self.home}/site/init.pre', 'w', encoding='ascii') as f:
            f.writelines(f'loadplugin Mail::SpamAssassin::Plugin::{name}\n'
                         for name in self.plugins)
        with open(f'{self.home}/site/local.cf', 'w', encoding='ascii') as f:
            f.write(self.local.format(home=self.home))
        self.options = [option.replace('@HOME@', self.home)
                        for option in self.options]

    def files(self, messages):
        """The messages as files: a start of SpamAssassin is expensive."""
        paths = []
        for number, message in enumerate(messages):
            paths.append(f'{self.home}/in/{number:03}')
            with open(paths[-1], 'wb') as file:
                file.write(message)
        return paths

    def train(self, verdict, messages):
        self.run('sa-learn', *self.options,
                 '--spam' if verdict == SPAM else '--ham',
                 *self.files(messages))

    def judge(self, messages):
        done = self.run('spamassassin', '-L', *self.options,
                        *self.files(messages))
        found = re.findall(rb'^X-Spam-Status: (Yes|No), score=(\S+)',
                           done.stdout, re.M)
        if len(found) != len(messages):
            raise AssertionError(f'spamassassin judged {len(found)} of '
                                 f'{len(messages)} messages')
        return [Verdict(SPAM if answer == b'Yes' else GOOD, score.decode(),
                        message)
                for (answer, score), message in zip(found, messages)]


class Crm114(Learner):
    """Its mailreaver.crm keeps each message, and is told the id of one that it
    has misjudged."""
    package = 'crm114'
    scale = 'good from 5 on, spam from -5 down, "unsure" between'
    settings = {
        'antispam_backend': 'crm114',
        'antispam_crm_binary': '/usr/share/crm114/mailreaver.crm',
        'antispam_crm_args': '-u;@HOME@/.crm114;--fileprefix=@HOME@/.crm114/',
    }
    verdicts = {b'SPAM': SPAM, b'GOOD': GOOD, b'UNSURE': UNSURE}
    # In mailfilter.cf: a password, and neither logs nor altered subjects.
    options = {
        'spw': '/demo/', 'log_to_allmail.txt': '/no/',
        'log_rejections': '/no/', 'add_mailtrainer_report': '/no/',
        'spam_flag_subject_string': '//', 'unsure_flag_subject_string': '//',
        'good_flag_subject_string': '//', 'confirm_flag_subject_string': '//',
    }

    def set_up(self):
        self.dir = f'{self.home}/.crm114'
        os.mkdir(self.dir)
        share = os.path.dirname(self.settings['antispam_crm_binary'])
        for name in os.listdir(share):
            shutil.copy(f'{share}/{name}', self.dir)
        with open(f'{self.dir}/mailfilter.cf', 'r+',
                  encoding='latin-1') as file:
            text = file.read()
            for name, value in self.options.items():
                text = re.sub(rf'(?m)^:{name}:.*', f':{name}: {value}', text)
            file.seek(0)
            file.truncate()
            file.write(text)
        for name in ('priolist', 'rewrites', 'whitelist', 'blacklist'):
            with open(f'{self.dir}/{name}.mfp', 'w', encoding='ascii'):
                pass
        self.own('.crm114', *(f'.crm114/{name}'
                              for name in os.listdir(self.dir)))
        for name in ('spam', 'nonspam'):
            self.run('cssutil', '-b', '-r', f'{self.dir}/{name}.css')

    def reaver(self, message, *args):
        return self.run('crm', '-u', self.dir, 'mailreaver.crm',
                        f'--fileprefix={self.dir}/', *args,
                        message=message).stdout

    def train(self, verdict, messages):
        option = '--spam' if verdict == SPAM else '--good'
        for message in messages:
            if b'LEARNED AND CACHED' not in self.reaver(message, option):
                raise AssertionError('mailreaver.crm has not learned')

    def judge(self, messages):
        found = []
        for message in messages:
            out = self.reaver(message)
            status = re.search(rb'^X-CRM114-Status: (\w+) +\( *([-0-9.]+) *\)',
                               out, re.M)
            if status is None:
                raise AssertionError(f'mailreaver.crm did not judge: {out!r}')
            found.append(Verdict(self.verdicts[status[1]], status[2].decode(),
                                 out))
        return found


class DaemonLearner(Learner):
    """One that is a daemon of its own, beside Dovecot."""

    def set_up(self):
        directory = os.path.dirname(os.path.dirname(self.home))
        self.daemon = self.make(f'{directory}/{self.package}').start()

    def close(self):
        self.daemon.stop()


class SpamAssassinDaemon(DaemonLearner):
    """SpamAssassin again, but its daemon, with a database for each user."""
    package = 'spamd'
    scale = SpamAssassin.scale
    settings = {
        'antispam_backend': 'spamd',
        'antispam_spamd_socket': '@DIR@/spamd/s',
        'antispam_spamd_user': 'everyone',
    }
    make = daemons.Spamd

    def train(self, verdict, messages):
        for message in messages:
            self.daemon.tell('everyone', message, verdict == SPAM)

    def judge(self, messages):
        found = []
        for message in messages:
            spam, score, _ = self.daemon.judge('everyone', message)
            found.append(Verdict(SPAM if spam else GOOD, f'{score:.1f}',
                                 message))
        return found


class Rspamd(DaemonLearner):
    """With a Redis of its own; of its rules, those that ask its Bayes
    filter."""
    package = 'rspamd'
    scale = 'how sure it is in percent; "unsure" if it does not say'
    settings = {
        'antispam_backend': 'rspamd',
        'antispam_rspamd_url': '@DIR@/rspamd/ctl',
        'antispam_rspamd_bulk': 'yes',
    }
    make = daemons.Rspamd

    def train(self, verdict, messages):
        for message in messages:
            self.daemon.post(f'/learn{"spam" if verdict == SPAM else "ham"}',
                             message, 'Learn-Type: bulk')

    def judge(self, messages):
        found = []
        for message in messages:
            spam, sure, rules = self.daemon.judge(message)
            verdict = SPAM if spam else \
                GOOD if 'BAYES_HAM' in rules else UNSURE
            found.append(Verdict(verdict, f'{sure:.1f}', message))
        return found


LEARNERS = {
    'bogofilter': Bogofilter,
    'crm114': Crm114,
    'rspamd': Rspamd,
    'spamassassin': SpamAssassin,
    'spamd': SpamAssassinDaemon,
}

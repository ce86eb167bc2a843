# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""The real spamd and rspamd, each private: configuration, database, sockets
and log in a directory of its own, ended by their ids. What they know is asked
of their databases, not of their answers. For tests, demo and bench."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

from harness import alive, descendants, free_port, wait_until

# Whose they are: a user that may nothing.
NOBODY = 65534
PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin'
ENV = {'PATH': PATH, 'LANG': 'C.UTF-8'}


class Daemon:
    """A command that runs as nobody until it is stopped; for "with"."""

    def __init__(self, directory):
        self.dir = directory
        os.mkdir(directory)
        self.own(directory, 0o755)
        self.process = None

    def own(self, path, mode=0o700):
        if not os.path.exists(path):
            os.mkdir(path)
        os.chown(path, NOBODY, NOBODY)
        os.chmod(path, mode)
        return path

    def write(self, name, text):
        with open(f'{self.dir}/{name}', 'w', encoding='utf-8') as file:
            file.write(text)

    def spawn(self, *command, env=None):
        with open(f'{self.dir}/out', 'ab') as out:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'TERM', f'--reuid={NOBODY}',
                 f'--regid={NOBODY}', '--clear-groups', *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, cwd=self.dir,
                env={**ENV, 'HOME': self.dir, **(env or {})})

    def wait_for(self, ready):
        def check():
            if self.process.poll() is not None:
                raise AssertionError(f'{self.process.args[5]} ended: '
                                     + self.said())
            return ready()
        wait_until(check, 30, f'the start of {self.process.args[5]}')

    def said(self):
        text = ''
        for name in ('out', 'log'):
            if os.path.exists(f'{self.dir}/{name}'):
                with open(f'{self.dir}/{name}', encoding='utf-8',
                          errors='replace') as file:
                    text += file.read()
        return text

    def processes(self):
        return [self.process.pid,
                *(pid for pid, _ in descendants(self.process.pid))]

    def signal(self, number):
        """To all of it: SIGSTOP makes it silent."""
        for pid in self.processes():
            os.kill(pid, number)

    def stop(self):
        if self.process is None:
            return
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for one in below:
            if alive(one):
                os.kill(one[0], signal.SIGKILL)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.stop()


def ask(address, question, half_close=True):
    """What is answered until the connection is closed; address is a path, or
    a host and a port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(60)
        s.connect(address)
        s.sendall(question)
        if half_close:
            # spamd waits for the end of a last line that has none.
            s.shutdown(socket.SHUT_WR)
        answer = b''
        while True:
            piece = s.recv(65536)
            if not piece:
                return answer
            answer += piece


class Spamd(Daemon):
    """SpamAssassin's, with the rules that ask its Bayes filter alone, and a
    database for each user; it may be started more than once.

    tell    start it with --allow-tell
    """
    program = '/usr/sbin/spamd'
    rules = ('10_default_prefs.cf', '20_aux_tlds.cf', '23_bayes.cf',
             '60_bayes_stopwords.cf')
    plugins = ('Bayes', 'Check', 'BodyEval', 'HeaderEval', 'HTMLEval',
               'MIMEEval')
    local = '''\
use_bayes 1
bayes_auto_learn 0
bayes_min_spam_num 5
bayes_min_ham_num 5
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

    def __init__(self, directory):
        super().__init__(directory)
        for name in ('rules', 'site'):
            os.mkdir(f'{directory}/{name}')
        self.own(f'{directory}/users')
        for name in self.rules:
            shutil.copy(f'/usr/share/spamassassin/{name}',
                        f'{directory}/rules')
        self.write('site/init.pre', ''.join(
            f'loadplugin Mail::SpamAssassin::Plugin::{name}\n'
            for name in self.plugins))
        self.write('site/local.cf', self.local)
        self.socket = f'{directory}/s'
        self.options = ('-C', f'{directory}/rules', '--siteconfigpath',
                        f'{directory}/site')

    def start(self, tell=True):
        self.port = free_port()
        self.spawn('spamd', '-L', '-x', '-u', 'nobody',
                   *(['--allow-tell'] if tell else []), *self.options,
                   f'--virtual-config-dir={self.dir}/users/%u',
                   '--listen', self.socket, '--socketmode=0666',
                   '--listen', f'127.0.0.1:{self.port}',
                   '--min-children=1', '--max-children=2',
                   '-s', f'{self.dir}/log', '-r', f'{self.dir}/pid')
        self.wait_for(lambda: b'PONG' in self.ping())
        return self

    def ping(self):
        try:
            return ask(self.socket, b'PING SPAMC/1.5\r\n\r\n')
        except OSError:
            return b''

    def stop(self):
        super().stop()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def as_nobody(self, *command, message=None):
        done = subprocess.run(
            command, input=message, capture_output=True, timeout=600,
            user=NOBODY, group=NOBODY, extra_groups=[], cwd=self.dir,
            env={**ENV, 'HOME': self.dir})
        if done.returncode != 0:
            raise AssertionError(f'{command[0]}: {done.returncode}: '
                                 + done.stderr.decode(errors='replace'))
        return done.stdout

    def bayes(self, user):
        return f'{self.dir}/users/{user}/bayes'

    def counts(self, user):
        """Messages learned as spam, and as ham, for the user."""
        if not os.path.exists(self.bayes(user) + '_toks'):
            return 0, 0
        out = self.as_nobody('sa-learn', *self.options, '-p', '/dev/null',
                             '--dbpath', self.bayes(user), '--dump',
                             'magic').decode()
        return tuple(int(re.search(rf'(\d+) +\d+ +non-token data: {name}\n',
                                   out)[1]) for name in ('nspam', 'nham'))

    def tell(self, user, message, spam):
        """Raw: for comparison."""
        return ask(self.socket, (
            'TELL SPAMC/1.5\r\nMessage-class: '
            f'{"spam" if spam else "ham"}\r\nSet: local\r\nUser: {user}\r\n'
            f'Content-length: {len(message)}\r\n\r\n').encode() + message)

    def judge(self, user, message):
        """(is it spam, score, the names of the rules)."""
        out = ask(self.socket, (f'SYMBOLS SPAMC/1.5\r\nUser: {user}\r\n'
                                f'Content-length: {len(message)}\r\n\r\n')
                  .encode() + message)
        found = re.search(rb'\r\nSpam: (True|False) ; (\S+) / [^\r]*\r\n'
                          rb'(?:.*\r\n)*?\r\n([^\r\n]*)', out)
        if found is None:
            raise AssertionError(f'spamd did not judge: {out!r}')
        return (found[1] == b'True', float(found[2]),
                found[3].decode().split(','))


class Redis(Daemon):
    """Without a file: what it knows goes with it."""
    program = '/usr/bin/redis-server'

    def __init__(self, directory):
        super().__init__(directory)
        self.socket = f'{directory}/s'

    def start(self):
        self.spawn('redis-server', '--port', '0', '--unixsocket', self.socket,
                   '--unixsocketperm', '666', '--save', '', '--appendonly',
                   'no', '--logfile', f'{self.dir}/log', '--dir', self.dir)
        self.wait_for(lambda: os.path.exists(self.socket)
                      and self.cli('PING', check=False) == 'PONG')
        return self

    def cli(self, *command, check=True):
        done = subprocess.run(['redis-cli', '-s', self.socket, *command],
                              capture_output=True, timeout=60, check=False,
                              env=ENV)
        if check and done.returncode != 0:
            raise AssertionError(f'redis-cli {command}: {done.stderr!r}')
        return done.stdout.decode().strip()


class Rspamd(Daemon):
    """rspamd with its own Redis, of which the Bayes classifier alone judges.
    The controller is at .socket, which trusts everyone, and at .port of
    127.0.0.1, which wants the password.

    per_user    a database for each user
    languages   let it guess the language of each text; it does so by samples
                taken at random, so that now and then a text has other words
    """
    program = '/usr/bin/rspamd'
    password = 'learn-pw'
    config = '''\
options {{ pidfile = "{dir}/pid"; url_tld = "{dir}/tld"; hs_cache_dir = "{dir}";
  control_socket = "{dir}/control mode=0600"; tempdir = "{dir}"; filters = "";
  one_shot = true; disable_hyperscan = true;
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1;
    sockets = 1; }} }}
logging {{ type = "file"; filename = "{dir}/log"; level = "info"; }}
metric {{ name = "default"; actions {{ reject = 15; add_header = 6; }}
  symbol {{ name = "BAYES_SPAM"; weight = 8; }}
  symbol {{ name = "BAYES_HAM"; weight = -3; }} }}
worker "controller" {{ type = "controller"; count = 1;
  bind_socket = "{dir}/ctl mode=0666"; bind_socket = "127.0.0.1:{port}";
  password = "read-pw"; enable_password = "{password}"; secure_ip = [];
  stats_path = "{dir}/stats"; }}
worker "normal" {{ type = "normal"; count = 1;
  bind_socket = "{dir}/scan mode=0666"; task_timeout = 5s; }}
classifier "bayes" {{ tokenizer {{ name = "osb"; }} cache {{ }}
  new_schema = true; min_tokens = 11; min_learns = 5; backend = "redis";
  servers = "{redis}"; {more}
  statfile {{ symbol = "BAYES_HAM"; spam = false; }}
  statfile {{ symbol = "BAYES_SPAM"; spam = true; }}
  learn_condition = 'return require("lua_bayes_learn").can_learn'; }}
redis {{ servers = "{redis}"; }}
lua = "{dir}/e.lua";
{languages}
'''

    def __init__(self, directory, per_user=False, languages=True):
        super().__init__(directory)
        self.redis = Redis(f'{directory}/redis')
        self.more = 'per_user = true;' if per_user else ''
        self.languages = '' if languages else \
            f'lang_detection {{ languages = "{directory}/none"; }}'
        self.socket, self.scanner = f'{directory}/ctl', f'{directory}/scan'
        self.write('tld', 'com\nnet\norg\ntest\nexample\n')
        self.write('e.lua', '')

    def start(self):
        self.port = free_port()
        self.write('conf', self.config.format(
            dir=self.dir, redis=self.redis.socket, port=self.port,
            password=self.password, more=self.more,
            languages=self.languages))
        self.redis.start()
        self.spawn('rspamd', '-f', '-c', f'{self.dir}/conf')
        self.wait_for(self._ready)
        return self

    def _ready(self):
        try:
            return all(b'pong' in ask(path, b'GET /ping HTTP/1.0\r\n\r\n',
                                      half_close=False)
                       for path in (self.socket, self.scanner))
        except OSError:
            return False

    def stop(self):
        super().stop()
        self.redis.stop()

    def counts(self, user=''):
        """Messages learned as spam, and as ham, for all, or for one user."""
        return tuple(int(self.redis.cli('HGET', f'RS{user}', name) or 0)
                     for name in ('learns_spam', 'learns_ham'))

    def post(self, path, message, *headers):
        """Raw: for comparison."""
        lines = ''.join(f'{line}\r\n' for line in headers)
        return ask(self.socket, (
            f'POST {path} HTTP/1.0\r\nHost: localhost\r\n{lines}'
            f'Content-Length: {len(message)}\r\n\r\n').encode() + message,
            half_close=False)

    def judge(self, message, user=None):
        """(is it spam, how sure it is in percent, the names of the rules).
        What a rule is worth is said elsewhere in each version."""
        deliver_to = f'Deliver-To: {user}\r\n' if user else ''
        out = ask(self.scanner, (
            f'POST /checkv2 HTTP/1.0\r\nHost: localhost\r\n{deliver_to}'
            f'Content-Length: {len(message)}\r\n\r\n').encode() + message,
            half_close=False)
        symbols = json.loads(out.split(b'\r\n\r\n', 1)[1])['symbols']
        sure = [float(option.rstrip('%')) for name in ('BAYES_SPAM',
                                                      'BAYES_HAM')
                for option in symbols.get(name, {}).get('options', [])
                if option.endswith('%')]
        return ('BAYES_SPAM' in symbols, (sure or [0])[0], list(symbols))

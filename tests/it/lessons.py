# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What the plugin taught: the recording program's calls, and spooled files."""

import os
import re
import shutil
from dataclasses import dataclass

SPAM, HAM = 'spam', 'ham'

# The settings of two backends that tell what they were given. @DIR@ is the
# private Dovecot's directory.
PIPE = {
    'antispam_backend': 'pipe',
    'antispam_pipe_program': '@DIR@/filter/record.sh',
    'antispam_pipe_program_spam_arg': '--spam',
    'antispam_pipe_program_notspam_arg': '--ham',
    'antispam_pipe_tmpdir': '@DIR@/tmp',
}
SPOOL = {
    'antispam_backend': 'spool2dir',
    'antispam_spool2dir_spam': '@DIR@/spool/%%020lu-%%05lu.spam',
    'antispam_spool2dir_notspam': '@DIR@/spool/%%020lu-%%05lu.ham',
}


@dataclass
class Lesson:
    """One message as the filter got it."""
    what: str
    message: bytes
    # Of a program: everything but its own name; of a file: its name.
    args: list
    # Of a program alone, and only with control(detail=1).
    env: dict = None
    cwd: str = ''
    fds: dict = None
    stat: list = None


class Recorder:
    """The calls of tests/bin/record.sh, and the files of a spool."""

    def __init__(self, directory, program, uid):
        self.filter = os.path.join(directory, 'filter')
        self.calls = os.path.join(self.filter, 'calls')
        self.spool = os.path.join(directory, 'spool')
        for path in (self.filter, self.calls, self.spool):
            os.mkdir(path)
        os.chown(self.calls, uid, uid)
        os.chown(self.spool, uid, uid)
        # The mail's uid may not be able to reach the source tree.
        self.program = shutil.copy(program, self.filter)
        os.chmod(self.program, 0o755)

    def control(self, **files):
        """Set the files that control record.sh; None removes one."""
        for name, value in files.items():
            path = os.path.join(self.filter, name.replace('_', '-'))
            if value is not None:
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(str(value))
            elif os.path.exists(path):
                os.unlink(path)

    def take(self):
        """All lessons since the last take(), in the order of their start."""
        return self._take_calls() + self._take_files()

    def forget(self):
        """Whatever was taught until now is of no interest."""
        self.take()

    def _take_calls(self):
        found = []
        for name in sorted(os.listdir(self.calls), key=int):
            path = os.path.join(self.calls, name)
            if not os.path.exists(os.path.join(path, 'done')):
                raise AssertionError(f'call {name} of the filter has not ended')
            found.append(_read_call(path))
            shutil.rmtree(path)
        return found

    def _take_files(self):
        found = []
        for name in sorted(os.listdir(self.spool)):
            path = os.path.join(self.spool, name)
            if name.startswith('.') or not os.path.isfile(path):
                raise AssertionError(f'left over in the spool: {name!r}')
            what = SPAM if name.endswith(SPAM) else HAM
            found.append(Lesson(what, _read(path), [name]))
            os.unlink(path)
        return found


def _read(path):
    with open(path, 'rb') as file:
        return file.read()


def _read_call(path):
    argv = _read(path + '/argv').decode().split('\0')[1:-1]
    lesson = Lesson(SPAM if '--spam' in argv else HAM, b'', argv)
    if os.path.exists(path + '/stdin'):
        lesson.message = _read(path + '/stdin')
    if os.path.exists(path + '/env'):
        lesson.env = dict(entry.split('=', 1) for entry in
                          _read(path + '/env').decode().split('\0') if entry)
        lesson.cwd = _read(path + '/cwd').decode().rstrip('\n')
        # "lr-x------ 1 user group 64 Jan  1 00:00 0 -> pipe:[12]"
        lesson.fds = dict(re.findall(r' (\d+) -> (.*)',
                                     _read(path + '/fds').decode()))
        # From the state on; the name before it may hold anything.
        lesson.stat = _read(path + '/stat').decode().rsplit(') ')[1].split()
    return lesson

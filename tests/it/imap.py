# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A small IMAP client that keeps every byte.

imaplib quotes, retries and hides too much for tests that ask what the server
said. A command's parts are sent as they are: bytes, str (encoded as UTF-8),
Literal (a synchronising literal) or Box (a mailbox name).
"""

import base64
import re
import socket


class Literal:
    """A synchronising literal; binary makes it a literal8 (RFC 3516)."""

    def __init__(self, data, binary=False):
        self.data = data
        self.binary = binary

    def head(self):
        return b'%s{%d}' % (b'~' if self.binary else b'', len(self.data))


class Reply:
    """The tagged answer to a command, and what came before it."""

    def __init__(self, line, untagged):
        match = re.match(rb'(\w+) ?(?:\[([^]]*)\] ?)?(.*)$', line, re.S)
        self.status = match[1].decode()
        self.code = (match[2] or b'').decode(errors='replace')
        self.text = match[3].decode(errors='replace')
        self.untagged = untagged

    def __str__(self):
        code = f'[{self.code}] ' if self.code else ''
        return f'{self.status} {code}{self.text}'


def encode_name(name):
    """A mailbox name in modified UTF-7 (RFC 3501, 5.1.3)."""
    out = []
    for part in re.split('([^\x20-\x7e]+)', name):
        if part and not 0x20 <= ord(part[0]) <= 0x7e:
            coded = base64.b64encode(part.encode('utf-16-be')).decode()
            out.append('&' + coded.rstrip('=').replace('/', ',') + '-')
        else:
            out.append(part.replace('&', '&-'))
    return ''.join(out)


def quote_name(name):
    """A mailbox name as a quoted string; bytes are taken as they are."""
    if isinstance(name, str):
        name = encode_name(name).encode()
    return b'"' + name.replace(b'\\', b'\\\\').replace(b'"', b'\\"') + b'"'


class Imap:
    """One logged-in session. Commands return a Reply; do() insists on OK."""

    def __init__(self, port, user, password='pw', timeout=60):
        self.sock = socket.create_connection(('127.0.0.1', port), timeout)
        # A command's pieces must not wait for each other's acknowledgement.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile('rb')
        self.tag = 0
        self.selected = None
        self.closed = False
        self._line()
        plain = b'\0%s\0%s' % (user.encode(), password.encode())
        self.login = self.cmd('AUTHENTICATE PLAIN ' +
                              base64.b64encode(plain).decode())

    def _line(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise AssertionError(
                f'the server closed the session, last: {line!r}')
        return line[:-2]

    def _response(self):
        """One response: the line, and its literals, in order."""
        line, literals = self._line(), []
        while True:
            match = re.search(rb'\{(\d+)\}$', line)
            if match is None:
                return line, literals
            literals.append(self.file.read(int(match[1])))
            line = line[:match.start()] + b'\0' + self._line()

    def _until(self, tag, untagged):
        """Collect responses up to a "+" (returns None) or the tagged one."""
        while True:
            line, literals = self._response()
            if line.startswith(b'+'):
                return None
            if line.startswith(tag + b' '):
                return Reply(line[len(tag) + 1:], untagged)
            untagged.append((line, literals))

    def cmd(self, *parts):
        """Send one command, its parts with a blank between them."""
        try:
            return self._cmd(parts)
        except OSError as error:
            raise AssertionError(f'the session broke: {error}') from None

    def _cmd(self, parts):
        self.tag += 1
        tag = b't%d' % self.tag
        untagged, pending = [], tag
        for part in parts:
            if isinstance(part, Literal):
                self.sock.sendall(pending + b' ' + part.head() + b'\r\n')
                reply = self._until(tag, untagged)
                if reply is not None:
                    return reply
                self.sock.sendall(part.data)
                pending = b''
            else:
                part = part.encode() if isinstance(part, str) else part
                pending += b' ' + part
        self.sock.sendall(pending + b'\r\n')
        return self._until(tag, untagged)

    def do(self, *parts):
        reply = self.cmd(*parts)
        if reply.status != 'OK':
            shown = [p for p in parts if not isinstance(p, Literal)]
            raise AssertionError(f'{shown} was answered: {reply}')
        return reply

    def capability(self, name):
        line = self.do('CAPABILITY').untagged[0][0]
        return name.encode() in line.split()

    # Mailboxes

    def create(self, name):
        return self.do('CREATE', quote_name(name))

    def select(self, name):
        """Select and return the UIDs."""
        self.do('SELECT', quote_name(name))
        self.selected = name
        return self.uids()

    def uids(self):
        for line, _ in self.do('UID SEARCH ALL').untagged:
            if line.startswith(b'* SEARCH'):
                return [int(uid) for uid in line.split()[2:]]
        return []

    def count(self, name):
        """How many messages a mailbox has."""
        reply = self.do('STATUS', quote_name(name), '(MESSAGES)')
        for line, _ in reply.untagged:
            match = re.search(rb'MESSAGES (\d+)', line)
            if match is not None:
                return int(match[1])
        raise AssertionError(f'no STATUS of {name!r}')

    # Messages

    def append(self, name, *messages, flags=''):
        """APPEND, or MULTIAPPEND if there are several messages."""
        parts = ['APPEND', quote_name(name)]
        for message in messages:
            if flags:
                parts.append(flags)
            if not isinstance(message, Literal):
                message = Literal(message)
            parts.append(message)
        return self.cmd(*parts)

    def copy(self, uids, name):
        return self.cmd('UID COPY', uid_set(uids), quote_name(name))

    def move(self, uids, name):
        return self.cmd('UID MOVE', uid_set(uids), quote_name(name))

    def body(self, uid, item='BODY.PEEK[]'):
        """A message of the selected mailbox, byte for byte."""
        reply = self.do(f'UID FETCH {uid} ({item})')
        for line, literals in reply.untagged:
            if b' FETCH ' not in line or not re.search(rb'BO?D?I?N?', line):
                continue
            if literals:
                return literals[0]
            if b'[] NIL' in line or b'[] ""' in line:
                return b''
        raise AssertionError(f'no body of UID {uid}: {reply.untagged}')

    def store(self, uids, what):
        return self.cmd('UID STORE', uid_set(uids), what)

    def logout(self):
        if not self.closed:
            self.closed = True
            try:
                self.cmd('LOGOUT')
            finally:
                self.file.close()
                self.sock.close()


def uid_set(uids):
    if isinstance(uids, int):
        uids = [uids]
    return ','.join(str(uid) for uid in uids)

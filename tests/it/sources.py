# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What the C sources say: the table of settings, and the string literals."""

import glob
import os
import re

import pkg

TOKEN = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'
                   r"'(?:\\.|[^'\\\n])*'|\w+|\\\n|\s+|.", re.S)
ESCAPES = {'n': '\n', 't': '\t', 'r': '\r', '0': '\0'}
CONVERSION = re.compile(r'%(?:%|[-0-9.*]*(?:[hlz]*[diouxXcs]|m))')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def files():
    return sorted(path for below in ('src', 'src/compat', 'backends')
                  for path in glob.glob(f'{pkg.ROOT}/{below}/*.[ch]'))


def settings():
    """The table in src/antispam-settings.h: {name: (type, default, words)}."""
    found = {}
    text = read(os.path.join(pkg.ROOT, 'src/antispam-settings.h'))
    for kind, name, default, words in re.findall(
            r'\bX\(([A-Z]+), (\w+), "(.*?)", (.*?)\)', text):
        found['antispam_' + name] = (kind, default, words.strip('"').split(':'))
    return found


def old_settings():
    """{old name: new name}"""
    text = read(os.path.join(pkg.ROOT, 'src/antispam-settings.h'))
    return {'antispam_' + old: 'antispam_' + new for old, new in
            re.findall(r'\bX\((\w+), (\w+)\)', text) if old != 'old'}


def backends():
    """The values of antispam_backend that name one: {name: old names}."""
    found = {}
    for path in glob.glob(f'{pkg.ROOT}/backends/*.c'):
        text = read(path)
        for name in re.findall(r'\t\.name = "(\w+)",', text):
            old = re.search(r'old_names\[\] = \{(.*?)\}', text)
            found[name] = re.findall(r'"(.*?)"', old[1]) if old else []
    return found


def unescape(text):
    return re.sub(r'\\(\d{3}|x[0-9a-f]{2}|.)',
                  lambda m: ESCAPES.get(m[1], m[1]), text)


def tokens(text):
    """Without comments, blanks and continued lines."""
    return [token for token in TOKEN.findall(text)
            if not token.startswith('/*') and token != '\\\n'
            and not token.isspace()]


def defines():
    """#define NAME "..." of all files: {name: string}."""
    found = {}
    for path in files():
        for name, value in re.findall(
                r'(?m)^#define (\w+)\s+((?:\\\n|\s|"(?:\\.|[^"\\\n])*")+)$',
                read(path)):
            found[name] = ''.join(unescape(token[1:-1])
                                  for token in tokens(value))
    return found


def literals():
    """All string literals, adjacent ones as one; a name of one among them is
    what it is defined as."""
    found, known = set(), defines()
    for path in files():
        literal = None
        for token in tokens(read(path)) + [';']:
            if token.startswith('"'):
                literal = (literal or '') + unescape(token[1:-1])
            elif literal is not None and token in known:
                literal += known[token]
            elif literal is not None:
                found.add(literal)
                literal = None
    return found | set(known.values())


def constants():
    """What stands between the conversions of the literals."""
    found = set()
    for literal in literals():
        text = CONVERSION.sub(lambda m: '%' if m[0] == '%%' else '\0', literal)
        found.update(text.split('\0'))
    found.discard('')
    return found

# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What antispam.7 says, for tests that hold it against Dovecot and the sources.

It reads the part of mdoc(7) that the page uses, and fails on an escape that it
does not know. A block of configuration that is not just antispam_* lines has a
comment before it: "example:" and the version it is for (none: both), and
"global", or "example: none" for what is no configuration of Dovecot."""

import os
import re
import shlex
from dataclasses import dataclass

import pkg

ESCAPES = {r'\e': '\\', r'\-': '-', r'\~': ' ', r'\&': '', r'\(ha': '^',
           r'\(dq': '"', r'\(aq': "'", r'\(:O': 'Ö', r'\(:o': 'ö'}
# Macros that may stand within a line of another one, or of which the text
# shows nothing.
INLINE = {'Ar', 'Cm', 'Dq', 'Em', 'Ic', 'No', 'Ns', 'Pa', 'Pq', 'Ql', 'Sx',
          'Sy', 'Xr', 'Ta'}


@dataclass
class Literal:
    """A literal block, or the one line of a .Dl."""
    section: str
    mark: str
    text: str


@dataclass
class Item:
    """One entry of a list; several heads may share a body."""
    section: str
    subsection: str
    heads: list
    body: list

    @property
    def text(self):
        return prose(self.body)


def lines():
    with open(os.path.join(pkg.ROOT, 'antispam.7'), encoding='utf-8') as file:
        return file.read().split('\n')


def plain(text):
    """Text without escapes."""
    def one(match):
        if match[0] not in ESCAPES:
            raise AssertionError(f'antispam.7: unknown escape {match[0]}')
        return ESCAPES[match[0]]
    return re.sub(r'\\(\(..|.)', one, text)


def words(line):
    """A macro line's arguments, with quotes and macros within taken away."""
    parts = shlex.shlex(line, posix=True, punctuation_chars='')
    parts.whitespace_split, parts.escape, parts.quotes = True, '', '"'
    parts.commenters = ''
    return list(parts)


def prose(some):
    """Lines as running text, a paragraph a line; literal lines are one, too."""
    out = ''
    for line in some:
        if line.startswith(('.\\"', '.Bl', '.El', '.Ed')):
            continue
        if line.startswith(('.Pp', '.Bd', '.Dl')):
            out += '\n' + plain(line[4:] if line.startswith('.Dl') else '')
            continue
        glue = ' '
        for word in words(line[1:]) if line.startswith('.') else [line]:
            if word == 'Ns':
                glue = ''
            elif line.startswith('.') and word in INLINE:
                continue
            else:
                if line.startswith('.') and re.fullmatch('[.,;:)]', word):
                    glue = ''
                out += glue + plain(word)
                glue = ' '
    return '\n'.join(part.strip() for part in out.split('\n'))


def literals():
    """All of them, in order."""
    found, section, mark, inside = [], '', '', None
    for line in lines():
        if inside is not None:
            if line == '.Ed':
                found.append(Literal(section, mark, '\n'.join(inside) + '\n'))
                inside, mark = None, ''
            else:
                inside.append(plain(line))
        elif line.startswith('.Sh '):
            section = line[4:]
        elif line.startswith('.\\" example: '):
            mark = line.split(': ', 1)[1]
        elif line.startswith('.Bd -literal'):
            inside = []
        elif line.startswith('.Dl '):
            found.append(Literal(section, '', plain(line[4:]) + '\n'))
    return found


def sentences():
    """The paragraphs of filled blocks: what the user reads."""
    found, inside = [], None
    for line in lines():
        if line.startswith('.Bd -filled'):
            inside = []
        elif line == '.Ed' and inside is not None:
            found += prose(inside).split('\n')
            inside = None
        elif inside is not None:
            inside.append(line)
    return found


def items():
    """The entries of tagged lists, in order."""
    found, section, subsection, item = [], '', '', None
    for line in lines():
        if line.startswith('.Sh '):
            section, subsection = line[4:], ''
        elif line.startswith('.Ss '):
            subsection = line[4:]
        elif line.startswith('.It '):
            if item is None or item.body:
                item = Item(section, subsection, [], [])
                found.append(item)
            item.heads.append(line[4:])
        elif line == '.El':
            item = None
        elif item is not None:
            item.body.append(line)
    return found


def settings():
    """The items on settings: {name: item}."""
    found = {}
    for item in items():
        if item.section == 'SETTINGS':
            for head in item.heads:
                name = re.match(r'Ic (antispam_\w+) = ', head)
                if name is None or name[1] in found:
                    raise AssertionError(f'antispam.7: ".It {head}" is not '
                                         'the one item of a setting')
                found[name[1]] = item
    return found


def diagnostics():
    """The log lines of ours that DIAGNOSTICS lists."""
    found = []
    for item in items():
        if item.section == 'DIAGNOSTICS' and \
                item.subsection != 'Of Dovecot itself':
            found += [plain(words(head)[-1]) for head in item.heads]
    return found


def of_dovecot():
    """Those of Dovecot."""
    return [plain(words(head)[-1]) for item in items()
            if item.subsection == 'Of Dovecot itself' for head in item.heads]


def in_text():
    """Settings with values in running text: [(name, value)]."""
    return re.findall(r'(?m)^(antispam_\w+) = ([^.]*?)[ .,;:]*$',
                      '\n'.join(prose([line]) for line in lines()
                                if line.startswith('.Ic antispam_')))

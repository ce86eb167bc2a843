# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""What README tells an admin to write, so that the tests do just that."""

import os
import re
import textwrap

import pkg


def settings(heading, version):
    """The antispam_* settings of a quick start: {name: value as it stands}."""
    number = '.'.join(str(n) for n in version[:2])
    marker = f'Dovecot {number}:'
    lines = _section(heading)
    for at, line in enumerate(lines):
        if line.endswith(marker):
            found = dict(re.findall(r'(?m)^ *(antispam_\w+) = (.*)$',
                                    _block(lines, at + 1)))
            if found:
                return found
    raise AssertionError(f'README: no settings for {marker} in "{heading}"')


def quick_start(heading, version):
    """All that a quick start has an admin write into the configuration."""
    number = '.'.join(str(n) for n in version[:2])
    lines = _section(heading)
    for at, line in enumerate(lines):
        if line.endswith(f'Dovecot {number}:'):
            return _block(lines, at + 1)
    raise AssertionError(f'README: nothing for {number} in "{heading}"')


def script(heading, first):
    """The indented text that begins with these words, without the indent."""
    lines = _section(heading)
    for at, line in enumerate(lines):
        if line.startswith(' ') and line.strip().startswith(first):
            return _block(lines, at)
    raise AssertionError(f'README: no "{first}" in "{heading}"')


def text():
    with open(os.path.join(pkg.ROOT, 'README'), encoding='utf-8') as file:
        return file.read()


def _section(heading):
    match = re.search(rf'(?ms)^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)',
                      text())
    if match is None:
        raise AssertionError(f'README has no heading "{heading}"')
    return match[1].split('\n')


def _block(lines, at):
    """The indented lines from there on, after what empty ones there are."""
    found = []
    for line in lines[at:]:
        if line and not line.startswith(' '):
            break
        found.append(line)
    return textwrap.dedent('\n'.join(found)).strip('\n') + '\n'

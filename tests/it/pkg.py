# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Dovecot's own files, the built ones, and those of packages that no test
installs: unpacked below the build directory."""

import os
import re
import shutil
import subprocess

from tap import Skip

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# Where the built files lie, and where installed ones do.
BUILD = os.environ.get('ANTISPAM_BUILD', os.path.join(ROOT, 'build'))
LIBDIR = os.environ.get('DOVECOT_LIBDIR', '/usr/lib/dovecot')

# What is built, and its place below LIBDIR.
BUILT = {
    'lib90_antispam_plugin.so': 'modules',
    'libantispam_settings.so': 'modules/settings',
    'lib10_doveadm_antispam_plugin.so': 'modules/doveadm',
    'antispam-trainer': '.',
}

# What comes in a package of its own, with a file by which to know it.
PACKAGES = {
    'lmtp': ('dovecot-lmtpd', 'lmtp'),
    'sieve': ('dovecot-sieve', 'modules/lib90_sieve_plugin.so'),
    'imapsieve': ('dovecot-sieve', 'modules/lib95_imap_sieve_plugin.so'),
}


def dovecot_version():
    text = subprocess.run(['dovecot', '--version'], check=True,
                          capture_output=True, text=True).stdout
    return tuple(int(n) for n in re.match(r'[\d.]+', text)[0].split('.'))


def built_files():
    """The built files: {path below LIBDIR: path}."""
    found = {}
    for name, place in BUILT.items():
        for below in ('', place, 'settings', 'doveadm'):
            path = os.path.join(BUILD, below, name)
            if os.path.exists(path):
                found[os.path.normpath(f'{place}/{name}')] = path
                break
    if 'modules/lib90_antispam_plugin.so' not in found:
        raise AssertionError(f'no lib90_antispam_plugin.so in {BUILD}: '
                             'run make')
    return found


def make_lib(lib, real, plugins):
    """Make what a private Dovecot is to see as LIBDIR: links to the files that
    will be found at real, but copies of what is built or unpacked, since the
    mail's uid may not be able to reach the source tree."""
    links, copies = _below(LIBDIR, real), {}
    for name, place in BUILT.items():
        links.pop(os.path.normpath(f'{place}/{name}'), None)
    for plugin, (package, file) in PACKAGES.items():
        if plugin in plugins and not os.path.exists(f'{LIBDIR}/{file}'):
            base = unpacked(package) + LIBDIR
            copies.update(_below(base, base))
    copies.update(built_files())
    for name in list(links) + list(copies):
        os.makedirs(os.path.dirname(f'{lib}/{name}'), exist_ok=True)
    for name, target in links.items():
        if name not in copies:
            os.symlink(target, f'{lib}/{name}')
    for name, source in copies.items():
        shutil.copy(source, f'{lib}/{name}', follow_symlinks=False)


def _below(base, shown):
    """All files below base, as {path below base: path below shown}."""
    found = {}
    for path, _, names in os.walk(base):
        below = os.path.relpath(path, base)
        for name in names:
            file = os.path.normpath(f'{below}/{name}')
            found[file] = f'{shown}/{file}'
    return found


def unpacked(package):
    """The root of what a package has; it is not installed for that."""
    done = subprocess.run(
        ['sh', f'{ROOT}/tests/deps.sh', 'unpack', package], text=True,
        capture_output=True, env={**os.environ, 'BUILD': BUILD})
    if done.returncode != 0:
        raise Skip(f'{package} can not be had: '
                   + done.stderr.strip().replace('\n', ' '))
    return f'{BUILD}/pkg/{package}'


def copy_program(package, program, directory):
    """Copy a package's program ("usr/bin/x") and the libraries that came with
    it to a new directory, which the mail's uid can reach. Returns its path; it
    needs LD_LIBRARY_PATH=directory."""
    base = unpacked(package)
    os.makedirs(directory)
    for name, path in _below(base, base).items():
        if name == program or re.search(r'/lib[^/]*\.so(\.[^/]*)?$', name):
            shutil.copy(path, directory, follow_symlinks=False)
    copy = os.path.join(directory, os.path.basename(program))
    # Not set-user-ID: it would be root's, and not take our libraries.
    os.chmod(copy, 0o755)
    return copy

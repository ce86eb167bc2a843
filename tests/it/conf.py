# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""Dovecot configurations: one description, two languages (2.3 and 2.4)."""

import hashlib
from dataclasses import dataclass, field

# Where a storage keeps its mail, below the home.
STORAGES = ('maildir', 'sdbox', 'mdbox', 'mbox')
# A blank in a user's own setting: a passwd-file splits its fields there.
BLANK = '%{env:ANTISPAM_BLANK}'


@dataclass
class Namespace:
    """One more namespace. Its folders lie in their own directory."""
    prefix: str
    # maildir, sdbox, mdbox, mbox, or virtual.
    storage: str = 'maildir'
    # private, public, or shared: every user's mail below prefix + user name.
    type: str = 'private'
    boxes: dict = field(default_factory=dict)

    @property
    def name(self):
        return 'ns' + ''.join(c for c in self.prefix if c.isalnum())


@dataclass
class Options:
    """What a private Dovecot is to be like; see harness.Dovecot."""
    dir: str
    port: int
    version: tuple
    storage: str
    settings: dict
    users: dict
    boxes: dict
    namespaces: list
    plugins: list
    everywhere: bool
    extra: dict
    uid: int


def variables(version):
    """Dovecot's variables of a user."""
    if version >= (2, 4):
        return {'@USER@': '%{user}', '@NAME@': '%{user | username}',
                '@DOMAIN@': '%{user | domain}', '@HOME@': '%{home}',
                '@PERCENT@': '%%'}
    return {'@USER@': '%u', '@NAME@': '%n', '@DOMAIN@': '%d', '@HOME@': '%h',
            '@PERCENT@': '%%'}


def location(storage, path):
    """2.3's mail_location."""
    if storage == 'mbox':
        return f'mbox:{path}:INBOX={path}.inbox'
    return f'{storage}:{path}'


def drivers(storage, path):
    """2.4's settings for the same."""
    lines = [f'mail_driver = {storage}', f'mail_path = {path}']
    if storage == 'mbox':
        lines.append(f'mail_inbox_path = {path}.inbox')
    return lines


def boxes(mailboxes):
    lines = []
    for name, special_use in mailboxes.items():
        lines += [f'mailbox "{name}" {{', 'auto = subscribe']
        if special_use:
            lines.append(f'special_use = {special_use}')
        lines.append('}')
    return lines


def render(options):
    """The whole dovecot.conf."""
    lines = _new(options) if options.version >= (2, 4) else _old(options)
    return '\n'.join(lines) + '\n'


def _common(o):
    lines = [
        f'base_dir = {o.dir}/run', f'state_dir = {o.dir}/state',
        f'log_path = {o.dir}/log', 'listen = 127.0.0.1', 'ssl = no',
        f'mail_uid = {o.uid}', f'mail_gid = {o.uid}',
        'first_valid_uid = 1', 'first_valid_gid = 1',
        f'mail_plugin_dir = {o.dir}/lib/modules',
        'auth_username_chars =', 'hostname = it.example.org',
        'postmaster_address = postmaster@it.example.org',
    ]
    return lines + [f'{key} = {value.replace("@DIR@", o.dir)}'
                    for key, value in o.extra.items()]


def _listener(o):
    return ['service imap-login {', 'inet_listener imap {',
            f'port = {o.port}', '}', 'inet_listener imaps {', 'port = 0', '}',
            '}']


def passwd_file(o):
    """Users with settings of their own; all others come from "static"."""
    percent = ('%{', '%%{') if o.version >= (2, 4) else ('%', '%%')
    lines = []
    for user, fields in o.users.items():
        fields = {'home': home(o, user), **fields}
        directory = fields.pop('home')
        if directory is None:
            fields.update(mail_without_home(o, user))
        shown = [f'userdb_{key}=' + value.replace(*percent)
                 .replace(' ', BLANK) for key, value in fields.items()]
        lines.append(f'{user}::{o.uid}:{o.uid}::{directory or ""}::'
                     + ' '.join(shown))
    return '\n'.join(lines) + '\n'


def mail_without_home(o, user):
    path = home(o, user) + '/mail'
    if o.version >= (2, 4):
        return {'mail_path': path}
    return {'mail': location(o.storage, path)}


def home(o, user):
    # A name can hold anything, its digest nothing that matters in a path.
    digest = hashlib.md5(user.encode(), usedforsecurity=False)
    return f'{o.dir}/home/{digest.hexdigest()}'


# Dovecot 2.3

def _old(o):
    have_lmtp = ' lmtp' if 'lmtp' in o.plugins else ''
    lines = _common(o) + [
        f'protocols = imap{have_lmtp}', 'disable_plaintext_auth = no',
        'auth_username_format = %u',
        'import_environment = TZ CORE_OUTOFMEM CORE_ERROR ANTISPAM_BLANK',
        f'mail_location = {location(o.storage, "~/mail")}',
        'passdb {', 'driver = static', 'args = password=pw', '}',
        'userdb {', 'driver = passwd-file',
        f'args = username_format=%u {o.dir}/passwd', '}',
        'userdb {', 'driver = static',
        f'args = uid={o.uid} gid={o.uid} home={o.dir}/home/%{{md5:user}}'
        ' allow_all_users=yes', '}',
        'namespace inbox {', 'inbox = yes', 'separator = /',
        *boxes(o.boxes), '}', *_listener(o)]
    for ns in o.namespaces:
        lines += _old_namespace(ns)
    loaded, values = old_plugins(o)
    lines += ['plugin {', *(f'{k} = {v}' for k, v in values.items()), '}']
    everywhere = loaded + (['antispam'] if o.everywhere else [])
    lines.append('mail_plugins = ' + ' '.join(everywhere))
    sieve = ' sieve' if 'sieve' in o.plugins else ''
    for protocol in ['lda'] + have_lmtp.split():
        lines += [f'protocol {protocol} {{',
                  f'mail_plugins = $mail_plugins{sieve}', '}']
    imap = '' if o.everywhere else ' antispam'
    imap += ' imap_sieve' if 'imapsieve' in o.plugins else ''
    lines += ['protocol imap {', f'mail_plugins = $mail_plugins{imap}', '}']
    return lines


def _old_namespace(ns):
    lines = [f'namespace {ns.name} {{', 'separator = /', f'type = {ns.type}']
    if ns.type == 'shared':
        lines += [f'prefix = {ns.prefix}%%u/', 'list = children',
                  'subscriptions = no',
                  f'location = {location(ns.storage, "%%h/mail")}']
    else:
        lines += [f'prefix = {ns.prefix}',
                  f'location = {location(ns.storage, "~/" + ns.name)}']
    return lines + [*boxes(ns.boxes), '}']


def old_plugins(o):
    """The plugins to load beside ours, and what is in plugin { }."""
    loaded, values = [], dict(o.settings)
    if 'compress' in o.plugins:
        loaded.append('zlib')
        values['zlib_save'] = 'gz'
    if 'quota' in o.plugins:
        loaded.append('quota')
        values['quota'] = 'count:User'
        values['quota_vsizes'] = 'yes'
        values['quota_rule'] = '*:messages=3'
    if 'lazy_expunge' in o.plugins:
        loaded.append('lazy_expunge')
        values['lazy_expunge'] = 'EXPUNGED'
    if 'acl' in o.plugins:
        loaded.append('acl')
        values['acl'] = 'vfile'
    if any(ns.storage == 'virtual' for ns in o.namespaces):
        loaded.append('virtual')
    if 'sieve' in o.plugins:
        values['sieve'] = '~/filter.sieve'
    if 'imapsieve' in o.plugins:
        values['sieve_plugins'] = 'sieve_imapsieve'
        values['imapsieve_mailbox1_name'] = 'Work'
        values['imapsieve_mailbox1_causes'] = 'COPY'
        values['imapsieve_mailbox1_before'] = f'file:{o.dir}/work.sieve'
    return loaded, values


# Dovecot 2.4

def _new(o):
    number = '.'.join(str(n) for n in o.version[:3])
    have_lmtp = ['lmtp = yes'] if 'lmtp' in o.plugins else []
    lines = [
        f'dovecot_config_version = {number}',
        f'dovecot_storage_version = {number}', *_common(o),
        'protocols {', 'imap = yes', *have_lmtp, '}',
        'import_environment {', 'ANTISPAM_BLANK = " "', '}',
        'auth_allow_cleartext = yes', 'auth_username_format = %{user}',
        *drivers(o.storage, '~/mail'),
        'passdb static {', 'password = pw', '}',
        'userdb passwd-file {', f'passwd_file_path = {o.dir}/passwd', '}',
        'userdb static {', 'static_allow_all_users = yes', 'fields {',
        f'uid = {o.uid}', f'gid = {o.uid}',
        f'home = {o.dir}/home/%{{user | md5 | hexlify}}', '}', '}',
        'namespace inbox {', 'inbox = yes', 'separator = /',
        *boxes(o.boxes), '}', *_listener(o)]
    for ns in o.namespaces:
        lines += _new_namespace(ns)
    loaded, values = new_plugins(o)
    lines += values
    lines += [f'{key} = {value}' for key, value in o.settings.items()]
    lines += ['mail_plugins {', *(f'{name} = yes' for name in loaded)]
    lines += ['antispam = yes', '}'] if o.everywhere else ['}']
    if 'sieve' in o.plugins:
        for protocol in ('lda', 'lmtp'):
            lines += [f'protocol {protocol} {{',
                      'mail_plugins {', 'sieve = yes', '}', '}']
    lines += ['protocol imap {', 'mail_plugins {', 'antispam = yes',
              *(['imap_sieve = yes'] if 'imapsieve' in o.plugins else []),
              '}', '}']
    return lines


def _new_namespace(ns):
    lines = [f'namespace {ns.name} {{', 'separator = /', f'type = {ns.type}']
    if ns.type == 'shared':
        lines += [f'prefix = {ns.prefix}$user/', 'list = children',
                  'subscriptions = no',
                  *drivers(ns.storage, '%{owner_home}/mail')]
    else:
        lines += [f'prefix = {ns.prefix}',
                  *drivers(ns.storage, '~/' + ns.name)]
    return lines + [*boxes(ns.boxes), '}']


def new_plugins(o):
    """The plugins to load beside ours, and lines for them."""
    loaded, lines = [], []
    if 'compress' in o.plugins:
        loaded.append('mail_compress')
        lines.append('mail_compress_write_method = gz')
    if 'quota' in o.plugins:
        loaded.append('quota')
        lines += ['quota "User" {', 'quota_driver = count',
                  'quota_message_count = 3', '}']
    if 'lazy_expunge' in o.plugins:
        loaded.append('lazy_expunge')
        lines.append('lazy_expunge_mailbox = EXPUNGED')
    if 'acl' in o.plugins:
        loaded.append('acl')
        lines.append('acl_driver = vfile')
    if any(ns.storage == 'virtual' for ns in o.namespaces):
        loaded.append('virtual')
    if 'sieve' in o.plugins:
        lines += ['sieve_script personal {',
                  'sieve_script_path = ~/filter.sieve', '}']
    if 'imapsieve' in o.plugins:
        lines += ['sieve_plugins {', 'sieve_imapsieve = yes', '}',
                  'mailbox Work {', 'sieve_script work {',
                  'sieve_script_type = before', 'sieve_script_cause = copy',
                  f'sieve_script_path = {o.dir}/work.sieve', '}', '}']
    return loaded, lines

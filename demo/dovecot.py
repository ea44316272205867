"""How does a private Dovecot look: its configuration, for root and for a normal user alike."""

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAIL_OWNER = "nobody"
"""Who owns mail when Dovecot runs as root: it refuses to handle mail as root itself."""


@dataclass(frozen=True, slots=True)
class MailboxLayout:
    r"""Which folders each mailbox has, and how the server speaks of them.

    Attributes:
        folders: name without prefix → special use (`\Sent`), or None for none; made when a user first logs in.
        prefix: put before every folder name, as some servers do: `INBOX.`
        separator: between a folder and its child.
        all_mail: offer a virtual folder `virtual/All` with special use `\All`.
    """

    folders: Mapping[str, str | None]
    prefix: str = ""
    separator: str = "/"
    all_mail: bool = False


USUAL_LAYOUT = MailboxLayout(
    {"Sent": r"\Sent", "Drafts": r"\Drafts", "Junk": r"\Junk", "Trash": r"\Trash", "Archive": r"\Archive"}
)


@dataclass(frozen=True, slots=True)
class DovecotFiles:
    """Where the private Dovecot keeps its things, all under one temporary folder."""

    root: Path

    @property
    def configuration(self) -> Path:
        return self.root / "dovecot.conf"

    @property
    def users(self) -> Path:
        return self.root / "users"

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def log(self) -> Path:
        return self.root / "dovecot.log"

    @property
    def certificate(self) -> Path:
        return self.root / "server.pem"

    @property
    def authority(self) -> Path:
        return self.root / "ca.pem"


def mail_ids() -> tuple[int, int]:
    """User and group id that mail files belong to."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    owner = pwd.getpwnam(MAIL_OWNER)
    return owner.pw_uid, owner.pw_gid


def configuration(files: DovecotFiles, layout: MailboxLayout, *, imap_port: int, imaps_port: int) -> str:
    """The whole of dovecot.conf. Source: doc.dovecot.org/2.3, settings core and namespaces."""
    uid, gid = mail_ids()
    plugins = "mail_plugins = virtual" if layout.all_mail else ""
    return f"""
protocols = imap
base_dir = {files.root}/run
state_dir = {files.root}/run
log_path = {files.log}
listen = 127.0.0.1
{_process_owners()}
first_valid_uid = 1
first_valid_gid = 1
ssl = yes
ssl_cert = <{files.certificate}
ssl_key = <{files.certificate}
ssl_dh =
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_chars =
auth_failure_delay = 0
auth_verbose = no
mail_location = maildir:~/Maildir:LAYOUT=fs:UTF-8
mail_fsync = never
mail_max_userip_connections = 5000
mailbox_idle_check_interval = 1 secs
{plugins}
service anvil {{
  chroot =
  client_limit = 8000
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 8000
}}
service imap {{
  process_limit = 4000
}}
service imap-login {{
  chroot =
  client_limit = 4000
  service_count = 0
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
passdb {{
  driver = passwd-file
  args = {files.users}
}}
userdb {{
  driver = passwd-file
  args = {files.users}
  override_fields = uid={uid} gid={gid}
}}
{_namespaces(layout)}
"""


def _process_owners() -> str:
    """As root the packaged accounts serve; a normal user runs every process as themselves."""
    if os.getuid() == 0:
        return "service auth {\n  user = root\n}"
    user = pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(os.getgid()).gr_name
    return f"default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}"


def _namespaces(layout: MailboxLayout) -> str:
    mailboxes = "".join(
        f'  mailbox "{name}" {{\n    auto = create\n' + (f"    special_use = {use}\n" if use else "") + "  }\n"
        for name, use in layout.folders.items()
    )
    personal = (
        f"namespace inbox {{\n  inbox = yes\n  prefix = {layout.prefix}\n"
        f"  separator = {layout.separator}\n{mailboxes}}}\n"
    )
    if not layout.all_mail:
        return personal
    return personal + (
        f"namespace virtual {{\n  prefix = virtual{layout.separator}\n  separator = {layout.separator}\n"
        "  location = virtual:~/virtual\n  mailbox All {\n    special_use = \\All\n  }\n}\n"
    )

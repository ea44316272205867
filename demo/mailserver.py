"""Where does mail live in the demonstration and in the tests: a private Dovecot, and a submission server beside it.

Both listen on loopback ports of their own, keep everything in one temporary folder, and end with their parent.
"""

import base64
import contextlib
import ctypes
import imaplib
import itertools
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import trustme

from demo.dovecot import USUAL_LAYOUT, DovecotFiles, MailboxLayout, configuration, mail_ids
from demo.submission import Accounts, SentMail, SubmissionServer
from domain import clock

DOVECOT = "/usr/sbin/dovecot"
HOST = "127.0.0.1"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
_PR_SET_PDEATHSIG = 1
_AUTHENTICATED = 235
_BARE_LF = re.compile(rb"(?<!\r)\n")
_MAILDIR_FLAGS = {r"\Seen": "S", r"\Answered": "R", r"\Flagged": "F", r"\Draft": "D", r"\Deleted": "T"}


class MailServerUnavailable(RuntimeError):
    """The mail server cannot be started here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to be put into a folder; `received_at` becomes its INTERNALDATE (None: now)."""

    raw: bytes
    received_at: datetime | None = None
    flags: tuple[str, ...] = ()


def require_dovecot() -> None:
    """Raises MailServerUnavailable where Dovecot is not installed."""
    if not Path(DOVECOT).exists():
        raise MailServerUnavailable(
            f"Dovecot is not installed ({DOVECOT} is missing); on Debian or Ubuntu: apt-get install dovecot-imapd"
        )


class MailSandbox:
    """A running mail server. Use as a context manager, or call `start` and `stop`.

    It ends with the thread that started it: start it in one that lives as long as it is needed.

    Attributes:
        host: the loopback address all ports are on; the certificate holds for it and for `localhost`.
        imap_port: IMAP, with STARTTLS.
        imaps_port: IMAP over TLS.
        ca_path: the certificate authority clients must trust, as a PEM file.
    """

    host = HOST

    def __init__(self, users: Iterable[tuple[str, str]] = (), *, layout: MailboxLayout = USUAL_LAYOUT) -> None:
        require_dovecot()
        self.layout = layout
        self._users = dict(users)
        self._accounts = Accounts(self._users)
        self._files = DovecotFiles(Path(tempfile.mkdtemp(prefix="postroom-mail-")))
        self._owner = mail_ids()
        self._serial = itertools.count(1)
        self._dovecot: subprocess.Popen[bytes] | None = None
        self.imap_port, self.imaps_port = _free_ports(2)
        self.ca_path = self._files.authority
        self._prepare()
        self._submission = SubmissionServer(HOST, self._files.certificate, self._accounts, self._deliver_submitted)

    @property
    def smtp_port(self) -> int:
        """Submission, STARTTLS and AUTH required; known once started."""
        return self._submission.port

    @property
    def smtps_port(self) -> int:
        """Submission over TLS, AUTH required; known once started."""
        return self._submission.tls_port

    # --- Life ---

    def start(self) -> Self:
        """Starts both servers and returns once they answer."""
        self._start_dovecot()
        self._submission.start()
        return self

    def stop(self) -> None:
        """Stops both servers and removes the temporary folder; safe to call twice."""
        self._submission.stop()
        self._stop_dovecot(patience_s=0)  # its files go with it
        shutil.rmtree(self._files.root, ignore_errors=True)

    def restart(self) -> None:
        """Stops Dovecot, dropping every connection, and starts it again with the same mail on the same ports."""
        self._stop_dovecot(patience_s=STOP_TIMEOUT_S)
        self._start_dovecot()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def client_tls(self) -> ssl.SSLContext:
        """A client context that trusts this server's certificate authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_path))

    # --- Users and mail ---

    def add_user(self, address: str, password: str) -> None:
        """Makes an account, or changes its password, and returns once a login with it holds.

        Dovecot looks at its file of users at most once a second: whoever needs many names them from the start.
        """
        self._users[address] = password
        self._write_users()
        if self._dovecot is not None:
            _until(lambda: self._admits(address, password), f"logging in as {address}")

    def create_folder(self, address: str, folder: str) -> None:
        """Makes a folder, by its real name in any script; nothing happens where it exists."""
        self._folder_path(address, folder)

    def deliver(
        self,
        address: str,
        raw: bytes,
        folder: str = "INBOX",
        received_at: datetime | None = None,
        flags: Iterable[str] = (),
    ) -> None:
        """Puts one message into a folder, which is made where it is missing; the server announces it to IDLE."""
        self.deliver_many(address, [Delivery(raw, received_at, tuple(flags))], folder)

    def deliver_many(self, address: str, deliveries: Iterable[Delivery], folder: str = "INBOX") -> int:
        """Puts many messages into a folder in this order, as files, thousands a second; returns how many."""
        path = self._folder_path(address, folder)
        count = 0
        for count, delivery in enumerate(deliveries, start=1):  # noqa: B007 - the last one is the answer
            self._write_message(path, delivery)
        return count

    def submit(self, sender: str, recipients: Iterable[str], raw: bytes) -> None:
        """Sends a message through the submission server as `sender`, who must be a user here."""
        with smtplib.SMTP_SSL(HOST, self.smtps_port, context=self.client_tls()) as client:
            client.ehlo()
            # Not `client.login`: it knows passwords of ASCII only.
            token = base64.b64encode(f"\0{sender}\0{self._users[sender]}".encode()).decode()
            code, reply = client.docmd("AUTH", f"PLAIN {token}")
            if code != _AUTHENTICATED:
                raise smtplib.SMTPAuthenticationError(code, reply)
            client.sendmail(sender, list(recipients), raw)

    @property
    def sent_outside(self) -> list[SentMail]:
        """What was submitted to addresses that are not users here, oldest first."""
        return self._submission.sent_outside

    # --- Breaking things ---

    def drop_connections(self, address: str) -> None:
        """Ends every IMAP session of the user, without a word to the client."""
        self._doveadm("kick", address, accept=(0, 68))

    def freeze(self) -> None:
        """Makes the server stop answering while connections stay open, until `thaw`."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Ends `freeze`."""
        self._signal_all(signal.SIGCONT)

    def change_uidvalidity(self, address: str, folder: str, uidvalidity: int) -> None:
        """Gives a folder a new UIDVALIDITY: every UID known from before is void."""
        self._doveadm("mailbox", "update", "-u", address, "--uid-validity", str(uidvalidity), folder)

    def expunge(self, address: str, folder: str, uids: str) -> None:
        """Removes messages for good: `uids` is an IMAP set such as `2,5:9`."""
        self._doveadm("expunge", "-u", address, "mailbox", folder, "uid", uids)

    def move(self, address: str, source: str, target: str, uids: str) -> None:
        """Moves messages as a mail client would: they get new UIDs in `target`."""
        self._doveadm("move", "-u", address, target, "mailbox", source, "uid", uids)

    @contextlib.contextmanager
    def broken_folder(self, address: str, folder: str) -> Iterator[None]:
        """Within this, the server lists the folder and fails to open it."""
        index = self._folder_path(address, folder) / "dovecot-uidlist"
        kept = index.read_bytes() if index.exists() else None
        index.unlink(missing_ok=True)
        index.mkdir()
        try:
            yield
        finally:
            index.rmdir()
            if kept is not None:
                index.write_bytes(kept)
                os.chown(index, *self._owner)

    # --- Within ---

    def _prepare(self) -> None:
        files = self._files
        files.root.chmod(0o711)  # the accounts Dovecot drops to must pass through
        files.mail.mkdir(mode=0o755)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(files.authority))
        authority.issue_cert(HOST, "localhost").private_key_and_cert_chain_pem.write_to_path(str(files.certificate))
        files.certificate.chmod(0o600)
        files.configuration.write_text(
            configuration(files, self.layout, imap_port=self.imap_port, imaps_port=self.imaps_port), encoding="utf-8"
        )
        self._write_users()
        for address in self._users:
            self._home(address)

    def _write_users(self) -> None:
        def line(address: str, password: str) -> str:
            hidden = base64.b64encode(password.encode()).decode()
            return f"{address}:{{PLAIN.b64}}{hidden}::::{self._home(address)}::"

        lines = [line(address, password) for address, password in self._users.items()]
        fresh = self._files.users.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(self._files.users)

    def _home(self, address: str) -> Path:
        home = self._files.mail / quote(address, safe="@+")
        if not home.exists():
            self._make_folder(home)
            if self.layout.all_mail:
                self._make_folder(home / "virtual")
                self._make_folder(home / "virtual" / "All")
                rule = home / "virtual" / "All" / "dovecot-virtual"
                rule.write_text("*\n-virtual/*\n  all\n", encoding="utf-8")
                os.chown(rule, *self._owner)
        return home

    def _folder_path(self, address: str, folder: str) -> Path:
        path = self._home(address) / "Maildir"
        if folder != "INBOX":
            for level in folder.removeprefix(self.layout.prefix).split(self.layout.separator):
                path /= level
        if not path.exists() and self._dovecot is not None:
            # Dovecot keeps a list of folders, and may not see at once what others make.
            self._doveadm("mailbox", "create", "-u", address, folder)
        for part in self._levels(path):
            self._make_folder(part)
        for part in (path, path / "cur", path / "new", path / "tmp"):
            self._make_folder(part)
        return path

    def _levels(self, path: Path) -> list[Path]:
        return [each for each in reversed(path.parents) if each.is_relative_to(self._files.mail)]

    def _make_folder(self, path: Path) -> None:
        if not path.exists():
            path.mkdir(mode=0o700)
            os.chown(path, *self._owner)

    def _write_message(self, folder: Path, delivery: Delivery) -> None:
        received_at = (delivery.received_at or clock.now()).timestamp()
        size = len(delivery.raw)
        # S and W are the sizes with the line ends as stored and as sent: Dovecot need not open the file to tell them.
        wire_size = size + len(_BARE_LF.findall(delivery.raw))
        serial = next(self._serial)
        name = f"{1_000_000_000 + serial}.M{serial}P{os.getpid()}.sandbox,S={size},W={wire_size}"
        being_written = folder / "tmp" / name
        being_written.write_bytes(delivery.raw)
        os.chown(being_written, *self._owner)
        os.utime(being_written, (received_at, received_at))
        if delivery.flags:
            letters = "".join(sorted(_MAILDIR_FLAGS[flag] for flag in delivery.flags))
            being_written.rename(folder / "cur" / f"{name}:2,{letters}")
        else:
            being_written.rename(folder / "new" / name)

    def _deliver_submitted(self, address: str, raw: bytes) -> None:
        self.deliver(address, raw)

    def _start_dovecot(self) -> None:
        self._dovecot = subprocess.Popen(  # noqa: S603 - our own constants
            [DOVECOT, "-F", "-c", str(self._files.configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
        )
        try:
            _until(self._answers, "waiting for Dovecot")
        except TimeoutError as error:
            raise MailServerUnavailable(f"Dovecot did not start; it said:\n{self._last_log_lines()}") from error

    def _admits(self, address: str, password: str) -> bool:
        with imaplib.IMAP4(HOST, self.imap_port, timeout=5) as client:
            try:
                client.authenticate("PLAIN", lambda _: f"\0{address}\0{password}".encode())
            except imaplib.IMAP4.error:
                return False
            return True

    def _answers(self) -> bool:
        if self._dovecot is not None and self._dovecot.poll() is not None:
            raise TimeoutError("it ended")
        try:
            with socket.create_connection((HOST, self.imap_port), timeout=1) as probe:
                return probe.recv(64).startswith(b"* OK")
        except OSError:
            return False

    def _last_log_lines(self) -> str:
        if not self._files.log.exists():
            return "(nothing)"
        return "\n".join(self._files.log.read_text(errors="replace").splitlines()[-10:])

    def _stop_dovecot(self, *, patience_s: float) -> None:
        if self._dovecot is None:
            return
        self._signal_all(signal.SIGCONT)
        everyone = _descendants(self._dovecot.pid)
        if patience_s:
            self._dovecot.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._dovecot.wait(timeout=patience_s)
        # Its login processes outlive it by seconds and keep their connections open; nobody is to wait for that.
        for pid in everyone:
            if _is_dovecot(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._dovecot.wait()
        self._dovecot = None

    def _signal_all(self, number: signal.Signals) -> None:
        if self._dovecot is None:
            return
        for pid in _descendants(self._dovecot.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _doveadm(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> None:
        command = ["/usr/bin/doveadm", "-c", str(self._files.configuration), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words
        if done.returncode not in accept:
            raise RuntimeError(f"doveadm {arguments[0]} failed: {done.stderr.strip()}")


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took too long")
        time.sleep(0.02)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_dovecot(pid: int) -> bool:
    try:
        return "dovecot" in Path(f"/proc/{pid}/cmdline").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _descendants(pid: int) -> list[int]:
    """The process and all below it, parents first. Source: proc(5), /proc/pid/task/tid/children."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
            found.extend(int(child) for child in children.split())
    return found


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; all are held at once so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]

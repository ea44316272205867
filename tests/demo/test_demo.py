"""Does the demonstration do its job from beginning to end, and leave nothing behind?"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demo.mailserver import MailServerUnavailable, require_dovecot

PROJECT = Path(__file__).parents[2]
SMALL = ("--messages", "60", "--every", "0.5")
DEADLINE_S = 100
_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(autouse=True)
def mail_server_is_there() -> None:
    try:
        require_dovecot()
    except MailServerUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def orphans() -> Iterator[set[int]]:
    """Empty at first; at the end of the test, filled by `left_behind`. Orphans come to this process meanwhile."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield living_children()
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files: short enough for sockets, and open to the accounts that servers drop to."""
    with tempfile.TemporaryDirectory(prefix="pr-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def living_children() -> set[int]:
    """Children of this process that run; those that have ended and are not waited for do not count."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                if re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE) is None:
                    found.add(int(pid))
    return found


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "demo", *SMALL, *arguments],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_imports_two_mailboxes_shows_live_mail_and_leaves_nothing_behind(orphans: set[int], folder: Path) -> None:
    with start(folder, "--for", "4") as demo:
        printed, _ = demo.communicate(timeout=DEADLINE_S)

    assert demo.returncode == 0, printed
    assert printed.count("nothing of those is stored") == 2
    assert re.search(r'{"Authorization":"Bearer [\w.-]+"}', printed)
    assert re.search(r"\d+ ms  (Ines|Tom) sees ", printed)
    assert living_children() <= orphans
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_in_the_middle_it_ends_well_and_leaves_nothing_behind(
    orphans: set[int], folder: Path, ending: signal.Signals
) -> None:
    with start(folder) as demo:
        assert demo.stdout is not None
        said = next(line for line in demo.stdout if "Through the API" in line)
        demo.send_signal(ending)
        rest, _ = demo.communicate(timeout=DEADLINE_S)

    assert demo.returncode == 0, said + rest
    assert living_children() <= orphans
    assert list(folder.iterdir()) == []

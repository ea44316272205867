"""What has a process used so far: processor time and memory, as the kernel counts them. Linux only."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """Of one process, or the sum of several.

    Attributes:
        cpu_s: with what its ended children used.
        peak_mb: the most memory it held at a time; of several, the sum of their peaks.
    """

    cpu_s: float
    peak_mb: float


def use_of(process_id: int) -> Use:
    """Of this process alone; nothing where it has ended. Source: proc(5), stat fields 14 to 17, VmHWM."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = (
            Path(f"/proc/{process_id}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii", errors="replace")
        peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
        return Use(sum(map(int, fields[11:15])) / _TICKS_PER_S, peak / 1024)
    return Use(0.0, 0.0)


def resident_kb(process_id: int) -> int:
    """The memory that it holds now."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def role_below(process_id: int, role: str) -> int:
    """The process below this one that plays a role of Postroom."""
    for each in _below(process_id):
        command = Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")
        if b"-m" in command and command[command.index(b"-m") + 2 :][:1] == [role.encode()]:
            return each
    raise LookupError(f"no process plays the role {role}")


def use_below(process_id: int) -> Use:
    """Of all that live below this process, itself left out."""
    uses = [use_of(each) for each in _below(process_id)]
    return Use(sum(use.cpu_s for use in uses), sum(use.peak_mb for use in uses))


def _below(process_id: int) -> Iterator[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            for child in (thread / "children").read_text(encoding="ascii").split():
                yield int(child)
                yield from _below(int(child))

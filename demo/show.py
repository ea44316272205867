"""What does a person see of the demonstration: a line a step, progress bars, tables; plain lines off a terminal?"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_out = Console(highlight=False)
if not _out.is_terminal:
    _out.width = 120  # for whoever reads it later
_err = Console(stderr=True, highlight=False, soft_wrap=True)
SHORT = 10
"""Characters of a column that is never cut to make room."""


def step(text: str) -> None:
    """What is being done now, or is done."""
    _out.print(Text.assemble(("• ", "cyan"), text), soft_wrap=True)


def problem(text: str) -> None:
    _err.print(Text(text, style="red"))


def to_copy(title: str, text: str) -> None:
    """Something to be copied: its lines are left as they are."""
    _out.print(Text(f"\n{title}", style="bold"), soft_wrap=True)
    for line in text.splitlines():
        _out.print(Text(f"  {line}"), soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    for number, column in enumerate(columns):
        longest = max(len(cell) for cell in (column, *(row[number] for row in rows)))
        drawn.add_column(column, no_wrap=True, min_width=min(longest, SHORT))
    for row in rows:
        drawn.add_row(*map(escape, row))
    _out.print()
    _out.print(drawn)


def arrival(*, reader: str, sender: str, subject: str, snippet: str, delay_ms: float | None) -> None:
    """A message that has just come through a subscription."""
    delay = "" if delay_ms is None else f"{delay_ms:5.0f} ms  "
    line = Text.assemble((delay, "green"), (f"{reader} sees ", "dim"), (sender, "bold"), f": {subject} ")
    line.append(f"· {snippet}", style="dim")
    is_cut = _out.is_terminal
    _out.print(line, no_wrap=is_cut, overflow="ellipsis" if is_cut else "ignore", soft_wrap=not is_cut)


class ImportBars:
    """A bar for each mailbox."""

    def __init__(self, progress: Progress, rows: Mapping[str, TaskID]) -> None:
        self._progress = progress
        self._rows = rows

    def show(self, mailbox: str, *, scanned: int, recorded: int, total: int | None) -> None:
        self._progress.update(self._rows[mailbox], completed=scanned, total=total, recorded=recorded)


@contextmanager
def import_bars(mailboxes: Sequence[str]) -> Iterator[ImportBars]:
    """Bars while the block runs; nothing where nobody watches them move."""
    columns = [
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[recorded]} recorded"),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=_out, disable=not _out.is_terminal) as progress:
        yield ImportBars(progress, {each: progress.add_task(each, total=None, recorded=0) for each in mailboxes})

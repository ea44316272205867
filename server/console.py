"""How does a command speak to a person: in colour on a terminal, in plain lines everywhere else?"""

from rich.console import Console
from rich.text import Text

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)
_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


def print_line(text: str, *, style: str = "") -> None:
    _out.print(Text(text, style=style))


def print_fact(name: str, value: str) -> None:
    """A name and a value on one line, easy to cut apart by machine."""
    _out.print(Text.assemble((f"{name}: ", "bold"), value))


def print_finding(state: str, subject: str, what: str, remedy: str) -> None:
    """One thing that was looked at, how it is, and what to do."""
    line = Text.assemble((f"{state:<6}", _STYLES[state]), (f"{subject}: ", "bold"), what)
    _out.print(line)
    if remedy:
        _out.print(Text(f"      {remedy}", style="dim"))


def print_error(text: str) -> None:
    _err.print(Text(text, style="red"))

"""Where tests find messages: the project's own, and a shared corpus of real ones, read in place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
EML = PROJECT / "tests" / "data" / "eml"


def own_message(name: str) -> bytes:
    return (EML / f"{name}.eml").read_bytes()


def corpus(folder: str = "") -> Path:
    """The corpus' folder; the test is skipped where there is none."""
    root = Path(os.environ.get("POSTROOM_CORPUS", PROJECT.parent / "shared" / "corpus")) / folder
    if not root.is_dir():
        pytest.skip(f"no corpus of real mail at {root}: set POSTROOM_CORPUS")
    return root


def corpus_files(folder: str = "") -> Iterator[Path]:
    return (path for path in sorted(corpus(folder).rglob("*")) if path.is_file())

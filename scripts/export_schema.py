"""Is `schema.graphql` what the code says? Writes it, or with `--check` tells how it differs."""

import argparse
import difflib
import sys
from pathlib import Path

from gql.schema.root import schema

_FILE = Path(__file__).parents[1] / "schema.graphql"


def main() -> int:
    """0 where the file is up to date afterwards, 1 where `--check` finds that it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the file differs")
    checks_only = parser.parse_args().check

    exported = schema.as_str().rstrip("\n") + "\n"
    kept = _FILE.read_text() if _FILE.exists() else ""
    if not checks_only:
        _FILE.write_text(exported)
        return 0
    if exported == kept:
        return 0
    difference = difflib.unified_diff(
        kept.splitlines(keepends=True), exported.splitlines(keepends=True), "schema.graphql", "the code"
    )
    sys.stderr.writelines(difference)
    sys.stderr.write("schema.graphql is not what the code says: run `make schema` and review the difference.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

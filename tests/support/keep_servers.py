"""A Postroom reduced to its embedded servers, to be killed by tests.

`python keep_servers.py FOLDER` starts them, prints a line of JSON with their addresses and process ids, and ends them
when its input does.
"""

import dataclasses
import json
import sys
from pathlib import Path

from infra.embedded import EmbeddedServers, EmbeddedServersError


def main() -> None:
    servers = EmbeddedServers(Path(sys.argv[1]), fast=True)
    try:
        addresses = servers.start()
    except EmbeddedServersError as error:
        _say(error=type(error).__name__, message=error.message)
        return
    assert servers.postgres is not None
    assert servers.valkey is not None
    _say(**dataclasses.asdict(addresses), postgres=servers.postgres.process_id, valkey=servers.valkey.process_id)
    sys.stdin.read()
    servers.stop()


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


main()

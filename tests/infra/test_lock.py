"""Does the lock hold what the project asks for?"""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PROJECT = Path(__file__).parents[2]


def test_every_dependency_is_locked_in_a_version_that_is_wanted() -> None:
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["project"]
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (_PROJECT / "requirements.lock").read_text(), re.MULTILINE))

    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked.get(canonicalize_name(wanted.name), "0")), line


def test_the_lock_names_no_place_to_get_packages_from() -> None:
    assert not re.search(r"https?://|file:|--(index|extra|find)", (_PROJECT / "requirements.lock").read_text())

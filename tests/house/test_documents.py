"""Documents that list things say the same as the code."""

import re
from pathlib import Path

import models
from domain.errors import ErrorCode
from models import __all__ as model_names

ROOT = Path(__file__).parents[2]


def test_the_data_model_names_every_table_and_no_other() -> None:
    text = (ROOT / "docs" / "data-model.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert documented == {getattr(models, name)._meta.db_table for name in model_names}


def test_every_error_code_of_the_code_is_in_the_schema() -> None:
    schema = (ROOT / "schema.graphql").read_text()
    listed = re.search(r"^enum ErrorCode \{(.*?)^\}", schema, re.MULTILINE | re.DOTALL)
    assert listed is not None
    without_descriptions = re.sub(r'""".*?"""', "", listed[1], flags=re.DOTALL)
    assert set(without_descriptions.split()) == {code.value for code in ErrorCode}


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_readme_names_only_files_that_exist() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target

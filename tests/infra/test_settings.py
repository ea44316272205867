"""Are settings read, checked together, and told apart when they are wrong?"""

import base64
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import AllowedHosts, Settings, SettingsError, load_settings

_EXAMPLE = Path(__file__).parents[2] / ".env.example"
_KEY = base64.b64encode(bytes(range(32))).decode()
_OTHER_KEY = base64.b64encode(bytes(32)).decode()
_EXTERNAL = {
    "DATABASE_URL": "postgresql://u:p@db/postroom",
    "POSTROOM_SECRET_KEYS": _KEY,
    "POSTROOM_JWT_SECRET": "j" * 32,
}

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads settings from exactly the variables given, in an empty data folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("POSTROOM_DATA_DIR", str(tmp_path / "data"))

    def load(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings(env_file=None)

    return load


def test_the_example_documents_every_setting_with_its_default() -> None:
    written = dict(re.findall(r"^#([A-Z_]+)=(.*)$", _EXAMPLE.read_text(), re.MULTILINE))
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}

    assert written.keys() == defaults.keys()
    for name, default in defaults.items():
        if default in (None, (), AllowedHosts()):
            assert written[name] == "", name
        else:
            assert type(default)(written[name]) == default, name


def test_nothing_has_to_be_set(load: Load, tmp_path: Path) -> None:
    settings = load()

    assert settings.embeds_postgres
    assert settings.embeds_redis
    assert settings.public_url == "http://localhost:8000"
    assert settings.postroom_data_dir == tmp_path / "data"


def test_embedded_secrets_are_made_once_and_readable_by_nobody_else(load: Load, tmp_path: Path) -> None:
    first, second = load(), load()

    assert first.secret_keys == second.secret_keys
    assert first.postroom_jwt_secret == second.postroom_jwt_secret
    assert len(first.secret_keys[0]) == 32
    files = list((tmp_path / "data" / "secrets").iterdir())
    assert {file.name for file in files} == {"keys", "jwt"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_lost_keys_of_a_used_data_folder_are_asked_for_not_replaced(load: Load, tmp_path: Path) -> None:
    load()
    (tmp_path / "data" / "postgres").mkdir()
    (tmp_path / "data" / "secrets" / "keys").unlink()

    with pytest.raises(SettingsError, match="POSTROOM_SECRET_KEYS"):
        load()


def test_given_keys_open_in_order_and_are_not_kept(load: Load, tmp_path: Path) -> None:
    settings = load(POSTROOM_SECRET_KEYS=f"{_OTHER_KEY}, {_KEY}", POSTROOM_JWT_SECRET="j" * 32)

    assert settings.secret_keys == (bytes(32), bytes(range(32)))
    assert not (tmp_path / "data").exists()


def test_an_own_database_needs_own_secrets(load: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        load(DATABASE_URL="postgresql://u:p@db/postroom")

    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "POSTROOM_SECRET_KEYS",
        "POSTROOM_JWT_SECRET or POSTROOM_JWKS_URL",
    ]
    assert load(**_EXTERNAL).database_url == "postgresql://u:p@db/postroom"


def test_every_wrong_variable_is_told_in_one_go_and_without_its_value(load: Load) -> None:
    wrong = {
        "DATABASE_URL": "mysql://root:hunter2@db/x",
        "REDIS_URL": "redis://host:hunter2",
        "POSTROOM_PORT": "hunter2",
        "POSTROOM_SECRET_KEYS": "hunter2",
        "POSTROOM_JWT_SECRET": "hunter2",
        "POSTROOM_PUBLIC_URL": "hunter2",
        "POSTROOM_ALLOWED_ORIGINS": "https://ok.example,hunter2",
        "POSTROOM_ALLOWED_PRIVATE_HOSTS": "10.0.0.1/8,hunter2!",
        "POSTROOM_POLL_INTERVAL_S": "0",
        "POSTROOM_BLOB_URL": "ftp://hunter2",
        "POSTROOM_RELAY_FROM": "hunter2",
    }
    with pytest.raises(SettingsError) as caught:
        load(**wrong)

    assert {problem.split(":")[0] for problem in caught.value.problems} == wrong.keys()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"GOOGLE_CLIENT_ID": "x"}, "GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"),
        ({"POSTROOM_RELAY_URL": "smtp://relay.example"}, "POSTROOM_RELAY_URL and POSTROOM_RELAY_FROM"),
        ({"POSTROOM_JWKS_URL": "https://id.example/keys"}, "POSTROOM_JWT_ISSUER and POSTROOM_JWT_AUDIENCE"),
        (
            {"POSTROOM_JWT_SECRET": "j" * 32, "POSTROOM_JWKS_URL": "https://id.example/keys"},
            "POSTROOM_JWT_SECRET and POSTROOM_JWKS_URL",
        ),
    ],
)
def test_settings_that_belong_together_or_exclude_each_other_are_checked(
    load: Load, given: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        load(**given)


def test_allowed_private_hosts_are_names_and_networks(load: Load) -> None:
    settings = load(POSTROOM_ALLOWED_PRIVATE_HOSTS="Mail.Corp.example., 10.0.0.0/8,fd00::/8 , 192.168.1.7")

    allowed = settings.postroom_allowed_private_hosts
    assert allowed.names == {"mail.corp.example"}
    assert [str(network) for network in allowed.networks] == ["10.0.0.0/8", "fd00::/8", "192.168.1.7/32"]


def test_no_secret_is_in_the_printed_form(load: Load) -> None:
    settings = load(**_EXTERNAL, REDIS_URL="redis://:s3cret@r", GOOGLE_CLIENT_ID="g", GOOGLE_CLIENT_SECRET="s3cret")

    assert "s3cret" not in repr(settings)
    assert "u:p@" not in repr(settings)
    assert "j" * 32 not in repr(settings)


def test_a_file_stands_under_the_environment(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("POSTROOM_PORT=9001\nPOSTROOM_HOST=0.0.0.0\n")
    load()
    monkeypatch.setenv("POSTROOM_PORT", "9002")

    settings = load_settings(env_file=tmp_path / ".env")

    assert (settings.postroom_port, settings.postroom_host) == (9002, "0.0.0.0")  # noqa: S104 - a value to compare

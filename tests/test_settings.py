"""What a deployment sets: names, where values come from, and what a wrong one is told."""

import base64
import re
from pathlib import Path

import pytest
import yaml

from settings import Settings, SettingsError, key_bytes, load_settings, variable_of

ROOT = Path(__file__).resolve().parent.parent
KEY = base64.b64encode(bytes(range(32))).decode()
COMPLETE = {
    "DATABASE_URL": "postgresql://u:hidden@127.0.0.1/x",
    "XUNJI_MASTER_KEY": KEY,
    "XUNJI_INDEX_KEY": KEY,
    "XUNJI_SIGNING_KEY": KEY,
    "XUNJI_LINK_KEY": KEY,
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests counts."""
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_of(field), raising=False)


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)


def write(path: Path, values: dict[str, str]) -> None:
    path.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))


def test_every_variable_has_the_prefix_but_three() -> None:
    bare = {variable_of(field) for field in Settings.model_fields if not variable_of(field).startswith("XUNJI_")}
    assert bare == {"DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}


@pytest.mark.usefixtures("complete")
def test_only_the_database_and_the_keys_are_required(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert key_bytes(settings.master_key) == bytes(range(32))
    assert (settings.temporal_address, settings.temporal_namespace) == ("127.0.0.1:7233", "default")
    assert (settings.task_queue, settings.clock, settings.webhook_allow_loopback) == ("xunji", "system", False)
    assert settings.state_dir == tmp_path


def test_each_missing_variable_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path)
    lines = str(refused.value).splitlines()
    assert [line.split()[0] for line in lines] == list(COMPLETE)
    assert "make demo" in lines[0]
    assert all("openssl rand -base64 32" in line and "secrets.env" in line for line in lines[1:])


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("XUNJI_MASTER_KEY", base64.b64encode(b"short").decode(), "holds 5 bytes instead of 32"),
        ("XUNJI_INDEX_KEY", "not base64!", "is not base64"),
        ("XUNJI_API_PORT", "70000", "less than or equal to 65535"),
        ("XUNJI_CLOCK", "sundial", "'system' or 'demo'"),
    ],
)
def test_a_wrong_value_is_named_and_a_secret_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path)
    message = str(refused.value)
    assert message.startswith(f"{variable}: ")
    assert said in message
    if "KEY" in variable:
        assert value not in message


def test_the_stacks_files_are_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "secrets.env", {name: value for name, value in COMPLETE.items() if "KEY" in name})
    write(tmp_path / "stack.env", {"DATABASE_URL": "postgresql://from-the-file/x", "TEMPORAL_ADDRESS": "h:1"})
    settings = load_settings(tmp_path)
    assert settings.database_url.get_secret_value() == "postgresql://from-the-file/x"
    assert settings.temporal_address == "h:1"
    monkeypatch.setenv("TEMPORAL_ADDRESS", "h:2")
    assert load_settings(tmp_path).temporal_address == "h:2"
    assert load_settings(tmp_path, temporal_address="h:3").temporal_address == "h:3"


def test_the_owner_of_the_local_stack_is_not_taken_for_that_of_another_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path / "secrets.env", {name: value for name, value in COMPLETE.items() if "KEY" in name})
    local = {
        "DATABASE_URL": "postgresql://service@local/x",
        "XUNJI_MIGRATION_DATABASE_URL": "postgresql://owner@local/x",
    }
    write(tmp_path / "stack.env", local)
    assert load_settings(tmp_path).owner_database_url() == "postgresql://owner@local/x"
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/x")
    assert load_settings(tmp_path).owner_database_url() == "postgresql://elsewhere/x"
    monkeypatch.setenv("XUNJI_MIGRATION_DATABASE_URL", "postgresql://owner@elsewhere/x")
    assert load_settings(tmp_path).owner_database_url() == "postgresql://owner@elsewhere/x"


def test_the_state_directory_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path / "secrets.env", COMPLETE)
    monkeypatch.setenv("XUNJI_STATE_DIR", str(tmp_path))
    assert load_settings().state_dir == tmp_path


@pytest.mark.usefixtures("complete")
def test_no_secret_shows_in_the_text_of_the_settings(tmp_path: Path) -> None:
    shown = repr(load_settings(tmp_path)) + str(load_settings(tmp_path).model_dump())
    assert KEY not in shown
    assert "hidden" not in shown


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|required) \|", (ROOT / "docs/settings.md").read_text(), re.M)
    documented = {variable: default or None for variable, default in rows}
    assert documented == {
        variable_of(name): None if field.is_required() else str(field.default).lower() or None
        for name, field in Settings.model_fields.items()
    }


def test_the_containers_set_only_what_exists() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    known = {variable_of(name) for name in Settings.model_fields} | {"PGPASSWORD"}
    assert set(compose["x-xunji"]["environment"]) <= known
    required = {variable_of(name) for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= set(compose["x-xunji"]["environment"])


def test_the_image_holds_every_package_that_the_processes_import() -> None:
    kept = set(re.findall(r"^!([\w/]+)$", (ROOT / ".dockerignore").read_text(), re.M))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "docgen"}
    assert packages <= kept

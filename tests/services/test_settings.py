"""Settings: where values come from, what bad ones say, and that secrets stay hidden."""

import stat

import pytest

from contracts.errors import InvalidInput
from services import settings


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    for name in [settings.variable_of(field) for field in settings.Settings.model_fields]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(settings.CONFIG_VARIABLE, raising=False)
    monkeypatch.setenv("PATCHWRIGHT_DATA_DIR", str(tmp_path))


def origins(effective):
    return {value.name: value.origin for value in settings.effective_values(effective)}


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(monkeypatch, tmp_path):
    (tmp_path / "config.yaml").write_text("port: 7001\nhost: 127.0.0.2\nlimits:\n  memory_mib: 512\n")
    monkeypatch.setenv("PATCHWRIGHT_PORT", "7002")
    monkeypatch.setenv("PATCHWRIGHT_LIMITS__CPUS", "1.5")
    effective = settings.load()
    assert (effective.port, effective.host, effective.limits.memory_mib, effective.limits.cpus) == (7002, "127.0.0.2", 512, 1.5)
    found = origins(effective)
    assert (found["port"], found["host"], found["task_queue"]) == ("environment", "file", "default")
    assert (found["limits.memory_mib"], found["limits.cpus"], found["limits.disk_mib"]) == ("file", "environment", "default")


def test_a_toml_file_can_be_named(monkeypatch, tmp_path):
    file = tmp_path / "other.toml"
    file.write_text('task_queue = "elsewhere"\n[models]\nplanner = "big"\n')
    monkeypatch.setenv("PATCHWRIGHT_CONFIG", str(file))
    effective = settings.load()
    assert effective.task_queue == "elsewhere"
    assert effective.models_for("planner") == "big"
    assert settings.config_file(effective) == file


@pytest.mark.parametrize(("variable", "value", "told"), [
    ("PATCHWRIGHT_PORT", "many", "0 to 65535"),
    ("PATCHWRIGHT_MODELS", "planner=x", "as JSON"),
    ("PATCHWRIGHT_TOKEN", "tiny", "at least 16 characters"),
    ("PATCHWRIGHT_MODEL_API", "soap", "auto, responses or chat"),
    ("OPENAI_BASE_URL", "localhost:1234", "http://"),
    ("PATCHWRIGHT_LIMITS__CPUS", "-1", "greater than 0"),
    ("PATCHWRIGHT_CONFIG", "/no/such/file.yaml", "YAML or TOML"),
])
def test_a_bad_value_names_its_variable_and_says_what_to_write(monkeypatch, variable, value, told):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as failure:
        settings.load()
    assert variable in str(failure.value)
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_misspelt_key_in_the_file_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("prot: 7001\n")
    with pytest.raises(InvalidInput, match="prot"):
        settings.load()


def test_a_misspelt_variable_is_noticed(monkeypatch):
    monkeypatch.setenv("PATCHWRIGHT_PROT", "1")
    monkeypatch.setenv("PATCHWRIGHT_LIMITS__CPUS", "1")
    assert settings.unknown_variables() == ["PATCHWRIGHT_PROT"]


def test_no_secret_is_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret")
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", "another-very-secret-one")
    monkeypatch.setenv("PATCHWRIGHT_DATABASE_URL", "postgresql+asyncpg://pat:hush-hush@db/x")
    effective = settings.load()
    shown = repr(settings.effective_values(effective)) + repr(effective.openai_api_key)
    assert "verysecret" not in shown
    assert "very-secret" not in shown
    assert "hush-hush" not in shown
    assert origins(effective)["openai_api_key"] == "environment"
    assert effective.openai_api_key.get_secret_value() == "sk-verysecret"


def test_a_bad_secret_is_not_repeated_in_the_message(monkeypatch):
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", "hush")
    with pytest.raises(InvalidInput) as failure:
        settings.load()
    assert "hush" not in str(failure.value)


def test_the_token_is_made_once_and_readable_by_its_owner_only(tmp_path):
    first, second = settings.load().access_token(), settings.load().access_token()
    assert first == second
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_the_database_is_in_the_data_folder_unless_told_otherwise(tmp_path):
    assert settings.load().database_url == f"sqlite+aiosqlite:///{tmp_path}/patchwright.db"
    assert settings.load(data_dir="/elsewhere").database_url == "sqlite+aiosqlite:////elsewhere/patchwright.db"


def test_models_are_found_by_agent_then_alias_then_default():
    effective = settings.load(model_default="plain", models={"coder": "fast", "thinker": "big"})
    assert effective.models_for("coder") == "fast"
    assert effective.models_for("planner", "thinker") == "big"
    assert effective.models_for("planner", "named-by-card") == "named-by-card"
    assert effective.models_for("planner") == "plain"


def test_isolated_settings_ignore_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PATCHWRIGHT_PORT", "7002")
    (tmp_path / "config.yaml").write_text("task_queue: elsewhere\n")
    effective = settings.IsolatedSettings(data_dir=tmp_path)
    assert (effective.port, effective.task_queue) == (7080, "patchwright")

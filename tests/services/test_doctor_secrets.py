"""The doctor says which secret cannot be read, before somebody waits for a webhook in vain."""

from pathlib import Path

import pytest

from services.doctor import Standing, _secrets
from services.settings import IsolatedSettings


@pytest.fixture
def settings(tmp_path: Path) -> IsolatedSettings:
    return IsolatedSettings(
        data_dir=tmp_path,
        forges={"github.com": {"kind": "github", "app_id": "1", "app_key_file": str(tmp_path / "key")},
                "gitlab.com": {"kind": "gitlab", "token_file": str(tmp_path / "token")}},
        webhooks={"github": {"secrets": [{"file": str(tmp_path / "old")}, {"file": str(tmp_path / "new")}]}},
        tickets={"linear": {"token_variable": "OUR_LINEAR"}},
    )


async def test_each_secret_that_cannot_be_read_is_named_with_what_to_do(settings: IsolatedSettings, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "old").write_text("o")
    found = {one.name: one for one in await _secrets(settings)}
    assert {name: one.standing for name, one in found.items()} == {
        "forge github.com": Standing.OK, "forge gitlab.com": Standing.MISSING, "tickets linear": Standing.MISSING,
        "webhooks github": Standing.MISSING}
    assert str(tmp_path / "new") in found["webhooks github"].text and "OUR_LINEAR" in found["tickets linear"].text
    assert all(one.remedy for one in found.values() if one.standing is Standing.MISSING)


async def test_secrets_that_are_there_are_said_to_be(
    settings: IsolatedSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("key", "token", "old", "new"):
        (tmp_path / name).write_text("x")
    monkeypatch.setenv("OUR_LINEAR", "x")
    assert {one.standing for one in await _secrets(settings)} == {Standing.OK}
    (tmp_path / "new").write_text("\n")
    assert [one.name for one in await _secrets(settings) if one.standing is Standing.MISSING] == ["webhooks github"]

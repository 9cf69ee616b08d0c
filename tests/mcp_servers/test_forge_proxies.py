"""API and git go through the proxy that is named for a host, with its login, over TLS with certificates of one's own."""

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.ci import CiState
from contracts.errors import ForgeUnavailable, PatchwrightError
from services import mcp_wiring
from services.settings import IsolatedSettings
from tests.fakes.certificates import own_certificate
from tests.fakes.forge_places import PRIVATE_KEY, GitHubPlace, GitLabPlace, Workbench
from tests.fakes.forge_server import ForgeServer
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.proxy import SeenProxy, proxy

KINDS = {"github": FakeGitHub, "gitlab": FakeGitLab}
LOGIN = "way:out/s3cret@x"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def own_host(kind: str, folder: Path, tls: bool = True, **access: Any) -> Iterator[Any]:
    """A forge of one's own, as the settings name it."""
    server, trusted = own_certificate(folder)
    with ForgeServer(KINDS[kind](folder / "srv"), server if tls else None) as fake:
        place: Any = GitHubPlace(folder, fake) if isinstance(fake, FakeGitHub) else GitLabPlace(folder, fake)
        secret = folder / "secret"
        secret.write_text(PRIVATE_KEY if kind == "github" else FakeGitLab.token)
        credential = {"app_id": "7", "app_key_file": str(secret)} if kind == "github" else {"token_file": str(secret)}
        told = {"kind": kind, "api_url": fake.url, "seconds_between_writes": 0, **credential, **access}
        if tls:
            told["ca_file"] = str(trusted)
        settings = IsolatedSettings.model_validate({"data_dir": folder / "data", "forges": {place.host: told}})
        place.forge = mcp_wiring.hosted_forge(settings, place.host)
        yield place


async def used(place: Any, folder: Path) -> None:
    """API and git, reads and writes, and a log that GitHub keeps elsewhere."""
    place.server.ci.check("tests")
    bench = Workbench(folder, place, place.forge.git_access)
    made = await bench.publish(bench.commit("one\n"))
    await place.forge.keep_comment(made.id, "status", "Working.")
    place.server.ci.settled()
    told = await place.forge.ci(made.id)
    assert told.state is CiState.PASSED
    assert (await place.forge.job_log(made.id, told.checks[0])).text == "all is well\n"


@pytest.mark.parametrize("kind", KINDS)
async def test_tls_with_own_certificates_through_a_proxy_that_wants_a_login(kind: str, tmp_path: Path, seen_everywhere: Any):
    (tmp_path / "login").write_text(LOGIN + "\n")
    with (
        proxy(LOGIN) as way,
        own_host(kind, tmp_path, proxy=way.address, proxy_login_file=str(tmp_path / "login")) as place,
    ):
        await used(place, tmp_path)
        through = [one for one in place.server.seen if not one.path.endswith(".git/HEAD")]
        assert way.passed and {one.removeprefix("CONNECT ") for one in way.passed} == {place.host}
        assert len(way.passed) >= 4 and any("git-receive-pack" in one.path for one in through)
    assert not seen_everywhere("s3cret")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_host_without_tls_through_a_proxy(kind: str, tmp_path: Path):
    with proxy() as way, own_host(kind, tmp_path, tls=False, proxy=way.address) as place:
        await used(place, tmp_path)
        assert len(way.passed) == len(place.server.seen), "everything, and nothing beside it"
        assert any("git-receive-pack" in one for one in way.passed)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_machines_proxy_and_its_exceptions_count_where_none_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with proxy() as way, own_host(kind, tmp_path) as place:
        monkeypatch.setenv("HTTPS_PROXY", way.address)
        monkeypatch.setenv("https_proxy", way.address)
        await used(place, tmp_path)
        assert way.passed
        before = len(way.passed)
        monkeypatch.setenv("NO_PROXY", "localhost")
        monkeypatch.setenv("no_proxy", "localhost")
        assert await place.forge.find(place.remote, "patchwright/other") is None
        assert subprocess_sees(place) and len(way.passed) == before


@pytest.mark.parametrize("kind", KINDS)
async def test_a_named_proxy_goes_before_the_machines_and_its_exceptions(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with proxy() as named, proxy() as machines, own_host(kind, tmp_path, tls=False, proxy=named.address) as place:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, machines.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "localhost,127.0.0.1")
        await used(place, tmp_path)
        assert len(named.passed) == len(place.server.seen) and not machines.passed


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_login_is_said_without_showing_it(kind: str, tmp_path: Path, seen_everywhere: Any):
    (tmp_path / "login").write_text("way:wr0ng")
    with (
        proxy(LOGIN) as way,
        own_host(kind, tmp_path, proxy=way.address, proxy_login_file=str(tmp_path / "login")) as place,
    ):
        with pytest.raises(ForgeUnavailable) as away:
            await place.forge.find(place.remote, "x")
        bench = Workbench(tmp_path, place, lambda _: {**git_of(place, way)})
        with pytest.raises(PatchwrightError) as refused:
            bench.commit("one\n")
        for told in (away.value.message, refused.value.message):
            assert "wr0ng" not in told
    assert not seen_everywhere("wr0ng")


def git_of(place: Any, way: SeenProxy) -> dict[str, str]:
    """What git is told, its credential apart: making one would ask the API."""
    key = f"http.{place.server.url}/.proxy"
    wrong = way.address.replace("://", "://way:wr0ng@")
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": wrong, "no_proxy": "", "NO_PROXY": ""}


def subprocess_sees(place: Any) -> bool:
    """Whether git is left to the machine's variables."""
    return not [value for value in place.forge.git_access(place.remote).values() if value.endswith(".proxy")]


@pytest.fixture
def seen_everywhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """Whether a secret was in a log or on a command line."""
    commands: list[str] = []
    started = subprocess.Popen.__init__

    def watched(self: Any, args: Any, *more: Any, **options: Any) -> None:
        commands.append(" ".join(map(str, args)))
        started(self, args, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    caplog.set_level(logging.DEBUG)
    return lambda secret: secret in caplog.text or any(secret in command for command in commands)


def test_a_login_in_the_settings_is_refused():
    told = {"kind": "gitlab", "token_variable": "T", "proxy": "http://user:secret@proxy.example:3128"}
    with pytest.raises(ValueError, match="proxy_login_file"):
        IsolatedSettings.model_validate({"forges": {"gitlab.example.com": told}})

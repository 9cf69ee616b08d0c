"""What compose would start is what the code needs: each role with its own secrets and volumes, on loopback, images pinned."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.mcp_lock import THIRD_PARTY
from services.ledger.serving import DRAIN_SECONDS
from services.mcp_wiring import MCP_SERVERS
from services.process import LENDER, MCP, OPTIONAL_ROLES, ROLES
from services.settings import CONFIG_VARIABLE, IsolatedSettings, Settings, variable_of
from services.temporal_server import SEARCH_ATTRIBUTES

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yaml").read_text()
WHOLE = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = WHOLE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("command", [""])[0] == "serve"}
EXAMPLE = (ROOT / "deploy" / "compose.env.example").read_text()
SECRETS = {
    "OPENAI_API_KEY": {"ledger"},
    "PATCHWRIGHT_TOKEN": {"api"},
    "PATCHWRIGHT_LEDGER_TOKEN": {"ledger", "worker"},
    "PATCHWRIGHT_MCP_TOKEN": {"worker", "mcp-fs", "mcp-repo", "mcp-code-search", "mcp-runner", "mcp-http",
                              "mcp-third-party"},
    "SECRETS_REPO_TOKEN": {"mcp-repo", "mcp-secrets"},
    "SECRETS_LEDGER_TOKEN": {"ledger", "mcp-secrets"},
    "SECRETS_API_TOKEN": {"api", "mcp-secrets"},
    "POSTGRES_PASSWORD": {"postgres", "temporal", "worker", "api"},
}

PINS = {"/etc/patchwright/pins": "${THIRD_PARTY_PINS:-./deploy/pins}:ro"}
EGRESS = "${EGRESS_DIR:-/var/lib/patchwright-egress}"
CONFIGURED = {"/etc/patchwright/config.yaml": "${CONFIG_FILE:-./deploy/compose.config.yaml}:ro"}


def mounted(name: str) -> dict[str, str]:
    """What a service has mounted: place to volume, read-only ones with ``:ro``."""
    volumes = SERVICES[name].get("volumes", [])
    split = [re.split(r":(?!-)", volume) for volume in volumes]
    return {place: ":".join([source, *rights]) for source, place, *rights in split}


def seconds(said: str) -> float:
    """``30s`` as a number."""
    return timedelta(seconds=float(said.removesuffix("s"))).total_seconds()


def test_each_role_of_the_code_is_a_service_of_that_name():
    assert set(OURS) == {*ROLES, *OPTIONAL_ROLES}
    assert {name for name, service in OURS.items() if "profiles" in service} == set(OPTIONAL_ROLES)
    assert all(service["command"] == ["serve", name] for name, service in OURS.items())


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_given_to_those_who_need_it_and_to_nobody_else(secret: str):
    holders = {name for name, service in SERVICES.items() if "${" + secret + ":" in json.dumps(service)}
    assert holders == SECRETS[secret]
    assert secret in EXAMPLE


def test_only_the_ledger_knows_where_models_are():
    assert [name for name, service in SERVICES.items() if "OPENAI_" in json.dumps(service)] == ["ledger"]


def test_each_role_has_the_volumes_of_its_own_privilege():
    assert {name: mounted(name) for name in OURS} == {
        "ledger": {"/data": "ledger"},
        "mcp-fs": {"/data/mirrors": "mirrors"},
        "mcp-repo": {"/data": "forge", "/data/mirrors": "mirrors", **CONFIGURED,
                     "/etc/patchwright/forges": "${FORGE_SECRETS:-./deploy/secrets/forges}:ro"},
        "mcp-code-search": {"/data/mirrors": "mirrors:ro", "/data/code-index": "code-index"},
        "mcp-runner": {"/data/mirrors": "mirrors", "/data/dependencies": "dependencies",
                       "/var/run/docker.sock": "${DOCKER_SOCKET:-/var/run/docker.sock}"},
        "mcp-secrets": {"/data/secrets": "secrets", **CONFIGURED,
                        "/etc/patchwright/secrets": "${LENT_SECRETS:-./deploy/secrets/lent}:ro"},
        "mcp-http": {"/data/pages": "pages", **CONFIGURED},
        "mcp-third-party": {**CONFIGURED,
                            "/etc/patchwright/third-party": "${THIRD_PARTY_SECRETS:-./deploy/secrets/third-party}:ro",
                            **PINS, EGRESS: EGRESS, "/var/run/docker.sock": "${DOCKER_SOCKET:-/var/run/docker.sock}"},
        "worker": {"/data/artifacts": "artifacts", "/data/evidence": "evidence", **CONFIGURED, **PINS},
        "api": {"/data": "forge", "/data/mirrors": "mirrors:ro", "/data/artifacts": "artifacts",
                "/data/evidence": "evidence", **CONFIGURED,
                "/etc/patchwright/webhooks": "${WEBHOOK_SECRETS:-./deploy/secrets/webhooks}:ro"},
    }
    dockerfile = (ROOT / "deploy" / "service" / "Dockerfile").read_text()
    for place in {place for name in OURS for place in mounted(name) if place.startswith("/data")}:
        assert re.search(rf"install -d -o patchwright .*{place}(\s|$)", dockerfile), f"a new volume at {place} would be root's"


def test_only_the_ledger_and_those_who_serve_people_or_remotes_have_a_way_out():
    assert {name for name, network in WHOLE["networks"].items() if not (network or {}).get("internal")} == {"outside"}
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == {
        "ledger", "mcp-repo", "mcp-http", "mcp-third-party", "mcp-secrets", "api", "temporal-ui"}


def test_the_lender_of_secrets_meets_its_holders_alone():
    met = {name for name, service in SERVICES.items() if "lending" in service["networks"]}
    assert met == {LENDER, "mcp-repo", "ledger", "api"}
    assert set(json.loads(SERVICES[LENDER]["environment"]["PATCHWRIGHT_SECRET_TOKENS"])) == {"repo", "ledger", "api"}
    for name in ("mcp-repo", "ledger", "api"):
        assert json.loads(SERVICES[name]["environment"]["PATCHWRIGHT_MCP_URLS"]) == {"secrets": f"http://{LENDER}:7341/mcp"}


def test_the_worker_is_told_where_everybody_is():
    told = SERVICES["worker"]["environment"]
    urls = {name: f"http://{MCP}{name.replace('_', '-')}:7341/mcp" for name in (*MCP_SERVERS, "http", THIRD_PARTY)}
    assert json.loads(told["PATCHWRIGHT_MCP_URLS"]) == urls
    assert told["PATCHWRIGHT_LEDGER_URL"] == f"http://ledger:{SERVICES['ledger']['environment']['PATCHWRIGHT_LEDGER_PORT']}/v1"
    for name in urls:
        role = MCP + name.replace("_", "-")
        assert SERVICES[role]["environment"]["PATCHWRIGHT_MCP_PORT"] == "7341"
        assert set(SERVICES[role]["networks"]) & set(SERVICES["worker"]["networks"]) == {"tools"}


def test_every_setting_of_a_role_is_one_of_the_code():
    known = {variable_of(field) for field in Settings.model_fields} | {CONFIG_VARIABLE}
    for name, service in OURS.items():
        assert {variable for variable in service["environment"] if variable.startswith("PATCHWRIGHT_")} <= known, name


def test_the_configuration_is_empty_at_first_and_its_example_is_one_whose_secrets_are_mounted():
    text = (ROOT / "deploy" / "compose.config.yaml").read_text()
    assert yaml.safe_load(text) is None
    example = re.sub(r"^# ?", "", text.split("#\n", 1)[1], flags=re.MULTILINE)
    settings = IsolatedSettings(**yaml.safe_load(example))
    assert all(access.app_key_file.startswith("/etc/patchwright/forges/") for access in settings.forges.values())
    secrets = [secret.file for access in settings.webhooks.values() for secret in access.secrets]
    assert secrets and all(file.startswith("/etc/patchwright/webhooks/") for file in secrets)
    for name in ("api", "worker", "mcp-repo", LENDER):
        assert OURS[name]["environment"][CONFIG_VARIABLE] in mounted(name)


def test_every_role_is_watched_started_again_and_given_time_to_stop():
    for name, service in OURS.items():
        assert "test" in service["healthcheck"] and service["restart"] == "unless-stopped" and service["init"], name
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        assert "stop_grace_period" in service
    drains = float(SERVICES["worker"]["environment"]["PATCHWRIGHT_DRAIN_SECONDS"])
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= drains + 15
    assert seconds(SERVICES["ledger"]["stop_grace_period"]) > DRAIN_SECONDS


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_tag_that_does_not_move(name):
    tag = SERVICES[name]["image"].partition(":")[2]
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?|dev", tag)
    assert tag != "dev" or SERVICES[name]["build"]["dockerfile"] == "deploy/service/Dockerfile"


def test_every_port_is_on_loopback():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_stands_in_the_file_or_its_example():
    for name, value in re.findall(r"^\s+(\w*(?:PASSWORD|PWD|TOKEN|API_KEY)): (.+)$", COMPOSE, re.MULTILINE):
        assert value.startswith("${"), f"{name} is written out"
    assert dict(re.findall(r"^(\w*(?:PASSWORD|TOKEN|KEY))=(.*)$", EXAMPLE, re.MULTILINE)) == dict.fromkeys(SECRETS, "")


def test_the_example_names_every_variable_that_the_file_takes():
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE)) == set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))


def test_the_search_attributes_are_those_of_the_code():
    script = SERVICES["search-attributes"]["entrypoint"][-1]
    assert tuple(re.findall(r"Patchwright\w+", script)) == SEARCH_ATTRIBUTES
    for role in ("worker", "api"):
        assert SERVICES[role]["depends_on"]["search-attributes"]["condition"] == "service_completed_successfully"


def test_whatever_others_wait_for_has_a_health_check():
    waited = {
        name
        for service in SERVICES.values()
        for name, on in service.get("depends_on", {}).items()
        if on["condition"] == "service_healthy"
    }
    assert waited == {"postgres", "temporal", *(set(ROLES) - {"worker", "api"})}
    assert all("test" in SERVICES[name]["healthcheck"] for name in waited)
    assert "HEALTHCHECK" in (ROOT / "deploy" / "service" / "Dockerfile").read_text()


def test_compose_itself_can_read_the_file(tmp_path: Path):
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("There is no docker-compose on this machine.")
    filled = re.sub(r"^(\w+)=$", r"\1=0123456789abcdef", EXAMPLE, flags=re.MULTILINE)
    (tmp_path / "env").write_text(filled)
    said = subprocess.run(
        [program, "--env-file", str(tmp_path / "env"), "config", "--services"], cwd=ROOT, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert set(said.stdout.split()) == set(SERVICES)


def test_the_image_holds_every_room_that_runs():
    dockerfile = (ROOT / "deploy" / "service" / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    for room in ("agents", "contracts", "workflows", "activities", "mcp_servers", "services"):
        assert f"COPY {room} {room}" in dockerfile
        assert f"!{room}" in ignored.splitlines()

"""What compose would start is what the code needs, on loopback, with pinned images and no secret in the file."""

import re
from pathlib import Path

import pytest
import yaml

from services.temporal_server import SEARCH_ATTRIBUTES

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
EXAMPLE = (ROOT / "deploy" / "compose.env.example").read_text()


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
    assert re.findall(r"^(\w*(?:PASSWORD|TOKEN|KEY))=(.*)$", EXAMPLE, re.MULTILINE) == [
        ("POSTGRES_PASSWORD", ""),
        ("PATCHWRIGHT_TOKEN", ""),
        ("OPENAI_API_KEY", ""),
    ]


def test_the_example_names_every_variable_that_the_file_takes():
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE)) == set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))


def test_the_search_attributes_are_those_of_the_code():
    script = SERVICES["search-attributes"]["entrypoint"][-1]
    assert tuple(re.findall(r"Patchwright\w+", script)) == SEARCH_ATTRIBUTES
    assert SERVICES["patchwright"]["depends_on"]["search-attributes"]["condition"] == "service_completed_successfully"


def test_whatever_others_wait_for_has_a_health_check():
    waited = {
        name
        for service in SERVICES.values()
        for name, on in service.get("depends_on", {}).items()
        if on["condition"] == "service_healthy"
    }
    assert waited == {"postgres", "temporal"}
    assert all("test" in SERVICES[name]["healthcheck"] for name in waited)
    assert "HEALTHCHECK" in (ROOT / "deploy" / "service" / "Dockerfile").read_text()


def test_the_image_holds_every_room_that_runs():
    dockerfile = (ROOT / "deploy" / "service" / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    for room in ("agents", "contracts", "workflows", "activities", "mcp_servers", "services"):
        assert f"COPY {room} {room}" in dockerfile
        assert f"!{room}" in ignored.splitlines()

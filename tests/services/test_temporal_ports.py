"""The embedded Temporal server where somebody else has a port: ours, or one that it takes for itself."""

import socket
from pathlib import Path

import pytest

from contracts.errors import Conflict
from services import temporal_server
from services.worker import connect

TAKEN = '{"level":"FATAL","message":"listen tcp 127.0.0.1:37465: bind: address already in use"}'


async def test_it_starts_again_when_a_port_of_its_own_was_taken_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = temporal_server.temporal_binary(), tmp_path / "begun"
    unlucky = tmp_path / "temporal"
    unlucky.write_text(f"#!/bin/sh\n[ -e {begun} ] && exec {real} \"$@\"\ntouch {begun}\necho '{TAKEN}'\nexit 1\n")
    unlucky.chmod(0o755)
    monkeypatch.setattr(temporal_server, "temporal_binary", lambda: unlucky)
    async with temporal_server.temporal_server(tmp_path / "temporal.db", "default") as server:
        await connect(server.address, "default")
    assert begun.exists()


async def test_a_port_that_stays_taken_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as others:
        port = others.getsockname()[1]
        with pytest.raises(Conflict, match=f"did not start on port {port}.*PATCHWRIGHT_TEMPORAL_PORT"):
            async with temporal_server.temporal_server(tmp_path / "temporal.db", "default", port):
                raise AssertionError("it started")

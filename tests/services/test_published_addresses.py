"""Behind a proxy and beside a Temporal cluster of one's own, links name the addresses that people can open."""

import pytest

from services.temporal_server import temporal_server
from tests.fakes.stack import WritesFiles, remote, running

PUBLIC = "https://patchwright.example.com"
TEMPORAL_UI = "https://temporal.example.com"


@pytest.mark.slow
async def test_links_name_the_addresses_that_the_operator_published(tmp_path):
    repository = remote(tmp_path, {"README.md": "hello\n"})
    async with temporal_server(tmp_path / "temporal.db", "default") as cluster:
        published = {"public_url": PUBLIC, "temporal_address": cluster.address, "temporal_ui_url": TEMPORAL_UI}
        async with running(tmp_path / "data", WritesFiles(), **published) as service:
            for host, answered in (("patchwright.example.com", 200), ("elsewhere.example.com", 421)):
                assert (await service.http.get("/healthz", headers={"host": host})).status_code == answered
            task = await service.submit(repository, description="write NOTES.md: hello")
            shown = await service.until(task, "awaiting_review")
            assert shown["pull_request"]["url"].startswith(f"{PUBLIC}/prs/")
            assert shown["workflow"]["url"].startswith(f"{TEMPORAL_UI}/namespaces/default/workflows/{task}/")

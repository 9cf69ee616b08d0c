"""Stoplight's Prism as a judge between us and a fake GitHub: it holds every request and answer to GitHub's description."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fakes.forge_server import FakeForge
from tests.fakes.node import free_port, package, serving

REFERENCE = re.compile(r'"#/components/([^"/]+)/([^"]+)"')
SPOKEN = re.compile(
    r"/(app|user)|/app/installations/\{installation_id\}/access_tokens"
    r"|/repos/\{owner\}/\{repo\}/(installation|check-runs.*|pulls(/\{pull_number\}(/reviews|/requested_reviewers"
    r"|/comments(/\{comment_id\}/replies)?)?)?|issues(/\{issue_number\}(/(comments|labels|events))?|/comments/\{comment_id\})?"
    r"|commits/\{ref\}/(check-runs|status)|statuses/\{sha\}|collaborators/\{username\}/permission|(rules/)?branches/\{branch\}"
    r"|actions/jobs/\{job_id\}/(logs|rerun)|actions/workflows(/\{workflow_id\}/(runs|dispatches))?|contents/\{path\})"
)
"""The paths that we speak: reading all 12 MB of the description would take Prism a minute."""


def description() -> dict[str, Any]:
    """GitHub's OpenAPI description, cut to the paths we speak and what they refer to."""
    whole = json.loads((package("@octokit/openapi") / "generated" / "api.github.com.json").read_text())
    paths = {path: told for path, told in whole["paths"].items() if SPOKEN.fullmatch(path)}
    wanted, components = set(REFERENCE.findall(json.dumps(paths))), {}
    while wanted:
        kind, name = wanted.pop()
        components.setdefault(kind, {})[name] = whole["components"][kind][name]
        found = REFERENCE.findall(json.dumps(whole["components"][kind][name]))
        wanted |= {(k, n) for k, n in found if n not in components.get(k, {})}
    return {"openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": components}


@contextlib.contextmanager
def judged(forge: FakeForge, folder: Path) -> Iterator[None]:
    """Every REST request goes through Prism; what it finds is in ``forge.violations``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "github.json").write_text(json.dumps(description()))
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["proxy", "github.json", forge.url, "--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    with serving(package("@stoplight/prism-cli") / "dist" / "index.js", arguments, f"{url}/app", folder / "prism.log"):
        forge.seen.clear()
        # The description leaves out that GitHub says 304 wherever it is asked with an ETag.
        forge.validator, forge.etags = url, False
        yield
        forge.validator, forge.etags = "", True

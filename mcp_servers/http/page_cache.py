"""Pages that were read lately, on disk: one JSON file per address, named after its digest."""

import json
import os
import tempfile
import time
from pathlib import Path

from contracts.artifact import digest
from mcp_servers.http.reading import Page

KEEP_SECONDS = 24 * 3_600.0
MOST_PAGES = 2_000


class PageCache:
    """A folder of pages. Whatever is broken in it counts as not there."""

    def __init__(self, folder: Path, keep_seconds: float = KEEP_SECONDS, most_pages: int = MOST_PAGES) -> None:
        self._folder = folder
        self._keep_seconds = keep_seconds
        self._most_pages = most_pages

    def page(self, url: str) -> Page | None:
        """The page that was kept for an address, while it is young enough."""
        path = self._path(url)
        try:
            if time.time() - path.stat().st_mtime > self._keep_seconds:
                return None
            kept = json.loads(path.read_bytes())
            return Page(**kept["page"]) if kept["asked"] == url else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, url: str, page: Page) -> None:
        """Keep a page for an address; the oldest ones go when there are too many."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"asked": url, "page": vars(page)}, file)
        Path(temporary).replace(self._path(url))
        self._forget()

    def _forget(self) -> None:
        pages = list(self._folder.glob("*.json"))
        if len(pages) <= self._most_pages:
            return
        for path in sorted(pages, key=lambda path: path.stat().st_mtime)[: len(pages) - self._most_pages * 9 // 10]:
            path.unlink(missing_ok=True)

    def _path(self, url: str) -> Path:
        return self._folder / f"{digest(url.encode())}.json"

"""Where the routes of a fake GitHub are kept, and how its lists are cut into pages."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.fakes.forge_server import Asked, Routes, Told

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub

ROUTES = Routes()
PULLS, ISSUES = ("pull_requests", "write"), ("issues|pull_requests", "write")
READS_PULLS, READS_ISSUES = ("pull_requests", "read"), ("issues|pull_requests", "read")


def paged(fake: "FakeGitHub", asked: Asked, items: list[Any], key: str = "", **more: Any) -> Told:
    """One page, with the link to the next."""
    size, page = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
    some = items[(page - 1) * size : page * size]
    left = len(items) > page * size
    following = urlencode(asked.query | {"page": str(page + 1)})
    headers = {"Link": f'<{fake.url}{asked.path}?{following}>; rel="next"'} if left else {}
    return Told(200, {**more, key: some, "total_count": len(items)} if key else some, headers)


def by_update(asked: Asked, items: list[Any]) -> list[Any]:
    """Sorted as the request wants it; the newest first unless it says otherwise."""
    field = "updated_at" if asked.query.get("sort") == "updated" else "created_at"
    return sorted(items, key=lambda one: getattr(one, field), reverse=asked.query.get("direction", "desc") == "desc")

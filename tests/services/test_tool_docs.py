"""The tools page is what the servers say today."""

from pathlib import Path

from services.tool_docs import page

DOCS = Path(__file__).parents[2] / "docs" / "tools.md"


async def test_the_tools_page_is_what_the_servers_the_cards_and_the_contracts_say_today() -> None:
    assert DOCS.read_text() == await page(), "run: python -m services.tool_docs > docs/tools.md"

"""The answer of ``search_code``: each piece with its place, the reason, and the few lines that say most."""

from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.retrieval import Answer, ranked
from mcp_servers.code_search.words import words

SHOWN_LINES = 9
_MAX_LINE = 160


def search_code(snapshot: Snapshot, query: str, limit: int = 10) -> tuple[str, dict]:
    """The text for a model, and the same as data."""
    found = ranked(snapshot, query, limit)
    if not found:
        text = f"Nothing matches {query!r}. Use other words for it, look at repo_map, or search_text for an exact text."
        return text, {"results": []}
    blocks, data = [], []
    for number, answer in enumerate(found, 1):
        snippet = excerpt(snapshot, answer)
        what = f"  {answer.kind} {answer.name}" if answer.name else ""
        blocks.append(f"{number}. {answer.path}:{answer.start_line}-{answer.end_line}{what}\n   matches {answer.why}\n{snippet}")
        data.append({"path": answer.path, "start_line": answer.start_line, "end_line": answer.end_line, "kind": answer.kind,
                     "name": answer.name, "score": answer.score, "why": answer.why, "snippet": snippet})
    return "\n\n".join(blocks), {"results": data}


def excerpt(snapshot: Snapshot, answer: Answer, shown: int = SHOWN_LINES) -> str:
    """The head of a piece and the lines with most of the words, numbered, in order."""
    lines = snapshot.text(answer.path).split("\n")[answer.start_line - 1:answer.end_line]
    wanted = set(answer.terms)
    keep = {0, 1} if len(lines) > 1 else {0}
    telling = sorted(range(len(lines)), key=lambda i: (-len(wanted.intersection(words(lines[i]))), i))
    for line in telling:
        if len(keep) >= min(shown, len(lines)):
            break
        keep.add(line)
    return numbered(lines, sorted(keep), answer.start_line)


def numbered(lines: list[str], keep: list[int], first: int) -> str:
    """Lines with their numbers; an ellipsis where some are left out."""
    rows: list[str] = []
    for position, index in enumerate(keep):
        if position and index > keep[position - 1] + 1:
            rows.append("   …")
        line = lines[index].rstrip("\r")
        rows.append(f"{first + index:>6}: {line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + '…'}")
    return "\n".join(rows)

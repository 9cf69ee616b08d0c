"""Which paths of a repository a change may touch."""

import re
import unicodedata
from functools import lru_cache

from contracts.policy import Policy

MAX_PATH_BYTES = 4_096
MAX_NAME_BYTES = 255
MAX_FOLDERS = 64
"""Folders above a file at most; deeper ones exist to break tools."""


def path_problem(path: str, policy: Policy | None = None) -> str:
    """Why ``path`` may not be written, as a sentence; empty when it may.

    A path is relative, uses forward slashes, stays inside the repository, names no ``.git`` in any spelling
    a file system could fold into it, and matches the policy's patterns.
    """
    if problem := _form_problem(path):
        return problem
    if policy is None:
        return ""
    if any(matches(path, pattern) for pattern in policy.denied_paths):
        return "the policy denies this path; leave it as it is."
    if not any(matches(path, pattern) for pattern in policy.allowed_paths):
        return f"the policy allows only {', '.join(policy.allowed_paths)}."
    for patterns in policy.also_within:
        if not any(matches(path, pattern) for pattern in patterns):
            return f"the policy allows only {', '.join(patterns)}."
    return ""


def _form_problem(path: str) -> str:
    if not path:
        return "the path is empty."
    if path.startswith("/") or re.match(r"^[A-Za-z]:", path):
        return "the path is absolute; give it relative to the repository's root."
    if "\\" in path:
        return "the path has a backslash; use forward slashes."
    if any(unicodedata.category(c) == "Cs" for c in path):
        return "the path is not UTF-8."
    if any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in path):
        return "the path has control or invisible characters."
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"the path is longer than {MAX_PATH_BYTES} bytes."
    if path.count("/") >= MAX_FOLDERS:
        return f"the path is more than {MAX_FOLDERS} folders deep."
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return "the path must not have empty, '.' or '..' parts."
        if len(name.encode()) > MAX_NAME_BYTES:
            return f"a part of the path is longer than {MAX_NAME_BYTES} bytes."
        if _folds_to_git(name):
            return "the path names git's own folder."
    return ""


def _folds_to_git(name: str) -> bool:
    """Whether a case-folding or short-name file system would take ``name`` for ``.git``."""
    folded = unicodedata.normalize("NFKC", name).casefold().rstrip(". ").split(":")[0].rstrip(". ")
    return folded in (".git", "git~1")


def matches(path: str, pattern: str) -> bool:
    """Whether a glob of the policy matches: ``*`` and ``?`` stay within a folder, ``**`` crosses folders."""
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1_024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position):
            parts.append("(?:.*/)?")
            position += 3
        elif pattern.startswith("**", position):
            parts.append(".*")
            position += 2
        else:
            character = pattern[position]
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character)))
            position += 1
    return re.compile("".join(parts), re.DOTALL)

"""Which paths of a repository a change may touch."""

import re
from functools import lru_cache

from contracts.judging.guarded_paths import WHAT, guarded_as, never_touched
from contracts.judging.names import form_problem, path_skeleton, portability_problem
from contracts.policy import Policy


def path_problem(path: str, policy: Policy | None = None, existing: bool = False, operations: bool = False) -> str:
    """Why ``path`` may not be written, as a sentence; empty when it may.

    A path is relative, uses forward slashes, stays inside the repository, names no ``.git`` in any spelling
    a file system could fold into it, can be held by any machine, and matches the policy's patterns. ``existing``: the base has
    it under this name, so its name is nobody's fault; ``operations``: files that need a person's yes are judged elsewhere.
    """
    if problem := form_problem(path) or ("" if existing else portability_problem(path)):
        return problem
    if policy is None:
        return ""
    if why := never_touched(path):
        return f"no change may touch it; leave it as it is. {why}"
    return _policy_problem(path, policy, operations)


def _policy_problem(path: str, policy: Policy, operations: bool) -> str:
    folded = path_skeleton(path)
    # What a file system could take for a denied path is denied; what it could take for an allowed one is not allowed.
    if any(matches(path, pattern) or matches(folded, path_skeleton(pattern)) for pattern in policy.denied_paths):
        return "the policy denies this path; leave it as it is."
    kind = guarded_as(path)
    if kind and not operations and kind not in policy.allowed_operations:
        return f"{WHAT[kind]}, and the policy does not let a person allow that (`review.operations`: {kind}); leave it as it is."
    if not any(matches(path, pattern) for pattern in policy.allowed_paths):
        return f"the policy allows only {', '.join(policy.allowed_paths)}."
    for patterns in policy.also_within:
        if not any(matches(path, pattern) for pattern in patterns):
            return f"the policy allows only {', '.join(patterns)}."
    return ""


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

"""Whose work an added file is, and under which licence: told by its SPDX tag, its copyright line, its licence's own words."""

import re
from collections.abc import Iterator, Sequence

from contracts.judging.difference import Difference, Touched, binary, text_of
from contracts.judging.finding import Finding
from contracts.judging.manifests import licence_problem
from contracts.policy_rules import DependencyRules

HEAD = 6_000
"""Characters at the top of a file in which a licence is declared."""
TAG = re.compile(
    r"SPDX-License-Identifier:\s{0,20}+(?P<licence>[A-Za-z0-9.+()-][A-Za-z0-9.+() -]{0,199}?)[ \t]{0,20}+(?:\*/|-->|[\"'\r\n]|$)"
)
COPYRIGHT = re.compile(
    r"(?im)^[^\w\n]{0,8}(?:copyright|\(c\)|©)(?:\s{0,20}+(?:\(c\)|©|copyright|:))*+\s{0,20}+(?:[\d,–-][\d,\s–-]{3,39}+)?+"
    r"\s{0,20}+(?:by\s{1,20}+)?+(?P<holder>[^\n.*]{2,100})"
)
WORDS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("AGPL-3.0", re.compile(r"GNU\s+AFFERO\s+GENERAL\s+PUBLIC", re.IGNORECASE)),
    ("LGPL-2.1", re.compile(r"GNU\s+(?:LESSER|LIBRARY)\s+GENERAL\s+PUBLIC", re.IGNORECASE)),
    ("GPL-3.0", re.compile(r"GNU\s+GENERAL\s+PUBLIC\s+LICEN[CS]E|\bGPLv?[23]\b", re.IGNORECASE)),
    ("SSPL-1.0", re.compile(r"Server\s+Side\s+Public\s+License", re.IGNORECASE)),
    ("BUSL-1.1", re.compile(r"Business\s+Source\s+License", re.IGNORECASE)),
    ("Elastic-2.0", re.compile(r"Elastic\s+License\s+2", re.IGNORECASE)),
    ("CC-BY-NC-4.0", re.compile(r"Creative\s+Commons[^\n]{0,60}Non-?Commercial|\bCC[- ]BY[- ]NC", re.IGNORECASE)),
    ("MPL-2.0", re.compile(r"Mozilla\s+Public\s+License", re.IGNORECASE)),
    ("Apache-2.0", re.compile(r"Apache\s+License,?\s+Version\s+2", re.IGNORECASE)),
    ("BSD-3-Clause", re.compile(r"Redistribution\s+and\s+use\s+in\s+source\s+and\s+binary", re.IGNORECASE)),
    ("MIT", re.compile(r"Permission\s+is\s+hereby\s+granted,\s+free\s+of\s+charge|\bMIT\s+Licen[cs]e", re.IGNORECASE)),
    (
        "LicenseRef-Proprietary",
        re.compile(
            r"proprietary\s+(?:and|&)\s+confidential|all\s+rights\s+reserved\.?\s+(?:unauthori[sz]ed"
            r"|confidential|no\s+part)",
            re.IGNORECASE,
        ),
    ),
)
STRICT = re.compile(
    r"(?i)^(?:AGPL|GPL|LGPL|SSPL|BUSL|Elastic|CC-BY-NC|CC-BY-ND|LicenseRef-Proprietary|RPL"
    r"|EUPL|OSL|CPAL|Commons-Clause)"
)
"""Licences that bind those who take the file in, or forbid it."""
LICENCE_FILE = re.compile(r"(?i)(?:^|/)(?:licen[cs]e|copying|notice|unlicense)[^/]*$")
REMEDY = "Write it anew, or ask the people of this repository for a licence that fits."


MANIFEST = re.compile(
    r"(?i)(?:^|/)(?:package\.json|pyproject\.toml|setup\.cfg|cargo\.toml|composer\.json|[^/]*\.(?:gemspec|nuspec))$"
)
FIELD = re.compile(
    r"(?im)^[^\S\n]{0,40}[{]?[\"']?(?:\w{1,20}\.)?licen[cs]e[\"']?[^\S\n]{0,9}[:=][^\S\n]{0,9}(?:\{\s{0,3}(?:text|file)\s{0,3}=\s{0,3})?"
    r"[\"']?(?P<told>[^\"'\n,{}\]]{1,100})"
)
"""Where a manifest names the package's licence."""


def _of_manifest(touched: Touched) -> str:
    """What a manifest says otherwise of the package's licence than before."""
    old, new = (side.content if side else None for side in (touched.before, touched.new))
    if not old or not new or not MANIFEST.search(touched.name):
        return ""
    had, has = ([found["told"] for found in FIELD.finditer(text_of(content).replace(",", ",\n"))] for content in (old, new))
    return "The change says that the package has another licence." if had and has != had else ""


def licence_findings(difference: Difference, rules: DependencyRules) -> Iterator[Finding]:
    """What added files say of their licence, where it fits neither the policy nor the repository's own."""
    own = {licence_of(text) for text in difference.own_words} - {""}
    for touched in difference:
        if LICENCE_FILE.search(touched.name):
            if "/" not in touched.name and touched.old is not None:
                yield Finding(
                    rule="licence.own",
                    path=touched.shown,
                    problem="The change touches the repository's own licence.",
                    remedy="Leave it as it is on the base.",
                )
            continue
        if problem := _of_manifest(touched):
            yield Finding(rule="licence.own", path=touched.shown, problem=problem, remedy="Leave it as it is on the base.")
        declared = _declared(touched)
        if not declared or declared in own or _same_family(declared, own):
            continue
        if told := licence_problem(declared, rules):
            yield Finding(rule="licence.policy", path=touched.shown, problem=f"It is under {declared}: {told}", remedy=REMEDY)
        elif STRICT.match(declared) and not rules.allowed_licences:
            yield Finding(
                rule="licence.foreign",
                path=touched.shown,
                problem=f"It is under {declared}, which is not this repository's licence.",
                remedy=REMEDY,
            )


def provenance_notes(difference: Difference) -> list[str]:
    """A sentence for a reviewer about each added file that names another holder or licence than the repository does."""
    known = " ".join(difference.own_words).casefold()
    notes = []
    for touched in difference:
        head = _head(touched)
        holder = COPYRIGHT.search(head) if touched.before is None else None
        if holder and holder["holder"].strip().casefold() not in known:
            notes.append(f"{touched.shown} says that it is the work of {holder['holder'].strip()[:80]!r}.")
    return notes


def licence_of(text: str) -> str:
    """The licence that a text declares, as SPDX calls it; empty when it declares none that is known."""
    if tag := TAG.search(text):
        return tag["licence"].strip("() ")
    return next((name for name, words in WORDS if words.search(text)), "")


def _declared(touched: Touched) -> str:
    """What the head of a file declares that it did not declare before."""
    now = licence_of(_head(touched))
    before = licence_of(text_of(touched.before.content)[:HEAD]) if touched.before and touched.before.content else ""
    return now if now != before else ""


def _head(touched: Touched) -> str:
    content = touched.new.content if touched.new else None
    if (
        not content
        or binary(content)
        or touched.name.endswith((".md", ".rst", ".txt", ".lock", ".json", ".toml", ".yaml", ".yml"))
    ):
        return ""
    lines = text_of(content)[:HEAD].splitlines()[:60]
    return "\n".join(line for line in lines if re.match(r"\s*(?:#|//|/?\*|--|;|%|<!--|\"\"\"|'''|\(\*|REM|dnl|[A-Z(@ ])", line))


def _same_family(declared: str, own: set[str]) -> bool:
    return any(declared.split("-")[0] == licence.split("-")[0] for licence in own)

"""What a path is for, as far as its name says: sources come first, tests and other people's code later."""

import re
from functools import lru_cache

_TEST = re.compile(r"(?:^|/)(?:tests?|testing|specs?|__tests__|testdata|fixtures|e2e|cypress)/"
                   r"|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*(?:_test|_spec|\.test|\.spec|Tests?|Spec)\.[^/.]+(?:\.[^/.]+)?)$")
_VENDORED = re.compile(
    r"(?:^|/)(?:vendor|vendored|_vendor|node_modules|third[_-]?party|external|bower_components|site-packages|dist|build|generated)/"
    r"|(?:\.min\.(?:js|css)|_pb2(?:_grpc)?\.pyi?|\.pb\.go|\.generated\.[^/]+|\.lock|-lock\.json)$", re.IGNORECASE)
_PROSE = re.compile(
    r"(?:^|/)(?:docs?|changelog|examples?|samples?|benchmarks?)/"
    r"|\.(?:md|rst|txt|adoc|json|ya?ml|toml|csv|svg|html?|css)$", re.IGNORECASE)


@lru_cache(maxsize=200_000)
def is_test(path: str) -> bool:
    """Whether a file holds tests or belongs to them."""
    return _TEST.search(path) is not None


@lru_cache(maxsize=200_000)
def weight(path: str) -> float:
    """How much a file counts in a ranking, from 0 to 1."""
    if _VENDORED.search(path):
        return 0.25
    if is_test(path):
        return 0.55
    return 0.7 if _PROSE.search(path) else 1.0

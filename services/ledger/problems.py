"""The ledger's own failures, in RFC 9457's form and in the one that OpenAI's clients read."""

import json
from http import HTTPStatus

PROBLEM = "application/problem+json"


def problem_body(status: int, code: str, detail: str) -> bytes:
    """The body of a failure."""
    told = {
        "type": f"urn:patchwright:problem:{code}",
        "title": HTTPStatus(status).phrase.capitalize(),
        "status": status,
        "detail": detail,
        "error": {"message": detail, "type": code, "param": None, "code": code},
    }
    return json.dumps(told, ensure_ascii=False).encode()

"""How endpoints declare in OpenAPI what they take and how they say no."""

from typing import Any

from pydantic import BaseModel

from services.api.problems import MEDIA_TYPE

REASONS = {
    400: "The request is not even JSON, or not HTTP as we read it.",
    401: "The token is missing, wrong, expired or revoked.",
    403: "The role is missing, the policy wants somebody else, or the request came from another site's page.",
    404: "There is no such thing.",
    405: "The method is not possible here.",
    409: "The thing is in another state than the request needs.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not application/json.",
    421: "The host name is not ours.",
    422: "The request is well-formed, but its values cannot be used.",
    429: "Too many requests, wrong tokens, or large bodies at once; come back after Retry-After seconds.",
    500: "The service made a mistake.",
    502: "A system behind the service did not answer.",
    503: "Temporal does not answer; come back after Retry-After seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declared refusals of an endpoint; those every endpoint has are added."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = sorted({*statuses, 400, 401, 403, 421, 429, 500})
    return {status: {"description": REASONS[status], "content": content} for status in every}


def takes(model: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """The request body of an endpoint, for ``openapi_extra``."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}

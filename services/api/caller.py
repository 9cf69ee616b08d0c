"""Who makes the request, as the gate found out."""

from typing import Annotated

from fastapi import Depends, Request

from contracts.access import Principal


def caller(request: Request) -> Principal:
    """The principal of a request that passed the gate."""
    return request.scope["state"]["principal"]


Caller = Annotated[Principal, Depends(caller)]

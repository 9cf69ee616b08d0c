"""A model that is not one: an HTTP server that speaks OpenAI's wire and plays a script.

It stands where a model endpoint would stand, so that the demo and the tests drive the real clients over the real wire.
Every answer is derived from the conversation in the request, so a retried or replayed request gets the same answer.
Everything it shows says that it is scripted.

- ``script``: the words a script is written in (``ModelRequest``, ``Turn``, ``Call``, ``Fault``, ``steps_script``).
- ``responses_wire``, ``chat_wire``: the two wires, ``POST /v1/responses`` and ``POST /v1/chat/completions``.
- ``background``: responses that run in the background.
- ``server``: the app, its faults and its count of what was paid.
"""

from services.scripted_model.script import Call, Fault, FaultKind, ModelRequest, Script, ScriptEnded, Turn, steps_script
from services.scripted_model.server import ScriptedModelServer, create_app, serve

__all__ = [
    "Call", "Fault", "FaultKind", "ModelRequest", "Script", "ScriptEnded", "ScriptedModelServer", "Turn", "create_app", "serve",
    "steps_script",
]

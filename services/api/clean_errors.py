"""An answer that tells of a failure holds no secret of ours, whatever a library wrote into its message."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.redaction import Redactor

FIRST_FAILURE = 400


class CleanErrors:
    """Takes secrets out of the bodies of answers with a status of 400 and more: problems and pages alike."""

    def __init__(self, app: ASGIApp, clean: Redactor) -> None:
        self._app, self._clean = app, clean

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._clean:
            await self._app(scope, receive, send)
            return
        began: Message | None = None
        body = b""

        async def cleaned(message: Message) -> None:
            nonlocal began, body
            if message["type"] == "http.response.start" and message["status"] >= FIRST_FAILURE:
                began = message
                return
            if began is None or message["type"] != "http.response.body":
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                await self._sent(began, body, send)

        await self._app(scope, receive, cleaned)

    async def _sent(self, began: Message, body: bytes, send: Send) -> None:
        clean = self._clean.redact_json(body)
        if clean is not body:
            headers = [(name, value) for name, value in began["headers"] if name.lower() != b"content-length"]
            began = {**began, "headers": [*headers, (b"content-length", str(len(clean)).encode())]}
        await send(began)
        await send({"type": "http.response.body", "body": clean})

"""Every door through which a text leaves, with every form of every held secret in it: nothing comes out at the other side."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult, TextContent
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.status import Status, StatusCode
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from activities.agent_run.clean_items import CleanItems
from activities.capabilities import CallScope, Capabilities
from contracts.redaction import GrowingRedactor, Redactor
from mcp_servers.repo.tickets.connection import TicketConnection
from services.api.clean_errors import CleanErrors
from services.clean_payloads import CleanPayloads
from services.clean_spans import CleanSpans
from services.cli import screen
from services.ledger.clean_prompts import BLOCK, CleanPrompts
from tests.fakes.provider import provider
from tests.fakes.tallies import Tally
from tests.security.secret_corpus import ENCODINGS, HELD, KEY, PLACES

JUDGE = Redactor.of(HELD | {"app key": KEY})
FORMS = [(f"{kind}/{name}", place(ENCODINGS[kind](HELD[name]))) for kind in ENCODINGS for name in HELD for place in PLACES[:2]]
SOME = FORMS[::5]
"""Every encoding, not with every secret."""
Begin = Callable[[str], Tally]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def clean() -> GrowingRedactor:
    """As a process has it: it learned one secret after another."""
    made = GrowingRedactor()
    for name, secret in (HELD | {"app key": KEY}).items():
        made.learn(name, secret)
    return made


def judged(came_out: str | bytes) -> str:
    """What a text gives away, looked at as a text and, where it is JSON, as a value."""
    text = came_out.decode("utf-8", "replace") if isinstance(came_out, bytes) else came_out
    found = JUDGE.finds(text)
    return f"{', '.join(found)} in {text[:200]!r}" if found else ""


def prompt(text: str) -> bytes:
    """A model call of ours with a text in its conversation."""
    said = [{"role": "user", "content": "Mend it."}, {"type": "function_call_output", "call_id": "c", "output": text}]
    return json.dumps({"model": "m", "instructions": "Be good.", "input": said}, ensure_ascii=False).encode()


async def test_no_prompt_leaves_the_ledger_with_a_secret_and_each_is_the_same_every_time(clean: GrowingRedactor, tally: Begin):
    count, prompts = tally("secrets in prompts"), CleanPrompts(clean)
    for name, text in FORMS:
        came_out = await prompts.of(prompt(text))
        same = came_out == await CleanPrompts(clean).of(prompt(text)) == await prompts.of(came_out)
        begins = came_out.startswith(b'{"model":"m"') and json.loads(came_out)["input"][0]["content"] == "Mend it."
        count.case(name, judged(came_out) or ("" if same and begins else "it is another prompt"))
    count.settle(at_least=500)


async def test_a_secret_behind_a_megabyte_that_is_known_to_be_clean_is_found(clean: GrowingRedactor, tally: Begin):
    count, prompts = tally("secrets in long prompts"), CleanPrompts(clean)
    long = "\n".join(f"line {number} of ordinary work" for number in range(40_000))
    assert await prompts.of(prompt(long)) == prompt(long) and len(prompt(long)) > 10 * BLOCK
    for kind in ("plain", "base64 at 1", "hex", "URL, all", "in a diff", "letter by letter"):
        for at in (len(long), len(long) - len(long) % BLOCK, BLOCK - 20):
            text = long[:at] + ENCODINGS[kind](HELD["forge token"]) + long[at:]
            count.case(f"{kind} at {at}", judged(await prompts.of(prompt(text))))


async def test_no_item_of_a_conversation_holds_a_secret_and_a_replay_sees_the_same_items(clean: GrowingRedactor, tally: Begin):
    count = tally("secrets in conversations")
    items: list[Any] = []
    growing = CleanItems(clean)
    last: list[Any] = []
    for name, text in FORMS[::7]:
        items = [*items, {"role": "user", "content": text}]
        now = growing.of(items)
        count.case(name, judged(json.dumps(now[-1])) or ("" if now[:-1] == last else "earlier items changed"))
        last = now
    assert CleanItems(clean).of(items) == last == CleanItems(clean).of(last)


class Deaf:
    """An MCP server that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def call_tool(self, name: str, arguments: dict[str, Any], **_: Any) -> CallToolResult:
        self.told.append(arguments)
        return CallToolResult(content=[TextContent(type="text", text="ok")])


async def test_no_server_is_told_a_secret_not_even_in_pieces(clean: GrowingRedactor, tally: Begin):
    count, server = tally("secrets in tools' arguments"), Deaf()
    capabilities = Capabilities({}, None, clean)
    capabilities._tools["docs__search"] = (server, "docs", None)  # type: ignore[assignment]
    told = [({"query": text}, name) for name, text in SOME]
    for name, secret in HELD.items():
        if name != "short":
            told += [({"parts": [secret[:5], secret[5:]], "n": 1}, f"pieces of {name}"),
                     ({"bytes": list(secret.encode())}, f"numbers of {name}")]
    told += [({secret: 1}, f"key {name}") for name, secret in HELD.items()]
    for arguments, name in told:
        await capabilities.call("docs__search", arguments, CallScope(), "k")
        count.case(name, judged(json.dumps(server.told[-1])) or judged("\n".join(map(str, server.told[-1].values()))))


async def test_temporal_is_told_no_secret_in_payloads_or_failures(clean: GrowingRedactor, tally: Begin):
    count, codec = tally("secrets in Temporal"), CleanPayloads(clean)
    plain = pydantic_data_converter.payload_converter
    for name, text in SOME:
        [payload] = await codec.encode(plain.to_payloads([{"title": text, "n": 3}]))
        count.case(name, judged(payload.data) or ("" if plain.from_payload(payload)["n"] == 3 else "it is another value"))
    for name, text in SOME[::4]:
        failure = Failure()
        try:
            try:
                raise ValueError(text)
            except ValueError as cause:
                raise ApplicationError(f"failed: {text}", {"detail": text}) from cause
        except ApplicationError as error:
            pydantic_data_converter.failure_converter.to_failure(error, plain, failure)
        await codec.encode_failure(failure)
        told = [failure.message, failure.stack_trace, failure.cause.message, failure.cause.stack_trace,
                *(payload.data.decode() for payload in failure.application_failure_info.details.payloads)]
        assert len(told) == 5 and failure.cause.stack_trace
        count.case(f"failure of {name}", judged("\n----\n".join(told)))


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held back."""


def test_no_trace_is_exported_with_a_secret(clean: GrowingRedactor, tally: Begin):
    count, kept, traces = tally("secrets in traces"), Kept(), TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(CleanSpans(kept, clean)))
    tracer = traces.get_tracer("t")
    for name, text in SOME:
        with tracer.start_as_current_span(f"asking {text}", attributes={"q": text, "n": 1, "all": [text, "b"]}) as span:
            span.add_event(text, {"said": text})
            span.set_status(Status(StatusCode.ERROR, text))
        made = kept.spans[-1]
        attributes = dict(made.attributes or {})
        whole = attributes["n"] == 1 and made.context is not None and made.start_time is not None
        count.case(name, judged(made.to_json()) or judged(str(made.status.description)) or ("" if whole else "it lost a part"))


async def test_no_failure_of_the_api_says_a_secret_and_what_is_none_passes_as_it_is(clean: GrowingRedactor, tally: Begin):
    count = tally("secrets in errors of the API")
    said, status = b"", 422

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        head = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": said[:10], "more_body": True})
        await send({"type": "http.response.body", "body": said[10:]})

    transport = httpx2.ASGITransport(app=CleanErrors(app, clean))
    async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        for name, text in SOME:
            said = json.dumps({"status": 422, "detail": text}).encode()
            answer = await http.get("/")
            count.case(name, judged(answer.content) or ("" if answer.json()["status"] == 422 else "it is another problem"))
        said, status = json.dumps({"detail": HELD["forge token"]}).encode(), 200
        assert (await http.get("/")).content == said
        said, status = b'{"detail": "there is no task"}', 404
        assert (await http.get("/")).content == said


async def test_nothing_is_written_into_a_ticket_with_a_secret(clean: GrowingRedactor, tally: Begin):
    count = tally("secrets in comments on tickets")
    async with provider() as desk:
        connection = TicketConnection("Jira", desk.base_url, lambda: {"authorization": "Bearer x"}, clean=clean)
        for name, text in SOME:
            body = {"body": {"type": "doc", "content": [{"text": text}]}}
            await connection.asked("POST", "/comment", "writing a comment", body)
            count.case(name, judged(json.dumps(desk.asked[-1].body)))


@pytest.fixture
def quiet(clean: GrowingRedactor) -> Iterator[None]:
    before = screen._Clean.redactor
    screen.keep_quiet_about(clean)
    yield
    screen.keep_quiet_about(before)


@pytest.mark.usefixtures("quiet")
def test_the_command_line_prints_no_secret(capsys: pytest.CaptureFixture[str], tally: Begin):
    count = tally("secrets on the command line")
    for name, text in SOME:
        screen.screen.print(text, markup=False, soft_wrap=True)
        screen.errors.print(f"patchwright: {text}", markup=False, soft_wrap=True)
        screen.print_json({"detail": text})
        out, err = capsys.readouterr()
        count.case(name, "\n".join(filter(None, (judged(out), judged(err)))))
        assert out and err


def test_a_secret_that_was_lent_is_taken_out_from_that_moment_on(tally: Begin):
    count, learned = tally("secrets learned while running"), GrowingRedactor()
    for name, secret in HELD.items():
        assert learned.redact(secret) == secret
        learned.learn(name, secret)
        for kind in ENCODINGS:
            text = ENCODINGS[kind](secret)
            count.case(f"{kind}/{name}", "" if learned.finds(text) and not JUDGE.finds(learned.redact(text)) else text)


def test_replaced_secrets_are_known_for_a_while_and_not_for_ever() -> None:
    learned = GrowingRedactor()
    values = [f"glpat-{number:02}-aZk2LmQ7rT4vX1bN8cW" for number in range(GrowingRedactor.KEPT + 2)]
    for value in values:
        learned.learn("token", value)
        learned.learn("token", value)
    assert [bool(learned.finds(value)) for value in values] == [False] * 2 + [True] * GrowingRedactor.KEPT
    assert learned.version == len(values)

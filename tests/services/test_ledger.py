"""One call, once: over real HTTP, before a provider that counts."""

import asyncio
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contracts.model_call import CALL_HEADER, MAX_OUTPUT_HEADER, MODEL_HEADER
from services.ledger.ledger import Ledger
from services.ledger.serving import ledger
from services.serving import address_of, listening, serving
from services.settings import IsolatedSettings
from tests.fakes.ledger import MODEL, LedgerClient, ledger_settings, request_of, running_ledger
from tests.fakes.provider import Provider, Says, completion, events, provider, response

KEY = "a-provider-key-5f0c1d2e"


@pytest.fixture
async def upstream() -> AsyncIterator[Provider]:
    async with provider() as made:
        yield made


@pytest.fixture
async def asking(tmp_path: Path, upstream: Provider) -> AsyncIterator[LedgerClient]:
    async with running_ledger(tmp_path, upstream.base_url, openai_api_key=KEY) as client:
        yield client


@pytest.mark.parametrize("chat", [False, True])
async def test_the_same_key_again_gets_the_first_answer_and_pays_nothing(
    asking: LedgerClient, upstream: Provider, chat: bool
) -> None:
    upstream.will_say(lambda asked: Says(body=completion("first") if chat else response("first")), Says(body=response("second")))
    first = await asking.ask("t/r/0/d", chat=chat)
    again = await asking.ask("t/r/0/d", chat=chat)
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["x-patchwright-replayed"] == "true"
    assert len(upstream.calls) == 1


async def test_an_answer_outlives_the_ledger(tmp_path: Path, upstream: Provider) -> None:
    async with running_ledger(tmp_path, upstream.base_url) as before:
        first = await before.ask("t/r/0/d")
    async with running_ledger(tmp_path, upstream.base_url) as after:
        assert (await after.ask("t/r/0/d")).content == first.content
    assert len(upstream.calls) == 1


async def test_fifty_at_once_with_one_key_are_one_call(asking: LedgerClient, upstream: Provider) -> None:
    upstream.will_say(Says(seconds=0.3))
    answers = await asyncio.gather(*(asking.ask("t/r/0/d") for _ in range(50)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(upstream.calls) == 1
    assert await asking.metric("patchwright_model_joined_total") == 49


async def test_another_key_or_endpoint_is_another_call(asking: LedgerClient, upstream: Provider) -> None:
    await asking.ask("t/r/0/d")
    await asking.ask("t/r/1/d")
    await asking.ask("t/r/0/d", chat=True)
    assert [call.path for call in upstream.calls] == ["/v1/responses", "/v1/responses", "/v1/chat/completions"]
    assert len({call.headers["idempotency-key"] for call in upstream.calls}) == 3


async def test_a_key_with_another_body_is_refused(asking: LedgerClient, upstream: Provider) -> None:
    upstream.may_answer.clear()
    first = asyncio.create_task(asking.ask("t/r/0/d"))
    await upstream.arrived.wait()
    refused = await asking.ask("t/r/0/d", input="another question")
    upstream.may_answer.set()
    assert (await first).status_code == 200
    for answer in (refused, await asking.ask("t/r/0/d", input="another question")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "key-reused")
    assert len(upstream.calls) == 1


async def test_a_call_without_a_key_is_passed_through_and_counted(asking: LedgerClient, upstream: Provider) -> None:
    for _ in range(2):
        assert (await asking.ask()).status_code == 200
    assert len(upstream.calls) == 2
    assert await asking.metric("patchwright_model_calls_without_key_total") == 2


async def test_whoever_leaves_cancels_nothing_and_finds_the_answer_later(asking: LedgerClient, upstream: Provider) -> None:
    upstream.may_answer.clear()
    leaving = asyncio.create_task(asking.ask("t/r/0/d"))
    await upstream.arrived.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    upstream.may_answer.set()
    later = await asking.ask("t/r/0/d")
    assert later.json()["output"][0]["content"][0]["text"] == "hello"
    assert len(upstream.calls) == 1


async def test_a_final_no_is_handed_on_and_asked_anew_the_next_time(asking: LedgerClient, upstream: Provider) -> None:
    refused = Says(400, {"error": {"message": "not like this", "param": "text.format"}})
    upstream.will_say(refused, Says())
    first = await asking.ask("t/r/0/d")
    assert (first.status_code, first.json()["error"]["param"]) == (400, "text.format")
    assert (await asking.ask("t/r/0/d")).status_code == 200
    one, other = upstream.calls
    assert one.headers["idempotency-key"] != other.headers["idempotency-key"], "a provider may keep its no under the key"


@pytest.mark.parametrize(
    "nonsense",
    [
        Says(body=b"<html>a proxy's page</html>", media_type="text/html"),
        Says(body=b"[1, 2]"),
        Says(body={"object": "something else"}),
        Says(body={"error": {"message": "busy", "code": 503}}),
    ],
    ids=["page", "list", "other form", "error as 200"],
)
async def test_nonsense_sent_as_200_is_no_answer(asking: LedgerClient, upstream: Provider, nonsense: Says) -> None:
    upstream.will_say(nonsense, Says())
    assert (await asking.ask("t/r/0/d")).json()["status"] == "completed"
    upstream.will_say(nonsense)
    failed = await asking.ask("t/r/1/d")
    assert failed.status_code == 502, "nonsense to the end is not taken for an answer"
    assert failed.json()["error"]["code"] == "provider-failed"


async def test_a_response_that_ended_badly_is_handed_on_and_not_kept(asking: LedgerClient, upstream: Provider) -> None:
    upstream.will_say(Says(body={**response(), "status": "incomplete"}), Says())
    assert (await asking.ask("t/r/0/d")).json()["status"] == "incomplete"
    assert (await asking.ask("t/r/0/d")).json()["status"] == "completed"


async def test_the_body_goes_on_as_it_came(asking: LedgerClient, upstream: Provider) -> None:
    body = b'{"model":"scripted","temperature":0.5,"input":[{"role":"user","content":"gr\xc3\xbc\xc3\x9fe"}]}'
    headers = {CALL_HEADER: "k", MODEL_HEADER: MODEL, MAX_OUTPUT_HEADER: "0"}
    answer = await asking.http.post(f"{asking.url}/responses", content=body, headers=headers)
    assert answer.status_code == 200
    assert upstream.calls[0].body == {"model": MODEL, "temperature": 0.5, "input": [{"role": "user", "content": "grüße"}]}
    assert upstream.calls[0].headers["content-length"] == str(len(body))


async def test_a_wrong_promise_about_the_body_does_no_harm(asking: LedgerClient, upstream: Provider) -> None:
    body = b'{"stream": false, "input": "hi", "model": "other"}'
    answer = await asking.http.post(f"{asking.url}/responses", content=body, headers={CALL_HEADER: "k", MODEL_HEADER: MODEL})
    assert answer.status_code == 200
    assert upstream.calls[0].body["model"] == "other"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"input": "hi"}', b'{"model": 7}'])
async def test_a_body_that_is_no_call_is_refused(asking: LedgerClient, upstream: Provider, body: bytes) -> None:
    answer = await asking.http.post(f"{asking.url}/responses", content=body)
    assert answer.status_code == 400
    assert upstream.calls == []


# -- streams --------------------------------------------------------------------------------------------------


def chunk(text: str) -> dict:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


CHAT_STREAM = events(chunk("hel"), chunk("lo"), {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}})
RESPONSE_STREAM = events(
    {"type": "response.created", "response": {"status": "in_progress"}},
    {"type": "response.completed", "response": response()},
    ends=(),
)


@pytest.mark.parametrize(("chat", "stream"), [(True, CHAT_STREAM), (False, RESPONSE_STREAM)])
async def test_a_stream_is_handed_on_as_it_comes_and_replayed_from_the_store(
    asking: LedgerClient, upstream: Provider, chat: bool, stream: bytes
) -> None:
    upstream.will_say(Says(body=stream, media_type="text/event-stream"))
    first = await asking.ask("t/r/0/d", chat=chat, stream=True)
    again = await asking.ask("t/r/0/d", chat=chat, stream=True)
    assert first.headers["content-type"] == again.headers["content-type"] == "text/event-stream"
    assert first.content == again.content == stream
    assert len(upstream.calls) == 1
    assert await asking.metric("patchwright_model_tokens_total") == 1_100


class Slowly:
    """A provider of one stream, whose rest comes when it may."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self._first, self._rest = first, rest
        self.go_on = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": self._rest})


@pytest.mark.parametrize(("chat", "stream"), [(True, CHAT_STREAM), (False, RESPONSE_STREAM)])
async def test_the_beginning_of_a_stream_waits_for_nothing_and_its_end_until_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: bool, stream: bytes
) -> None:
    may_store, write = asyncio.Event(), Ledger._write

    async def slow(*settled: Any) -> None:
        await may_store.wait()
        await write(*settled)

    monkeypatch.setattr(Ledger, "_write", slow)
    first = stream.split(b"\n\n")[0] + b"\n\n"
    slowly = Slowly(first, stream[len(first) :])
    endpoint, wanted = request_of(chat, {"stream": True})
    with listening("127.0.0.1", 0, "") as sock:
        async with (
            serving(slowly, sock),
            running_ledger(tmp_path, address_of("127.0.0.1", sock) + "/v1") as asking,
            asking.http.stream("POST", f"{asking.url}/{endpoint}", json=wanted, headers={CALL_HEADER: "k"}) as answer,
        ):
            pieces = answer.aiter_bytes()
            assert await anext(pieces) == first
            slowly.go_on.set()
            rest = asyncio.create_task(anext(pieces))
            done, _ = await asyncio.wait({rest}, timeout=0.5)
            may_store.set()
            assert not done
            assert first + await rest + b"".join([piece async for piece in pieces]) == stream


async def test_a_stream_cut_before_anything_was_handed_on_is_asked_for_again(asking: LedgerClient, upstream: Provider) -> None:
    upstream.will_say(Says(500), Says(body=CHAT_STREAM, media_type="text/event-stream"))
    assert (await asking.ask("t/r/0/d", chat=True, stream=True)).content == CHAT_STREAM


async def test_a_stream_cut_in_the_middle_ends_the_answer_and_is_not_kept(asking: LedgerClient, upstream: Provider) -> None:
    whole = Says(body=CHAT_STREAM, media_type="text/event-stream")
    upstream.will_say(Says(body=CHAT_STREAM, media_type="text/event-stream", cut=True), whole)
    with pytest.raises(httpx2.TransportError):
        await asking.ask("t/r/0/d", chat=True, stream=True)
    assert (await asking.ask("t/r/0/d", chat=True, stream=True)).content == CHAT_STREAM
    assert await asking.metric("patchwright_model_calls_uncertain_total") == 1


# -- the door -------------------------------------------------------------------------------------------------


async def test_only_the_token_opens_the_ledger(asking: LedgerClient, upstream: Provider) -> None:
    for token in ("", "Bearer wrong", "Bearer ünsinn".encode("latin-1").decode("latin-1")):
        async with httpx2.AsyncClient() as stranger:
            headers = {b"authorization": token.encode("latin-1")} if token else {}
            answer = await stranger.post(f"{asking.url}/responses", json={"model": MODEL, "input": "hi"}, headers=headers)
            assert answer.status_code == 401
            assert (await stranger.get(f"{asking.url}/models")).status_code == 401
            assert (await stranger.get(f"{asking.url.removesuffix('/v1')}/healthz")).status_code == 200
    assert upstream.calls == []


async def test_the_token_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    settings = IsolatedSettings(data_dir=tmp_path)
    async with ledger(settings) as address:
        assert address.token == settings.ledger_access_token()
        assert address.token not in repr(address)
    assert stat.S_IMODE((tmp_path / "ledger-token").stat().st_mode) == 0o600


async def test_the_providers_key_goes_to_the_provider_and_nowhere_else(
    tmp_path: Path, upstream: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(asked) -> Says:
        return Says(401, {"error": {"message": f"bad key {asked.headers['authorization']}"}}, headers=(("x-request-id", KEY),))

    upstream.will_say(echo)
    async with running_ledger(tmp_path, upstream.base_url, openai_api_key=KEY) as asking:
        answer = await asking.ask("t/r/0/d")
        told = f"{answer.text}{answer.headers}{(await asking.http.get(asking.url.removesuffix('/v1') + '/metrics')).text}"
    assert upstream.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert answer.status_code == 401
    assert KEY not in told
    # What the HTTP library would say at its chattiest level is switched off in services.telemetry.
    assert not [record for record in caplog.records if not record.name.startswith("httpcore2") and KEY in record.getMessage()]
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_the_ledgers_own_token_never_reaches_the_provider(asking: LedgerClient, upstream: Provider) -> None:
    await asking.ask("t/r/0/d", task="pw-1")
    assert "ledger-token" not in str(upstream.calls[0].headers)
    assert upstream.calls[0].headers["x-patchwright-task"] == "pw-1"


async def test_the_models_are_the_aliases_and_what_the_provider_offers(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(Says(body={"data": [{"id": "real"}]}))
    async with running_ledger(tmp_path, upstream.base_url, model_routes={"big": [{"model": "real"}]}) as asking:
        assert [model["id"] for model in (await asking.http.get(f"{asking.url}/models")).json()["data"]] == ["big", "real"]


async def test_a_ledger_that_stops_lets_calls_under_way_end(tmp_path: Path, upstream: Provider) -> None:
    upstream.may_answer.clear()
    async with ledger(ledger_settings(tmp_path, upstream.base_url)) as address:
        client = LedgerClient(address.url)
        waiting = asyncio.create_task(client.ask("t/r/0/d"))
        await upstream.arrived.wait()
        asyncio.get_running_loop().call_later(0.2, upstream.may_answer.set)
    assert (await waiting).status_code == 200
    await client.http.aclose()

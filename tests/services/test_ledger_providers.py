"""Providers that fail, wait, say no, and stand in for each other."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InvalidInput
from services.ledger.answers import seconds_of
from services.ledger.gate import ProviderGate
from tests.fakes.ledger import ledger_settings, running_ledger
from tests.fakes.provider import BROKEN, GOOD, LIMITED, Provider, Says, provider, response


@pytest.fixture
async def upstream() -> AsyncIterator[Provider]:
    async with provider() as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[Provider]:
    async with provider(Says(body=response("from the other"))) as made:
        yield made


def routes(other: Provider, **more: Any) -> dict[str, Any]:
    """One name, two places."""
    places = [{"model": "real"}, {"provider": "other", "model": "spare"}]
    return {"providers": {"other": {"base_url": other.base_url, **more}}, "model_routes": {"scripted": places}}


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
async def test_a_passing_failure_is_asked_again_with_the_same_key(tmp_path: Path, upstream: Provider, status: int) -> None:
    upstream.will_say(Says(status, {"error": {"message": "later"}}), GOOD)
    async with running_ledger(tmp_path, upstream.base_url) as asking:
        assert (await asking.ask("t/r/0/d")).status_code == 200
    assert len(upstream.calls) == 2
    assert len({call.headers["idempotency-key"] for call in upstream.calls}) == 1


async def test_an_answer_that_takes_too_long_or_is_cut_off_is_asked_for_again(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(Says(seconds=30), Says(cut=True), GOOD)
    async with running_ledger(tmp_path, upstream.base_url, model_timeout_seconds=0.3) as asking:
        assert (await asking.ask("t/r/0/d")).status_code == 200
        assert await asking.metric("patchwright_model_calls_uncertain_total") == 2
    assert len(upstream.calls) == 3


async def test_when_all_tries_are_used_up_the_last_failure_is_handed_on(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(BROKEN)
    async with running_ledger(tmp_path, upstream.base_url, model_retries=1) as asking:
        failed = await asking.ask("t/r/0/d")
        assert (failed.status_code, failed.json()["error"]["message"]) == (500, "oh no")
        assert len(upstream.calls) == 2
        upstream.will_say(GOOD)
        assert (await asking.ask("t/r/0/d")).status_code == 200, "a failure is not kept"


async def test_nobody_at_the_providers_address_is_told_as_such(tmp_path: Path) -> None:
    async with running_ledger(tmp_path, "http://127.0.0.1:9/v1", model_retries=0) as asking:
        failed = await asking.ask("t/r/0/d")
        assert failed.status_code == 502
        assert "did not answer" in failed.json()["error"]["message"]
        assert await asking.metric("patchwright_model_calls_uncertain_total") == 0, "the request never left"


async def test_retry_after_is_a_floor_for_every_call_to_that_model(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(Says(429, LIMITED.body, headers=(("retry-after", "1.0"),)), GOOD)
    async with running_ledger(tmp_path, upstream.base_url) as asking:
        first = asyncio.create_task(asking.ask("t/r/0/d"))
        await upstream.arrived.wait()
        await asyncio.sleep(0.1)
        assert (await asking.ask("t/r/1/d")).status_code == (await first).status_code == 200
    limited, *later = (call.at for call in upstream.calls)
    assert min(later) - limited >= 1.0


async def test_calls_that_wait_for_a_place_keep_retry_after_too(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(Says(429, LIMITED.body, headers=(("retry-after", "1.0"),), seconds=0.2), GOOD)
    async with running_ledger(tmp_path, upstream.base_url, providers={"default": {"max_concurrent": 1}}) as asking:
        answers = await asyncio.gather(*(asking.ask(f"t/r/{n}/d") for n in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    limited, *later = (call.at for call in upstream.calls)
    assert (len(later), min(later) - limited >= 1.0) == (4, True)


def test_retry_after_is_read_as_seconds_or_a_date() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert seconds_of("2.5") == 2.5
    assert seconds_of(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert seconds_of(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    assert seconds_of("soon") == seconds_of("") == 0


async def test_a_provider_that_wants_an_hour_is_not_waited_for(tmp_path: Path, upstream: Provider, other: Provider) -> None:
    upstream.will_say(Says(429, LIMITED.body, headers=(("retry-after", "3600"),)))
    began = time.monotonic()
    async with running_ledger(tmp_path, upstream.base_url) as asking:
        failed = await asking.ask("t/r/0/d")
        again = await asking.ask("t/r/1/d")
    assert (failed.status_code, failed.headers["retry-after"]) == (429, "3600")
    assert again.status_code == 429
    assert len(upstream.calls) == 1, "it said when to come back"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "closed",
    [
        BROKEN,
        Says(401, {"error": {"message": "no such key"}}),
        Says(404, {"error": {"message": "no such model", "code": "model_not_found"}}),
        Says(429, {"error": {"message": "pay first", "code": "insufficient_quota"}}),
        Says(429, LIMITED.body, headers=(("retry-after", "3600"),)),
    ],
    ids=["broken to the end", "no key", "no model", "no money", "an hour"],
)
async def test_the_next_place_is_taken_when_the_first_one_does_not_answer(
    tmp_path: Path, upstream: Provider, other: Provider, closed: Says
) -> None:
    upstream.will_say(closed)
    async with running_ledger(tmp_path, upstream.base_url, **routes(other), model_retries=1) as asking:
        answer = await asking.ask("t/r/0/d")
        assert answer.headers["x-patchwright-answered-by"] == "other/spare"
        assert (await asking.ask("t/r/0/d")).headers["x-patchwright-answered-by"] == "other/spare"
    assert {call.body["model"] for call in upstream.calls} == {"real"}
    assert [call.body["model"] for call in other.calls] == ["spare"]
    assert len(upstream.calls) == (2 if closed is BROKEN else 1)


async def test_a_fallback_in_the_place_of_an_answer_that_was_lost_is_counted(
    tmp_path: Path, upstream: Provider, other: Provider
) -> None:
    upstream.will_say(Says(cut=True))
    more = {"model_recovery": "idempotency-key", "model_retries": 1, **routes(other)}
    async with running_ledger(tmp_path, upstream.base_url, **more) as asking:
        assert (await asking.ask("t/r/0/d")).headers["x-patchwright-answered-by"] == "other/spare"
        assert await asking.metric("patchwright_model_calls_uncertain_total") == 1


async def test_a_call_that_was_out_at_a_fallback_is_asked_for_there_first(
    tmp_path: Path, upstream: Provider, other: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.serving.DRAIN_SECONDS", 0.1)
    more = {"model_recovery": "none", "model_retries": 0, **routes(other, recovery="idempotency-key")}
    upstream.will_say(BROKEN)
    other.may_answer.clear()
    async with running_ledger(tmp_path, upstream.base_url, **more) as asking:
        leaving = asyncio.create_task(asking.ask("t/r/0/d"))
        await other.arrived.wait()
    await asyncio.gather(leaving, return_exceptions=True)
    upstream.will_say(GOOD)
    other.may_answer.set()
    async with running_ledger(tmp_path, upstream.base_url, **more) as asking:
        assert (await asking.ask("t/r/0/d")).headers["x-patchwright-answered-by"] == "other/spare"
        assert await asking.metric("patchwright_model_calls_uncertain_total") == 0
    assert len(upstream.calls) == 1
    assert len({call.headers["idempotency-key"] for call in other.calls}) == 1


async def test_a_background_response_that_failed_is_not_fetched_for_ever(tmp_path: Path, upstream: Provider) -> None:
    failed = {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "oh no"}, "output": []}
    upstream.will_say(Says(body={"id": "resp_1", "status": "queued"}), Says(body=failed), GOOD)
    async with running_ledger(tmp_path, upstream.base_url, model_recovery="background") as asking:
        assert (await asking.ask("t/r/0/d")).json()["status"] == "completed"
        assert await asking.metric("patchwright_model_calls_uncertain_total") == 0
    assert [call.path for call in upstream.calls] == ["/v1/responses", "/v1/responses/resp_1", "/v1/responses"]


async def test_a_background_response_that_never_ends_is_not_waited_for_without_end(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(Says(body={"id": "resp_1", "status": "in_progress"}))
    more = {"model_recovery": "background", "model_timeout_seconds": 0.5, "model_retries": 0}
    async with running_ledger(tmp_path, upstream.base_url, **more) as asking:
        assert (await asking.ask("t/r/0/d")).status_code == 502
        upstream.will_say(GOOD)
        assert (await asking.ask("t/r/0/d")).status_code == 200
    assert sum(call.path == "/v1/responses" for call in upstream.calls) == 1, "it is looked for again and not begun again"


async def test_a_bad_request_is_not_carried_from_place_to_place(tmp_path: Path, upstream: Provider, other: Provider) -> None:
    upstream.will_say(Says(400, {"error": {"message": "no"}}))
    async with running_ledger(tmp_path, upstream.base_url, **routes(other)) as asking:
        assert (await asking.ask("t/r/0/d")).status_code == 400
    assert other.calls == []


async def test_a_provider_is_asked_by_the_api_it_speaks(tmp_path: Path, upstream: Provider, other: Provider) -> None:
    async with running_ledger(tmp_path, upstream.base_url, **routes(other, api="chat"), model_api="chat") as asking:
        assert (await asking.ask("t/r/0/d")).status_code == 404, "the worker then asks by the other one"
        assert (await asking.ask("t/r/0/d", chat=True)).status_code == 200
    assert [call.path for call in upstream.calls] == ["/v1/chat/completions"]


async def test_no_more_calls_at_once_than_the_provider_takes(tmp_path: Path, upstream: Provider) -> None:
    upstream.will_say(Says(seconds=0.05))
    few = {"default": {"max_concurrent": 3}}
    async with running_ledger(tmp_path, upstream.base_url, providers=few) as asking:
        answers = await asyncio.gather(*(asking.ask(f"t/r/{n}/d") for n in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert upstream.most_at_once == 3


async def test_no_more_calls_in_a_minute_than_the_provider_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ledger.gate.MINUTE", 0.4)
    gate, begun = ProviderGate(100, 2), []

    async def pass_it() -> None:
        async with gate.passing():
            begun.append(time.monotonic())

    await asyncio.gather(*(pass_it() for _ in range(5)))
    assert all(later - earlier >= 0.39 for earlier, later in zip(begun, begun[2:], strict=False))


async def test_a_providers_key_may_be_in_the_environment_or_in_a_file(
    tmp_path: Path, upstream: Provider, other: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARE_KEY", "from-the-environment")
    (tmp_path / "key").write_text("from-a-file\n")
    named = {
        "default": {"api_key_file": str(tmp_path / "key")},
        "other": {"base_url": other.base_url, "api_key_variable": "SPARE_KEY", "headers": {"x-team": "blue"}},
    }
    places = {"spare": [{"provider": "other"}]}
    async with running_ledger(tmp_path, upstream.base_url, providers=named, model_routes=places) as asking:
        await asking.ask("t/r/0/d")
        await asking.ask("t/r/1/d", model="spare")
    assert upstream.calls[0].headers["authorization"] == "Bearer from-a-file"
    assert other.calls[0].headers["authorization"] == "Bearer from-the-environment"
    assert other.calls[0].headers["x-team"] == "blue"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"model_routes": {"big": [{"provider": "nobody"}]}}, "nobody"),
        ({"providers": {"p": {"api_key_variable": "NO_SUCH_VARIABLE"}}}, "NO_SUCH_VARIABLE"),
        ({"providers": {"p": {"api_key_file": "/no/such/file"}}}, "/no/such/file"),
    ],
)
def test_a_configuration_that_leads_nowhere_is_refused_with_its_name(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        ledger_settings(tmp_path, "", **more).model_providers()

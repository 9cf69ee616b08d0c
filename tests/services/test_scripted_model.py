"""The scripted model, driven by the real clients over real HTTP."""

import asyncio

import agents
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from services.scripted_model import Call, Fault, FaultKind, Turn, serve, steps_script

agents.set_tracing_disabled(True)
PLANNER = "You are the planner of Patchwright.\n\nPlan."
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def client_of(server, retries=0):
    return openai.AsyncOpenAI(base_url=server.base_url, api_key="sk-any", max_retries=retries)


@pytest.fixture
async def talker():
    """Answers with two calls first, then with text."""
    two_calls = Turn(calls=(Call("look", {"where": "östlich"}), Call("look", {})))
    async with serve(steps_script({"planner": [two_calls, Turn(text="done " * 30)]})) as server:
        yield server


async def test_responses_have_the_shape_of_the_real_ones(talker):
    raw = await client_of(talker).responses.with_raw_response.create(model="m", instructions=PLANNER, input="go", tools=[LOOK])
    answer = Response.model_validate_json(raw.http_response.content)
    assert raw.headers["x-patchwright-scripted"] == "true"
    assert [item.type for item in answer.output] == ["function_call", "function_call"]
    assert answer.output[0].arguments == '{"where": "östlich"}'
    assert len({item.call_id for item in answer.output}) == 2
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


async def test_streamed_responses_end_with_the_same_answer(talker):
    client = client_of(talker)
    ask = {"model": "m", "instructions": PLANNER, "input": "go", "tools": [LOOK]}
    whole = await client.responses.create(**ask)
    async with client.responses.stream(**ask) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [item.arguments for item in final.output] == [item.arguments for item in whole.output]
    assert [event.sequence_number for event in events if hasattr(event, "sequence_number")][:3] == [0, 1, 2]
    pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta" and e.output_index == 0)
    assert pieces == whole.output[0].arguments


async def test_chat_completions_have_the_shape_of_the_real_ones(talker):
    client = client_of(talker)
    messages = [{"role": "system", "content": PLANNER}, {"role": "user", "content": "go"}]
    raw = await client.chat.completions.with_raw_response.create(model="m", messages=messages)
    answer = ChatCompletion.model_validate_json(raw.http_response.content)
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content, len(choice.message.tool_calls)) == ("tool_calls", None, 2)
    calls = choice.message.model_dump(exclude_none=True)
    outputs = [{"role": "tool", "tool_call_id": call.id, "content": "seen"} for call in choice.message.tool_calls]
    stream = await client.chat.completions.create(model="m", messages=[*messages, calls, *outputs], stream=True,
                                                  stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "done " * 30
    assert chunks[-1].usage.completion_tokens > 0


async def test_the_same_request_gets_the_same_answer_and_counts_as_repeated(talker):
    client = client_of(talker)
    ask = {"model": "m", "instructions": PLANNER, "input": "for pw-aaaabbbbcccc", "tools": [LOOK]}
    first, second = [await client.responses.create(**ask) for _ in range(2)]
    other = await client.responses.create(**{**ask, "input": "for pw-ddddeeeeffff"})
    assert [i.call_id for i in first.output] == [i.call_id for i in second.output]
    assert {i.call_id for i in first.output}.isdisjoint(i.call_id for i in other.output)
    async with httpx2.AsyncClient() as http:
        stats = (await http.get(f"http://127.0.0.1:{talker.port}/stats")).json()
    assert (stats["scripted"], stats["total"], stats["repeated"]) == (True, 3, 1)
    assert stats["by_task"] == {"pw-aaaabbbbcccc": 2, "pw-ddddeeeeffff": 1}
    assert stats["by_agent"] == {"planner": 3}


async def test_the_model_list_says_that_it_is_scripted(talker):
    models = [model async for model in client_of(talker).models.list()]
    assert models[0].id == "scripted"
    assert "scripted" in models[0].owned_by


@pytest.mark.parametrize("use_responses", [True, False])
async def test_turns_are_counted_per_agent_across_handoffs(use_responses):
    """The Agents SDK's own runner plays coder → critic → coder and ends in the coder's last turn."""
    noted = []

    @agents.function_tool
    def note(text: str) -> str:
        noted.append(text)
        return "noted"

    script = steps_script({
        "coder": [
            Turn.call("note", text="coder 0"), Turn.hand_off("critic"), Turn.call("note", text="coder 2"), Turn(text="end")],
        "critic": [Turn.call("note", text="critic 0"), Turn(text="Mind this.", calls=(Call("transfer_to_coder"),))],
    })
    coder = agents.Agent(name="coder", instructions="You are the coder of Patchwright.", tools=[note], model="m")
    critic = agents.Agent(name="critic", instructions="You are the critic of Patchwright.", tools=[note], model="m")
    coder.handoffs, critic.handoffs = [critic], [coder]
    async with serve(script) as server:
        provider = agents.OpenAIProvider(openai_client=client_of(server), use_responses=use_responses)
        result = await agents.Runner.run(coder, "go", run_config=agents.RunConfig(model_provider=provider))
    assert noted == ["coder 0", "critic 0", "coder 2"]
    assert (result.final_output, result.last_agent.name) == ("end", "coder")
    assert server.stats.by_agent == {"coder": 4, "critic": 2}


@pytest.mark.parametrize(("fault", "error"), [
    (Fault(FaultKind.RATE_LIMIT, 2), openai.RateLimitError),
    (Fault(FaultKind.SERVER_ERROR), openai.InternalServerError),
    (Fault(FaultKind.CUT), openai.APIConnectionError),
])
async def test_a_fault_strikes_once_and_then_the_answer_comes(fault, error):
    async with serve(steps_script({"planner": [Turn(text="at last", faults=(fault,))]})) as server:
        ask = {"model": "m", "instructions": PLANNER, "input": "go"}
        with pytest.raises(error) as failure:
            await client_of(server).responses.create(**ask)
        if fault.kind is FaultKind.RATE_LIMIT:
            assert failure.value.response.headers["retry-after"] == "2"
        assert (await client_of(server).responses.create(**ask)).output_text == "at last"
        assert (server.stats.answered, server.stats.faults) == (1, {fault.kind.value: 1})


async def test_nonsense_is_no_json_and_a_refusal_is_a_refusal():
    script = steps_script({"planner": [Turn(refusal="I will not.", faults=(Fault(FaultKind.NONSENSE),))]})
    async with serve(script) as server, httpx2.AsyncClient() as http:
        body = {"model": "m", "instructions": PLANNER, "input": "go"}
        nonsense, answer = [await http.post(f"{server.base_url}/responses", json=body) for _ in range(2)]
    assert nonsense.status_code == 200
    with pytest.raises(ValueError):
        nonsense.json()
    assert Response.model_validate(answer.json()).output[0].content[0].refusal == "I will not."


async def test_past_its_end_the_script_says_so_with_a_status_that_is_not_repeated():
    async with serve(steps_script({"planner": []})) as server:
        for instructions, told in ((PLANNER, "0 turns for planner"), ("You are nobody.", "no agent")):
            with pytest.raises(openai.BadRequestError, match=told):
                await client_of(server, retries=3).responses.create(model="m", instructions=instructions, input="go")
        assert server.stats.answered == 0


async def test_a_run_of_its_own_can_be_chosen_by_what_the_user_said():
    script = steps_script({"fixer": lambda request: [Turn(text="review" if "review" in request.said else "checks")]})
    async with serve(script) as server:
        for said in ("checks", "review"):
            answer = await client_of(server).responses.create(
                model="m", instructions="You are the fixer of Patchwright.", input=f"the {said} say")
            assert answer.output_text == said


@pytest.mark.parametrize("body", ["[]", "{", '{"input": 3}', '{"input": [1]}', '{"input": "x", "previous_response_id": "r"}'])
async def test_a_malformed_request_is_answered_with_400(talker, body):
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{talker.base_url}/responses", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_the_same_idempotency_key_gets_the_first_answer_and_is_paid_once():
    script = steps_script({"planner": [Turn(text="done", faults=(Fault(FaultKind.NONSENSE),))]})
    async with serve(script, latency_seconds=0.05) as server:
        client, key = client_of(server), {"Idempotency-Key": "k"}
        ask = {"model": "m", "instructions": PLANNER, "input": "go", "extra_headers": key}
        await asyncio.gather(*(client.responses.create(**ask) for _ in range(3)), return_exceptions=True)
        assert (await client.responses.create(**ask)).output_text == "done"
        assert (server.stats.answered, server.stats.repeated, server.stats.recovered) == (1, 0, 2)
        with pytest.raises(openai.BadRequestError, match="another body"):
            await client.responses.create(**{**ask, "input": "other"})


async def test_a_forgetful_server_is_paid_for_each_answer_and_names_it():
    async with serve(steps_script({"planner": [Turn(text="done")]}), idempotent=False) as server:
        ask = {"model": "m", "instructions": PLANNER, "input": "go", "extra_headers": {"Idempotency-Key": "k"}}
        for _ in range(2):
            await client_of(server).responses.create(**ask)
        assert (server.stats.answered, server.stats.repeated, server.stats.recovered) == (2, 1, 0)
        assert [repeat["agent"] for repeat in server.stats.repeats] == ["planner"]

"""Models on the wire: any endpoint that speaks OpenAI's Responses or Chat Completions API.

The typed client spends about a millisecond per pair of input items on transforming typed parameters, on every call.
Here the plain body is posted, and each item of a conversation is encoded once.
"""

import json
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Literal, TypeVar

import httpx2
from agents import AgentOutputSchemaBase, Handoff, ModelSettings, Tool, Usage
from agents.exceptions import ModelBehaviorError
from agents.items import ModelResponse, TResponseInputItem, TResponseStreamEvent
from agents.models.interface import Model, ModelTracing
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import Converter
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, Omit
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from pydantic import ValidationError

from activities.agent_run.encoding import Conversation, Frame, as_items, canonical
from activities.agent_run.wire_answers import PassingFailure, completion_as_promised, response_as_promised
from activities.agent_run.wire_keys import asked_as, call_key
from contracts.errors import BudgetExceeded
from contracts.model_call import BUDGET_CODE, CALL_HEADER, MAX_OUTPUT_HEADER, MODEL_HEADER

SHORTEST_KEY = 8
"""Characters; anything shorter stands for no key."""
Answer = TypeVar("Answer", Response, ChatCompletion)
WireApi = Literal["auto", "responses", "chat"]
_NO_SUCH_ENDPOINT = (404, 405, 501)
_SCHEMA_WORDS = re.compile(r"json_schema|response_format|text\.format|structured[ _]output|\bschema\b", re.IGNORECASE)
HOSTED_PATCH, NOT_GIVEN = "apply_patch", "patch_not_given"
SILENCE = "(an empty answer)"
"""What stands for an answer without words and calls."""
_UNKNOWN_MODEL = "model_not_found"


class ResponsesModel(Model):
    """A model behind ``POST {base_url}/responses``."""

    def __init__(self, name: str, client: AsyncOpenAI) -> None:
        self.name = name
        self._client = client
        self._conversation = Conversation()
        self._frame = Frame(self._encode_frame)

    async def get_response(  # the SDK's signature
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        **_unused: Any,
    ) -> ModelResponse:
        """One call. Raises ``openai.APIError`` for the endpoint's failures, ``ModelBehaviorError`` for nonsense."""
        self._conversation.follow([_sendable(item) for item in as_items(input)])
        frame = self._frame.of(system_instructions, model_settings, tools, output_schema, handoffs)
        body = frame + b',"input":' + self._conversation.body + b"}"
        headers = {**(model_settings.extra_headers or {}), **_told(self.name, model_settings.max_tokens)}
        response = await post(self._client, "/responses", body, Response, headers)
        return _model_response(response)

    def _encode_frame(
        self,
        instructions: str | None,
        settings: ModelSettings,
        tools: list[Tool],
        schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
    ) -> bytes:
        """Everything of the request but its input, its closing brace left out."""
        converted = Converter.convert_tools(tools, handoffs, model=self.name, tool_choice=settings.tool_choice)
        body = {
            "model": self.name,
            "instructions": instructions,
            "tools": converted.tools,
            "tool_choice": Converter.convert_tool_choice(settings.tool_choice, tools=tools, handoffs=handoffs, model=self.name),
            "parallel_tool_calls": settings.parallel_tool_calls,
            "text": Converter.get_response_format(schema),
            "temperature": settings.temperature,
            "max_output_tokens": settings.max_tokens,
        }
        return canonical({k: v for k, v in body.items() if v is not None and not isinstance(v, Omit)})[:-1]

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Not used: an activity has nobody to stream to."""
        raise NotImplementedError("Patchwright runs agents without streaming")

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """What the SDK's retry layer should know; the policy in the settings decides."""
        return None


class ChatModel(OpenAIChatCompletionsModel):
    """A model behind ``POST {base_url}/chat/completions``; the SDK converts, the plain body is posted."""

    def __init__(self, name: str, client: AsyncOpenAI) -> None:
        super().__init__(model=name, openai_client=client)
        self._plain = SimpleNamespace(
            base_url=client.base_url,
            api_key=client.api_key,
            chat=SimpleNamespace(completions=SimpleNamespace(create=self._create)),
        )

    def _get_client(self) -> Any:
        return self._plain

    async def _create(
        self, *, extra_headers: Any = None, extra_query: Any = None, extra_body: Any = None, **body: Any
    ) -> ChatCompletion:
        wanted = {"model": body.pop("model"), **body}  # the ledger reads the name from the body's first bytes
        given = {k: v for k, v in wanted.items() if v is not None and not isinstance(v, Omit)}
        given.pop("timeout", None)
        if given.get("stream") is False:
            del given["stream"]
        limit = given.get("max_completion_tokens") or given.get("max_tokens")
        headers = {**(extra_headers or {}), **_told(given["model"], limit)}
        return await post(self._client, "/chat/completions", canonical(given), ChatCompletion, headers)


class WireModel(Model):
    """A model whose endpoint speaks one of the two APIs; ``auto`` finds out with the first call and remembers."""

    found: dict[str, Literal["responses", "chat"]] = {}  # noqa: RUF012  which API each base URL speaks, for the process
    """Base URL and model → API: behind one ledger stand many endpoints."""
    without_schemas: set[str] = set()  # noqa: RUF012  for the process, as above
    """Base URLs and models whose endpoints refuse a schema of the answer."""

    def __init__(self, name: str, client: AsyncOpenAI, api: WireApi) -> None:
        self.name = name
        self._client = client
        self._api = api
        self._responses = ResponsesModel(name, client)
        self._chat = ChatModel(name, client)

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        *more: Any,
        **named: Any,
    ) -> ModelResponse:
        """One call by whichever API the endpoint speaks, with the schema of the answer in words where it takes none."""
        schema = output_schema if output_schema is not None and not output_schema.is_plain_text() else None
        answer = None
        if schema is None or self._place not in self.without_schemas:
            try:
                answer = await self._ask(system_instructions, input, model_settings, tools, output_schema, *more, **named)
            except APIStatusError as error:
                if schema is None or not _refuses_schema(error):
                    raise
        if answer is None and schema is not None:
            # Another request, so another key, the same one whether or not this process knew that it has to be in words.
            with asked_as(f"{call_key()}/words" if call_key() else ""):
                told = _in_words(system_instructions, schema)
                answer = await self._ask(told, input, model_settings, tools, None, *more, **named)
            self.without_schemas.add(self._place)
        assert answer is not None
        answer = _of_known_kinds(_with_fresh_ids(answer, input), tools)
        return answer if schema is None else _saying_something(answer)

    @property
    def _place(self) -> str:
        return f"{self._client.base_url} {self.name}"

    async def _ask(self, *args: Any, **kwargs: Any) -> ModelResponse:
        place = self._place
        api = self._api if self._api != "auto" else self.found.get(place)
        if api == "chat":
            return await self._chat.get_response(*args, **kwargs)
        if api == "responses":
            return await self._responses.get_response(*args, **kwargs)
        try:
            answer = await self._responses.get_response(*args, **kwargs)
        except APIStatusError as error:
            if error.status_code not in _NO_SUCH_ENDPOINT or error.code == _UNKNOWN_MODEL:
                raise
            answer = await self._chat.get_response(*args, **kwargs)
            self.found[place] = "chat"
            return answer
        self.found[place] = "responses"
        return answer

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Not used: an activity has nobody to stream to."""
        raise NotImplementedError("Patchwright runs agents without streaming")


async def post(client: AsyncOpenAI, path: str, body: bytes, answer: type[Answer], headers: Any) -> Answer:
    """Post a plain body and validate the answer. Raises ``ModelBehaviorError`` when it is not of the promised form."""
    try:
        raw = await client.post(
            path, cast_to=object, content=body, options={"headers": {"Content-Type": "application/json", **(headers or {})}}
        )
    except APIStatusError as error:
        if error.status_code == 402 and error.code == BUDGET_CODE:
            raise BudgetExceeded(_message(error)) from None
        raise _without_key(error, client.api_key) from None
    except ValueError as error:
        raise _passing(client, path, f"The model endpoint answered {path} with something that is not JSON.") from error
    if isinstance(raw, str):
        raise _passing(client, path, f"The model endpoint answered {path} with a page or text that is not JSON.")
    if not isinstance(raw, dict):
        raise ModelBehaviorError(f"The model endpoint answered {path} with something that is not a JSON object.")
    try:
        return answer.model_validate(response_as_promised(raw) if answer is Response else completion_as_promised(raw))
    except PassingFailure as error:
        raise _passing(client, path, str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelBehaviorError(f"The model endpoint's answer to {path} is malformed at {place!r}: {first['msg']}.") from error


def _told(model: str, max_output: int | None) -> dict[str, str]:
    """What the ledger need not look for in the body."""
    key = {CALL_HEADER: call_key()} if call_key() else {}
    return {**key, MODEL_HEADER: model, MAX_OUTPUT_HEADER: str(max_output or 0)}


def _message(error: APIStatusError) -> str:
    return str(error.body.get("message") or error.message) if isinstance(error.body, dict) else error.message


def _without_key(error: APIStatusError, key: str) -> APIStatusError:
    """The failure without our key in it: some gateways repeat what they were sent, and people read what they said."""
    told = json.dumps([error.message, error.body], default=str, ensure_ascii=False)
    if len(key) < SHORTEST_KEY or key not in told:
        return error
    message, body = json.loads(told.replace(key, "(the key)"))
    return type(error)(message, response=error.response, body=body)


def _refuses_schema(error: APIStatusError) -> bool:
    """Whether an endpoint says that it takes no schema of the answer, or not this one."""
    if error.status_code not in (400, 415, 422, 501):
        return False
    return str(error.param or "").startswith("text") or bool(_SCHEMA_WORDS.search(f"{error.param} {error.message}"))


def _of_known_kinds(answer: ModelResponse, tools: list[Tool]) -> ModelResponse:
    """The answer, in which a call that the SDK takes for a hosted tool's is one of a tool that does not exist.

    The SDK ends the run at the first call by such a name of an agent without such a tool; any other name it answers.
    """
    known = {tool.name for tool in tools}
    for item in answer.output:
        if not isinstance(item, ResponseFunctionToolCall) or item.name in known:
            continue
        if item.name.strip().lower().startswith(HOSTED_PATCH):
            item.name = NOT_GIVEN
    return answer


def _with_fresh_ids(answer: ModelResponse, said: str | list[TResponseInputItem]) -> ModelResponse:
    """The answer with other ids for calls whose id the conversation has already: outputs are matched to calls by it."""
    calls = [item for item in answer.output if item.type == "function_call"]
    if not calls or isinstance(said, str):
        return answer
    taken = {str(item.get("call_id")) for item in said if item.get("type") == "function_call"}
    for call in calls:
        given, again = call.call_id, 1
        while call.call_id in taken:
            again += 1
            call.call_id = f"{given}_{again}"
        taken.add(call.call_id)
    return answer


def _in_words(instructions: str | None, schema: AgentOutputSchemaBase) -> str:
    told = canonical(schema.json_schema()).decode()
    return f"{instructions or ''}\n\nYour final answer is one JSON object of this schema and nothing else:\n\n{told}"


def _saying_something(answer: ModelResponse) -> ModelResponse:
    """The answer, with words in the place of silence: the runner would ask a silent agent the same again, turn after turn."""
    for item in answer.output:
        if item.type == "function_call" or (
            item.type == "message" and any(getattr(part, "text", "") or getattr(part, "refusal", "") for part in item.content)
        ):
            return answer
    words = ResponseOutputText(text=SILENCE, type="output_text", annotations=[])
    said = ResponseOutputMessage(id="msg_silence", content=[words], role="assistant", status="completed", type="message")
    kept = [item for item in answer.output if item.type != "message"]
    return ModelResponse(output=[*kept, said], usage=answer.usage, response_id=answer.response_id)


def _passing(client: AsyncOpenAI, path: str, told: str) -> APIConnectionError:
    """A failure sent as 200, a proxy's error page most likely: it is retried like a lost connection."""
    return APIConnectionError(message=told, request=httpx2.Request("POST", f"{client.base_url}{path.lstrip('/')}"))


def _sendable(item: Any) -> Any:
    """The item without what only other providers understand."""
    if isinstance(item, dict) and "provider_data" in item:
        return {k: v for k, v in item.items() if k != "provider_data"}
    return item


def _model_response(response: Response) -> ModelResponse:
    if response.status in ("failed", "incomplete"):
        why = response.error.message if response.error else getattr(response.incomplete_details, "reason", None)
        raise ModelBehaviorError(f"The model's answer ended as {response.status!r}: {why or 'no reason given'}.")
    usage = response.usage
    counted = (
        Usage(requests=1, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, total_tokens=usage.total_tokens)
        if usage
        else Usage(requests=1)
    )
    return ModelResponse(output=response.output, usage=counted, response_id=response.id)

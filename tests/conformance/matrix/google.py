"""Google's SDK: what it sends for a conversation, and what it reads."""

import base64
from typing import Any

import httpx
from google import genai
from google.genai import types

from tests.conformance.matrix.said import PNG, WEATHER, Called, Said, Talk, figures
from tests.conformance.matrix.wires import Transport, Wire
from tests.protocols.test_recorded import gemini as counted

FAULT = genai.errors.APIError
_LENGTH = {"MAX_TOKENS"}
_REFUSED = {
    *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
}


class Client:
    def __init__(self, url: str, key: str, wires: list[Wire]) -> None:
        self._http = httpx.AsyncClient(transport=Transport(wires), timeout=30)
        self._unused = httpx.Client(verify=False)
        options = types.HttpOptions(base_url=url, httpx_async_client=self._http, httpx_client=self._unused)
        self._sdk = genai.Client(api_key=key, http_options=options)

    async def ask(self, talk: Talk, stream: bool) -> Said:
        models, body = self._sdk.aio.models, asked(talk)
        if not stream:
            return read([await models.generate_content(**body)])
        return read([answer async for answer in await models.generate_content_stream(**body)])

    async def close(self) -> None:
        await self._http.aclose()
        self._unused.close()
        self._sdk.close()


def asked(talk: Talk) -> dict[str, Any]:
    tools: Any = [
        types.FunctionDeclaration(name=name, description="The weather.", parameters_json_schema=WEATHER)
        for name in talk.tools
    ]
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024 if talk.think else None)
    config = types.GenerateContentConfig(
        system_instruction=talk.system or None,
        tools=[types.Tool(function_declarations=tools)] if tools else None,
        thinking_config=thinking if talk.think else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        max_output_tokens=talk.max_tokens,
        stop_sequences=list(talk.stop) or None,
        response_mime_type=None if talk.schema is None else "application/json",
        response_json_schema=talk.schema,
    )
    return {"model": talk.model, "contents": _contents(talk), "config": config}


def _contents(talk: Talk) -> list[types.Content]:
    parts = [types.Part(text=talk.text)]
    if talk.image:
        parts.append(types.Part(inline_data=types.Blob(data=base64.b64decode(PNG), mime_type="image/png")))
    contents = [types.Content(role="user", parts=parts)]
    if talk.past is not None:
        calls = [part.function_call for part in talk.past.raw.parts if part.function_call]
        results = [
            types.Part(
                function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": result})
            )
            for call, result in zip(calls, talk.results, strict=True)
        ]
        contents += [talk.past.raw, types.Content(role="user", parts=results)]
    return contents


def read(answers: list[types.GenerateContentResponse]) -> Said:
    text = thinking = finish = ""
    calls: list[Called] = []
    kept: list[Any] = []
    refused = any(answer.prompt_feedback and answer.prompt_feedback.block_reason for answer in answers)
    for answer in answers:
        for candidate in (answer.candidates or [])[:1]:
            finish = candidate.finish_reason.value if candidate.finish_reason else finish
            for part in (candidate.content and candidate.content.parts) or []:
                kept.append(part)
                if part.function_call is not None and part.function_call.name:
                    calls.append(Called(part.function_call.name, part.function_call.args or {}))
                elif part.text and part.thought:
                    thinking += part.text
                elif part.text:
                    text += part.text
    stop = "length" if finish in _LENGTH else "refusal" if refused or finish in _REFUSED else "end"
    usage = counted([answer.model_dump(mode="json", by_alias=True, exclude_none=True) for answer in answers])
    raw = types.Content(role="model", parts=kept)
    stop = "tool_use" if calls and stop == "end" else stop
    return Said(text, thinking, tuple(calls), stop, None, figures(usage), raw)

"""Google's Gemini API: https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings."""

from base64 import b64encode
from typing import Any

from gateway.local.sandbox.answer import (
    Answer,
    Ask,
    Invalid,
    Members,
    Tool,
    encode,
    member,
    members_of,
    objects,
    prompt_tokens,
    text_of,
)
from gateway.local.sandbox.dialect import Dialect, Events, Fault, Target, Vectors
from gateway.local.sandbox.schema import mapping
from gateway.protocols.codec import Usage

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES = {
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    403: "The caller does not have permission",
    404: "The model is not found for API version v1beta, or is not supported for generateContent.",
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry or report in https://ai.google.dev/gemini-api/docs/troubleshooting",
    503: "The model is overloaded. Please try again later.",
}
_STOPS = {"end": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "refusal": "SAFETY"}
_CATEGORIES = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")
_PROMPT = ("systemInstruction", "system_instruction", "contents", "tools")


def _either(members: Members, camel: str, snake: str, default: Any) -> Any:
    return member(members, camel, member(members, snake, default))


def ask(target: Target, members: Members) -> Ask:
    contents = objects(member(members, "contents"))
    if not contents:
        raise Invalid("* GenerateContentRequest.contents: contents is not specified")
    config: Any = _either(members, "generationConfig", "generation_config", {})
    calling: Any = _either(members, "toolConfig", "tool_config", {}).get("functionCallingConfig") or {}
    users = [t for c in contents if c.get("role", "user") == "user" and (t := text_of(c.get("parts")))]
    results = [p["functionResponse"] for p in objects(contents[-1].get("parts")) if "functionResponse" in p]
    allowed = calling.get("allowedFunctionNames") or [""]
    return Ask(
        model=target.model,
        stream=target.action == "streamGenerateContent",
        text=users[-1] if users else "",
        usage=_cached(members),
        tools=tuple(_tools(objects(member(members, "tools")))),
        result=encode(results[-1].get("response")).decode() if results else None,
        forced=str(allowed[0]) if calling.get("mode") == "ANY" else None,
        schema=_schema(config),
        max_tokens=config.get("maxOutputTokens"),
        answers=_answers(config.get("candidateCount", config.get("candidate_count"))),
        members=members,
        sse=target.sse,
    )


def _answers(number: Any) -> int:
    if number is not None and (type(number) is not int or not 1 <= number <= 8):
        raise Invalid(f"* GenerateContentRequest.generation_config.candidate_count: {number} is out of range")
    return number or 1


def _cached(members: Members) -> Usage:
    """Half of a prompt that names cached content was cached."""
    total = prompt_tokens(members, *_PROMPT)
    read = total // 2 if member(members, "cachedContent") else 0
    return Usage(input_tokens=total - read, cache_read_tokens=read)


def _tools(rows: list[dict[str, Any]]) -> list[Tool]:
    names = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    declared = [d for r in rows for d in objects(r.get("functionDeclarations") or r.get("function_declarations"))]
    return [Tool(str(d.get("name")), mapping(next((d[n] for n in names if d.get(n)), None))) for d in declared]


def _schema(config: dict[str, Any]) -> dict[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    return config.get("responseJsonSchema") or config.get("responseSchema") or {}


def identify(answer: Answer) -> str:
    return answer.serial


def _usage(usage: Usage, spoken: int) -> dict[str, Any]:
    prompt = usage.input_tokens + usage.cache_read_tokens
    thoughts = min(usage.reasoning_tokens, spoken)
    body: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": spoken - thoughts,
        "totalTokenCount": prompt + spoken,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if usage.cache_read_tokens:
        body["cachedContentTokenCount"] = usage.cache_read_tokens
        body["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cache_read_tokens}]
    return body | ({"thoughtsTokenCount": thoughts} if thoughts else {})


def _body(ask: Ask, answer: Answer, parts: list[dict[str, Any]], spoken: int, finish: bool) -> bytes:
    """`spoken`: tokens of all the answers so far."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = _STOPS[answer.stop]
        if answer.stop == "refusal":
            candidate["content"] = {}
            candidate["safetyRatings"] = [
                {"category": f"HARM_CATEGORY_{c}", "probability": "LOW", "blocked": c == "HATE_SPEECH"}
                for c in _CATEGORIES
            ]
    usage = _usage(answer.usage, spoken)
    candidates = [{**candidate, "index": index} for index in range(ask.answers)]
    body = {"candidates": candidates, "usageMetadata": usage}
    return encode(body | {"modelVersion": answer.model, "responseId": identify(answer)})


def _parts(ask: Ask, answer: Answer) -> list[tuple[dict[str, Any], int]]:
    """Each part as a stream sends it, with the tokens up to and with it, of one answer. A refusal shows none."""
    if answer.stop == "refusal":
        return []
    rows: list[tuple[dict[str, Any], int]] = []
    for text in answer.thinking:
        rows.append(({"text": text, "thought": True}, len(rows) + 1))
    for text in answer.text:
        rows.append(({"text": text}, len(rows) + 1))
    if call := answer.call:
        function = {"name": call.tool.name, "args": call.arguments, "id": answer.serial[-8:]}
        part: dict[str, Any] = {"functionCall": function}
        if answer.thinking:
            part["thoughtSignature"] = b64encode(answer.serial.encode()).decode()
        rows.append((part, answer.usage.output_tokens // ask.answers))
    return rows


def whole(ask: Ask, answer: Answer) -> bytes:
    parts: list[dict[str, Any]] = []
    if answer.stop != "refusal":
        parts += [{"text": "".join(answer.thinking), "thought": True}] if answer.thinking else []
        parts += [{"text": "".join(answer.text)}] if answer.text else []
        parts += [part for part, _ in _parts(ask, answer) if "functionCall" in part]
    return _body(ask, answer, parts, answer.usage.output_tokens, finish=True)


def events(ask: Ask, answer: Answer) -> Events:
    rows = _parts(ask, answer)
    for index, (part, each) in enumerate(rows):
        spoken = each * ask.answers
        yield _framed(ask, _body(ask, answer, [part], spoken, finish=False), index == 0), spoken
    total = answer.usage.output_tokens
    yield _framed(ask, _body(ask, answer, [{"text": ""}], total, finish=True), not rows), total
    if not ask.sse:
        yield b"]", total


def _framed(ask: Ask, body: bytes, first: bool) -> bytes:
    if ask.sse:
        return b"data: %b\r\n\r\n" % body
    return (b"[" if first else b",\r\n") + body


def _error(fault: Fault) -> dict[str, Any]:
    status = fault.status if fault.status in _STATUSES or fault.status < 500 else 503
    details: list[dict[str, Any]] = []
    message = fault.message or _MESSAGES.get(status, "Request contains an invalid argument.")
    if fault.reason == "key":
        message = "API key not valid. Please pass a valid API key."
        info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        metadata = {"metadata": {"service": "generativelanguage.googleapis.com"}}
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info, **metadata})
    if fault.retry_after is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{fault.retry_after}s"})
    error = {"code": fault.status, "message": message, "status": _STATUSES.get(status, "INVALID_ARGUMENT")}
    return error | ({"details": details} if details else {})


def fault(fault: Fault, request_id: str) -> bytes:
    return encode({"error": _error(fault)})


def event_fault(ask: Ask, answer: Answer, fault: Fault) -> bytes:
    framed = _framed(ask, encode({"error": _error(fault)}), fault.first)
    return framed if ask.sse else framed + b"]"


def headers(request_id: str, fault: Fault | None) -> str:
    return (
        "vary: Origin\r\nvary: X-Origin\r\nvary: Referer\r\nserver: scaffolding on HTTPServer2\r\n"
        "x-xss-protection: 0\r\nx-frame-options: SAMEORIGIN\r\nx-content-type-options: nosniff\r\n"
        'server-timing: gfet4t7; dur=12\r\nalt-svc: h3=":443"; ma=2592000\r\n'
    )


def count(target: Target, members: Members) -> bytes:
    inner = members_of(bytes(members["generateContentRequest"])) if "generateContentRequest" in members else members
    tokens = prompt_tokens(inner, *_PROMPT)
    return encode({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})


def vectors(target: Target, members: Members) -> Vectors:
    batch = target.action == "batchEmbedContents"
    rows = objects(member(members, "requests")) if batch else [{"content": member(members, "content", {})}]
    if not rows:
        raise Invalid("* BatchEmbedContentsRequest.requests: must not be empty")
    first: Any = rows[0]
    default = member(members, "outputDimensionality", 768)
    size = int(first.get("outputDimensionality") or default)
    texts = tuple(text_of((r.get("content") or {}).get("parts")) for r in rows)
    return Vectors(target.model, texts, prompt_tokens(members, "requests", "content"), size)


def embedded(target: Target, asked: Vectors, rows: list[list[float]]) -> bytes:
    details = [{"modality": "TEXT", "tokenCount": asked.tokens}]
    usage = {"promptTokenCount": asked.tokens, "totalTokenCount": asked.tokens, "promptTokensDetails": details}
    if target.action == "embedContent":
        return encode({"embedding": {"values": rows[0]}, "usageMetadata": usage})
    return encode({"embeddings": [{"values": row} for row in rows], "usageMetadata": usage})


GEMINI = Dialect(
    "gemini",
    ask,
    identify,
    whole,
    events,
    fault,
    event_fault,
    headers,
    stream_type="text/event-stream",
    json_type="application/json; charset=UTF-8",
    count=count,
    vectors=vectors,
    embedded=embedded,
)

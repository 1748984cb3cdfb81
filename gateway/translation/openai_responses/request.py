"""A client's request → the neutral form: https://platform.openai.com/docs/api-reference/responses/create

What cannot cross is refused by name or dropped: see `losses`.
"""

from typing import Any, get_args

import msgspec

from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.translation.openai_responses import fields
from gateway.translation.openai_responses.items import Conversation
from gateway.translation.openai_responses.losses import FROM_CLIENTS
from gateway.translation.openai_responses.tools import Offer, read_choice
from gateway.translation.prompt import Effort, Format, Prompt, Reasoning, Text

_KEPT_AT_OPENAI = ("previous_response_id", "conversation", "prompt")
_DROPPED = tuple(row.name for row in FROM_CLIENTS if row.fate == "dropped" and row.name.isidentifier())
_DROPPED_WITHIN = (("text", "verbosity"), ("reasoning", "context"))
_HONOURED = {"reasoning.encrypted_content", "message.output_text.logprobs"}
_body = msgspec.json.Decoder(dict[str, Any])


def parse(body: bytes, endpoint: Endpoint) -> Prompt:
    """Raises InvalidBody."""
    found = _decoded(body)
    _refuse(found)
    offer = Offer()
    offer.read(found.get("tools"), "tools")
    conversation = Conversation(offer)
    instructions = fields.maybe_text(found.get("instructions"), "instructions")
    if instructions:
        conversation.system.append(Text(instructions))
    conversation.read(found.get("input"))
    choice = read_choice(found.get("tool_choice"), found.get("parallel_tool_calls"), offer)
    user = fields.maybe_text(found.get("user"), "user")
    return Prompt(
        model=fields.name(found.get("model"), "model"),
        turns=conversation.turns,
        system=tuple(conversation.system),
        stream=bool(fields.flag(found.get("stream"), "stream")),
        tools=tuple(offer.tools),
        choice=choice,
        max_tokens=fields.whole(found.get("max_output_tokens"), "max_output_tokens"),
        temperature=fields.number(found.get("temperature"), "temperature"),
        top_p=fields.number(found.get("top_p"), "top_p"),
        presence_penalty=fields.number(found.get("presence_penalty"), "presence_penalty"),
        frequency_penalty=fields.number(found.get("frequency_penalty"), "frequency_penalty"),
        logprobs=_logprobs(found),
        format=_format(found),
        reasoning=_reasoning(found),
        user=fields.maybe_text(found.get("safety_identifier"), "safety_identifier") or user,
        metadata=fields.maybe_record(found.get("metadata"), "metadata"),
        service_tier=fields.maybe_text(found.get("service_tier"), "service_tier"),
        dropped=_dropped(found, offer),
    )


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return _body.decode(body)
    except msgspec.ValidationError:
        raise InvalidBody("the body must be a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidBody("the body is nested too deeply") from None


def _refuse(found: dict[str, Any]) -> None:
    for name in _KEPT_AT_OPENAI:
        if found.get(name) is not None:
            raise InvalidBody(f"{name} names what is stored at OpenAI: this model cannot be given it", name)
    if found.get("moderation") is not None:
        raise InvalidBody("moderation is OpenAI's: nobody else would block by it", "moderation")
    if fields.flag(found.get("background"), "background"):
        raise InvalidBody("background answers cannot be had from this model", "background")


def _dropped(found: dict[str, Any], offer: Offer) -> tuple[str, ...]:
    names = [name for name in _DROPPED if name != "include" and found.get(name) is not None]
    if not _HONOURED.issuperset(_included(found)):
        names.append("include")
    for outer, inner in _DROPPED_WITHIN:
        if (found.get(outer) or {}).get(inner) is not None:
            names.append(f"{outer}.{inner}")
    return (*names, *sorted(offer.dropped))


def _included(found: dict[str, Any]) -> list[str]:
    return [
        fields.text(each, f"include[{at}]") for at, each in enumerate(fields.array(found.get("include"), "include"))
    ]


def _logprobs(found: dict[str, Any]) -> int | None:
    most = fields.whole(found.get("top_logprobs"), "top_logprobs")
    return most or 0 if most or "message.output_text.logprobs" in _included(found) else None


def _format(found: dict[str, Any]) -> Format | None:
    text = fields.maybe_record(found.get("text"), "text") or {}
    form = fields.maybe_record(text.get("format"), "text.format") or {}
    path = "text.format"
    match fields.one_of(form.get("type"), f"{path}.type", ("text", "json_object", "json_schema")):
        case "json_object":
            return Format("json")
        case "json_schema":
            return Format(
                "schema",
                fields.record(form.get("schema"), f"{path}.schema"),
                fields.maybe_text(form.get("name"), f"{path}.name"),
                fields.maybe_text(form.get("description"), f"{path}.description"),
                fields.flag(form.get("strict"), f"{path}.strict"),
            )
        case _:
            return None


def _reasoning(found: dict[str, Any]) -> Reasoning:
    asked = fields.maybe_record(found.get("reasoning"), "reasoning") or {}
    summary = asked.get("summary", asked.get("generate_summary"))
    shown = fields.one_of(summary, "reasoning.summary", ("auto", "concise", "detailed")) is not None or None
    efforts = (*get_args(Effort), "none", "max")
    effort = fields.one_of(asked.get("effort"), "reasoning.effort", efforts)
    if effort is None:
        return Reasoning(shown=shown)
    if effort == "none":
        return Reasoning(enabled=False, shown=shown)
    return Reasoning(enabled=True, effort=msgspec.convert("xhigh" if effort == "max" else effort, Effort), shown=shown)

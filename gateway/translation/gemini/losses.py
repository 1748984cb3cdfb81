"""What cannot cross between Gemini and the neutral form: one table, which the code asks before it leaves anything out.

`Prompt.…` and the other values are the neutral form's, on the way to a Gemini upstream; the other names are those of a
Gemini client's request or answer (ai.google.dev/api/generate-content), on the way to an upstream of another protocol.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.members import Object
from gateway.translation.prompt import Untranslatable


class Loss(NamedTuple):
    """`fate`: what becomes of the member; `why` is also what the client reads in a 400."""

    member: str
    fate: Literal["dropped", "400", "clamped"]
    why: str


LOSSES: tuple[Loss, ...] = (
    Loss("cachedContent", "400", "cached content lies with Google alone: send the content itself"),
    Loss("labels", "dropped", "labels are for Google's own bills"),
    Loss("modelArmorConfig", "400", "Model Armor is Google's: no other provider screens by it"),
    Loss("safetySettings", "dropped", "no other provider has thresholds for its filters"),
    Loss("store", "dropped", "whether Google keeps the request says nothing to others"),
    Loss("tools.*", "400", "the provider's own tools cannot be called through another protocol: only functions can"),
    Loss("tools.functionDeclarations.behavior", "dropped", "calls that do not block are of the Live API"),
    Loss("tools.functionDeclarations.response", "dropped", "no other protocol describes what a function returns"),
    Loss("tools.functionDeclarations.responseJsonSchema", "dropped", "as `response`"),
    Loss("toolConfig.includeServerSideToolInvocations", "dropped", "there are no such tools"),
    Loss("toolConfig.retrievalConfig", "dropped", "there is no retrieval"),
    Loss("functionCallingConfig.streamFunctionCallArguments", "dropped", "calls are written whole"),
    Loss("contents.parts.executableCode", "dropped", "code that Google ran is context, not a message"),
    Loss("contents.parts.codeExecutionResult", "dropped", "as `executableCode`"),
    Loss("contents.parts.toolCall", "dropped", "what Google's own tools were asked is context, not a message"),
    Loss("contents.parts.toolResponse", "dropped", "as `toolCall`"),
    Loss("contents.parts.videoMetadata", "dropped", "it belongs to a video"),
    Loss("contents.parts.mediaResolution", "dropped", "no other protocol sets it"),
    Loss("contents.parts.partMetadata", "dropped", "it is the client's own"),
    Loss("contents.parts.text.thoughtSignature", "dropped", "Gemini asks only for those of calls back"),
    Loss("contents.parts.video", "400", "video can be sent to Gemini only"),
    Loss("contents.parts.fileData", "400", "this file lies with Google: no other provider can read it"),
    Loss("contents.parts.fileData.audio", "400", "audio crosses as inlineData only"),
    Loss("contents.parts.system", "400", "instructions are text"),
    Loss("generationConfig.audioTimestamp", "dropped", "it belongs to timed audio"),
    Loss("generationConfig.candidateCount", "400", "one candidate at a time can be asked for"),
    Loss("generationConfig.enableAffectiveDialog", "dropped", "it belongs to speech"),
    Loss("generationConfig.enableEnhancedCivicAnswers", "dropped", "no other provider has it"),
    Loss("generationConfig.imageConfig", "400", "images are made by Gemini only"),
    Loss("generationConfig.mediaResolution", "dropped", "no other protocol sets it"),
    Loss("generationConfig.modelSelectionConfig", "dropped", "the gateway chooses the model"),
    Loss("generationConfig.responseFormat", "400", "send responseMimeType and responseJsonSchema"),
    Loss("generationConfig.responseMimeType", "400", "text/plain and application/json can be answered"),
    Loss("generationConfig.responseModalities", "400", "the answer can be text only"),
    Loss("generationConfig.routingConfig", "dropped", "the gateway chooses the model"),
    Loss("generationConfig.speechConfig", "400", "speech is made by Gemini only"),
    Loss("candidates.content.parts.inlineData", "dropped", "the neutral form's answers have no images"),
    Loss("candidates.groundingMetadata", "dropped", "no other protocol has a place for it"),
    Loss("promptFeedback.blockReason", "dropped", "a refused prompt is a refusal; by what filter is not said"),
    Loss("Opened.redacted", "dropped", "thinking that nobody may read has no place in an answer of Gemini's"),
    Loss("Ended.stop.pause", "dropped", "STOP is the nearest word for it"),
    Loss("Ended.sequence", "dropped", "Gemini does not say which stop sequence it met"),
    Loss("Usage.audio_tokens", "dropped", "they are shared out between prompt and answer there"),
    Loss("Usage.image_tokens", "dropped", "as `audio_tokens`"),
    Loss("Usage.server_tool_calls", "dropped", "there is no count of them"),
    Loss("Prompt.temperature", "clamped", "0 to 2"),
    Loss("Prompt.top_p", "clamped", "0 to 1"),
    Loss("Prompt.presence_penalty", "clamped", "-2 to less than 2"),
    Loss("Prompt.frequency_penalty", "clamped", "-2 to less than 2"),
    Loss("Prompt.seed", "clamped", "32 bits"),
    Loss("Prompt.logprobs", "clamped", "at most 20 alternatives"),
    Loss("Prompt.max_tokens", "clamped", "the model's own limit"),
    Loss("Prompt.reasoning", "clamped", "to what the model can be told: see thinking.py"),
    Loss("Prompt.stop", "400", "Gemini takes at most five stop sequences"),
    Loss("Prompt.service_tier", "dropped", "Gemini knows flex, standard and priority"),
    Loss("Prompt.user", "dropped", "Gemini has no end users"),
    Loss("Prompt.metadata", "dropped", "Gemini has labels on Vertex alone"),
    Loss("Choice.parallel", "dropped", "Gemini cannot be held to one call at a time"),
    Loss("Tool.strict", "dropped", "Gemini's schemas are always kept to, or never"),
    Loss("Tool.schema", "dropped", "what Gemini's subset of OpenAPI has no word for: see schema.py"),
    Loss("Format.schema", "dropped", "as `Tool.schema`"),
    Loss("Format.name", "dropped", "schemas have no names there"),
    Loss("Format.description", "dropped", "as `Format.name`"),
    Loss("Format.strict", "dropped", "as `Tool.strict`"),
    Loss("Turn.system", "dropped", "between messages there is no such role: the text stands in a user's turn"),
    Loss("Thinking.text", "dropped", "thinking without Gemini's own seal means nothing to it"),
    Loss("Sealed.family", "dropped", "only what Gemini sealed goes back to Gemini"),
    Loss("Image.detail", "dropped", "Gemini's resolution is not set image by image"),
    Loss("Document.name", "dropped", "only Vertex knows names of files"),
    Loss("Result.content", "dropped", "between a result's texts the borders are lost"),
    Loss("Text.cache", "dropped", "Gemini caches by itself"),
)

_rows: Mapping[str, Loss] = {row.member: row for row in LOSSES}


def dropped(member: str) -> str:
    """The member's name, for the list of what was left out."""
    assert _rows[member].fate == "dropped", member
    return member


def clamped(member: str) -> str:
    """The name of a value that was changed, for `x-poolgate-adjusted`."""
    assert _rows[member].fate == "clamped", member
    return member.partition(".")[2]


def refused(member: str, field: str) -> InvalidBody:
    """The client's member at `field` cannot cross."""
    return InvalidBody(f"{field}: {_why(member)}", field)


def untranslatable(member: str, field: str) -> Untranslatable:
    return Untranslatable(field, f"{field}: {_why(member)}")


def _why(member: str) -> str:
    assert _rows[member].fate == "400", member
    return _rows[member].why


def sift(found: Object, prefix: str, apart: frozenset[str] = frozenset()) -> Iterator[str]:
    """The names of the members that are left out, less those whose value decides. Raises InvalidBody."""
    for name in found.given():
        row = None if name in apart else _rows.get(prefix + name)
        if row is None:
            continue
        if row.fate == "400":
            raise refused(row.member, found.under(name))
        yield row.member

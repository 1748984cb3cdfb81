"""What cannot cross between Gemini and the neutral form, by name. The code asks this table before it leaves anything
out.

A client's members have the names of its request (ai.google.dev/api/generate-content).
"""

from collections.abc import Iterable, Iterator, Mapping

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.members import Object
from gateway.translation.loss import Loss, losses
from gateway.translation.prompt import Untranslatable

_FROM_CLIENTS = losses(
    "from its clients",
    ("cachedContent", "400", "cached content lies with Google alone: send the content itself"),
    ("labels", "dropped", "labels are for Google's own bills"),
    ("modelArmorConfig", "400", "Model Armor is Google's: no other provider screens by it"),
    ("safetySettings", "dropped", "no other provider has thresholds for its filters"),
    ("store", "dropped", "whether Google keeps the request says nothing to others"),
    ("tools.*", "400", "the provider's own tools cannot be called through another protocol: only functions can"),
    ("tools.functionDeclarations.behavior", "dropped", "calls that do not block are of the Live API"),
    ("tools.functionDeclarations.response", "dropped", "no other protocol describes what a function returns"),
    ("tools.functionDeclarations.responseJsonSchema", "dropped", "no other protocol describes what a function returns"),
    ("toolConfig.includeServerSideToolInvocations", "dropped", "there are no such tools"),
    ("toolConfig.retrievalConfig", "dropped", "there is no retrieval"),
    ("functionCallingConfig.streamFunctionCallArguments", "dropped", "calls are written whole"),
    ("contents.parts.executableCode", "dropped", "code that Google ran is context, not a message"),
    ("contents.parts.codeExecutionResult", "dropped", "code that Google ran is context, not a message"),
    ("contents.parts.toolCall", "dropped", "what Google's own tools were asked is context, not a message"),
    ("contents.parts.toolResponse", "dropped", "what Google's own tools were asked is context, not a message"),
    ("contents.parts.videoMetadata", "dropped", "it belongs to a video"),
    ("contents.parts.mediaResolution", "dropped", "no other protocol sets it"),
    ("contents.parts.partMetadata", "dropped", "it is the client's own"),
    ("contents.parts.text.thoughtSignature", "dropped", "Gemini asks only for those of calls back"),
    ("contents.parts.video", "400", "video can be sent to Gemini only"),
    ("contents.parts.fileData", "400", "this file lies with Google: no other provider can read it"),
    ("contents.parts.fileData.audio", "400", "audio crosses as inlineData only"),
    ("contents.parts.system", "400", "instructions are text"),
    ("generationConfig.audioTimestamp", "dropped", "it belongs to timed audio"),
    ("generationConfig.candidateCount", "400", "one candidate at a time can be asked for"),
    ("generationConfig.enableAffectiveDialog", "dropped", "it belongs to speech"),
    ("generationConfig.enableEnhancedCivicAnswers", "dropped", "no other provider has it"),
    ("generationConfig.imageConfig", "400", "images are made by Gemini only"),
    ("generationConfig.mediaResolution", "dropped", "no other protocol sets it"),
    ("generationConfig.modelSelectionConfig", "dropped", "the gateway chooses the model"),
    ("generationConfig.responseFormat", "400", "send responseMimeType and responseJsonSchema"),
    ("generationConfig.responseMimeType", "400", "text/plain and application/json can be answered"),
    ("generationConfig.responseModalities", "400", "the answer can be text only"),
    ("generationConfig.routingConfig", "dropped", "the gateway chooses the model"),
    ("generationConfig.speechConfig", "400", "speech is made by Gemini only"),
)

_TO_ACCOUNTS = losses(
    "to its accounts",
    ("temperature", "clamped", "0 to 2"),
    ("top_p", "clamped", "0 to 1"),
    ("presence_penalty", "clamped", "-2 to less than 2"),
    ("frequency_penalty", "clamped", "-2 to less than 2"),
    ("seed", "clamped", "32 bits"),
    ("logprobs", "clamped", "at most 20 alternatives"),
    ("max_tokens", "clamped", "the model's own limit"),
    ("reasoning", "clamped", "to the budgets or levels that the model takes"),
    ("stop", "400", "Gemini takes at most five stop sequences"),
    ("service_tier", "dropped", "Gemini knows flex, standard and priority"),
    ("user", "dropped", "Gemini has no end users"),
    ("metadata", "dropped", "Gemini has labels on Vertex alone"),
    ("parallel_tool_calls", "dropped", "Gemini cannot be held to one call at a time"),
    ("tools.strict", "dropped", "Gemini's schemas are always kept to, or never"),
    ("response_format.strict", "dropped", "Gemini's schemas are always kept to, or never"),
    ("tools.schema", "clamped", "to Gemini's subset of OpenAPI: what it has no word for is left out"),
    ("response_format.schema", "clamped", "to Gemini's subset of OpenAPI: what it has no word for is left out"),
    ("response_format.name", "dropped", "schemas have no names there"),
    ("response_format.description", "dropped", "schemas have no names there"),
    ("system turns", "clamped", "between messages there is no such role: the text stands in a user's turn"),
    ("thinking", "dropped", "thinking without Gemini's own seal means nothing to it"),
    ("signatures of others", "dropped", "only what Gemini sealed goes back to Gemini"),
    ("image.detail", "dropped", "Gemini's resolution is not set image by image"),
    ("document.name", "dropped", "only Vertex knows names of files"),
    ("results without a call", "clamped", "what they say stays, as the user's own"),
    ("tool_result.texts", "clamped", "texts of one result are one, with line breaks between"),
    ("cache_control", "dropped", "Gemini caches by itself"),
)

_FROM_ACCOUNTS = losses(
    "from its accounts",
    ("candidates.content.parts.inlineData", "dropped", "the neutral form's answers have no images"),
    ("candidates.groundingMetadata", "dropped", "no other protocol has a place for it"),
    ("promptFeedback.blockReason", "dropped", "a refused prompt is a refusal; by what filter is not said"),
)

_TO_CLIENTS = losses(
    "to its clients",
    ("answer.redacted", "dropped", "thinking that nobody may read has no place in an answer of Gemini's"),
    ("answer.pause", "clamped", "STOP is the nearest word for it"),
    ("answer.stop_sequence", "dropped", "Gemini does not say which stop sequence it met"),
    ("answer.arguments", "clamped", "a call's arguments that are no JSON object, and free text, are its `input`"),
    ("answer.usage.cache_writes", "clamped", "what was written to caches is a part of the prompt there"),
    ("answer.usage.audio_tokens", "dropped", "they are shared out between prompt and answer there"),
    ("answer.usage.image_tokens", "dropped", "they are shared out between prompt and answer there"),
    ("answer.usage.server_tool_calls", "dropped", "there is no count of them"),
)

LOSSES: tuple[Loss, ...] = _FROM_CLIENTS + _TO_ACCOUNTS + _FROM_ACCOUNTS + _TO_CLIENTS

_rows: Mapping[str, Loss] = {row.name: row for row in LOSSES}
_of_clients = frozenset(row.name for row in _FROM_CLIENTS)


def dropped(member: str) -> str:
    """The member's name, for the list of what was left out."""
    assert _rows[member].fate == "dropped", member
    return member


def clamped(member: str) -> str:
    """The name of a value that was changed, for `x-poolgate-adjusted`."""
    assert _rows[member].fate == "clamped", member
    return member


def refused(member: str, field: str) -> InvalidBody:
    """The client's member at `field` cannot cross."""
    return InvalidBody(f"{field}: {_why(member)}", field)


def untranslatable(member: str, field: str) -> Untranslatable:
    return Untranslatable(field, f"{field}: {_why(member)}")


def _why(member: str) -> str:
    assert _rows[member].fate == "400", member
    return _rows[member].why


def sift(
    found: Object, prefix: str, apart: frozenset[str] = frozenset(), given: Iterable[str] | None = None
) -> Iterator[str]:
    """The names of the members (`given`, where they are known) that are left out, less those whose value decides.
    Raises InvalidBody."""
    for name in found.given() if given is None else given:
        if name in apart or prefix + name not in _of_clients:
            continue
        row = _rows[prefix + name]
        if row.fate == "400":
            raise refused(row.name, found.under(name))
        yield row.name

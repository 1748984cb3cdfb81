"""What cannot cross between OpenAI chat and the neutral form, by name."""

from gateway.protocols.codec import InvalidBody
from gateway.translation.loss import Loss, losses

ASKED = losses(
    "from its clients",
    ("store", "dropped", "the gateway keeps no answers; other providers have no such switch"),
    ("prompt_cache_key", "dropped", "it steers OpenAI's cache alone; the gateway still binds the session by it"),
    ("prompt_cache_options", "dropped", "it steers OpenAI's cache alone"),
    ("prompt_cache_retention", "dropped", "it steers OpenAI's cache alone"),
    ("prediction", "dropped", "it makes an answer faster, not other"),
    ("verbosity", "dropped", "a wish for the length of the answer that no other protocol can say"),
    ("audio", "400", "an answer as sound cannot be translated"),
    ("logit_bias", "400", "token ids are those of one model"),
    ("moderation", "400", "what is to be blocked would pass"),
    ("web_search_options", "400", "the search is OpenAI's own"),
    ("modalities", "400", "anything but text cannot be translated"),
    ("n", "400", "other providers give one answer to a request"),
    ("file_id", "400", "a file that OpenAI keeps cannot be read by others"),
    ("messages[].audio", "400", "a sound that OpenAI keeps cannot be read by others"),
    ("messages[].name", "dropped", "other protocols do not tell speakers of one role apart"),
    ("messages[].refusal", "clamped", "a past refusal is given as the text that it was"),
    ("tools[].custom.format", "dropped", "the grammar of a free-form tool: no other protocol can hold a model to it"),
    ("functions", "clamped", "read as tools; what is called is answered as tool_calls"),
    ("tool_choice.allowed_tools", "clamped", "the tools that are not allowed are taken out of the request"),
    ("reasoning_effort=max", "clamped", "read as xhigh, the highest of the common table"),
)
"""What a chat client can say and the neutral form cannot."""

SENT = losses(
    "to its accounts",
    ("top_k", "dropped", "OpenAI refuses it"),
    ("metadata", "dropped", "OpenAI takes it only with stored answers"),
    ("cache_control", "dropped", "the cache of chat upstreams has no marks"),
    ("sealed", "dropped", "signatures, redacted and encrypted thinking have no place in chat: the block is left out"),
    ("thinking", "dropped", "OpenAI's own models refuse reasoning_content in the history; other servers get it"),
    ("reasoning.shown", "dropped", "chat has no word for it"),
    ("reasoning", "dropped", "OpenAI's models that cannot reason refuse reasoning_effort"),
    ("reasoning.effort", "clamped", "to those that OpenAI's model takes, of which many cannot but think a little"),
    ("reasoning.budget", "clamped", "given as the effort of the common table"),
    ("service_tier", "dropped", "a tier that OpenAI has no name for"),
    ("tool_choice", "dropped", "without tools it would be refused"),
    ("tool_result.error", "dropped", "the text of the result tells"),
    ("tool_result.media", "clamped", "images and files of tool results stand in a user message after the results"),
    ("tools[].name", "clamped", "letters that are not taken in names are written as `_u2e_` and read back"),
    ("tools[].custom", "clamped", "a free-form tool becomes a function with one string, `input`"),
    ("tools[].schema", "clamped", "it says that it is of an object, and names its properties, be they none"),
    ("call_id", "clamped", "ids of more than 40 characters are shortened, calls and results alike"),
    ("user", "clamped", "more than 64 characters become their SHA-256"),
    ("max_tokens", "clamped", "not more than the model can give"),
    ("temperature", "clamped", "0 to 2; left out for OpenAI's reasoning models, which take only 1"),
    ("top_p", "clamped", "0 to 1; left out for OpenAI's reasoning models"),
    ("presence_penalty", "clamped", "-2 to 2; left out for OpenAI's reasoning models"),
    ("frequency_penalty", "clamped", "-2 to 2; left out for OpenAI's reasoning models"),
    ("logprobs", "clamped", "at most 20 alternatives"),
    ("system turns", "clamped", "instructions between messages are the user's, but for OpenAI's own models"),
    ("user turns", "clamped", "those that follow each other are one, but for OpenAI's own models"),
    ("texts", "clamped", "texts that stand side by side in a message are one string, with a blank line between"),
    ("order", "clamped", "thinking, text and calls of a message in this order, results before all other user content"),
    ("unanswered", "clamped", "a call without a result gets one that says so; chat upstreams refuse the gap"),
    ("results without a call", "clamped", "what they say stays, as the user's own"),
    ("document.text", "clamped", "a document that is plain text goes as text, without its name"),
    ("document.name", "clamped", "a file has a name: `document` where the client gave none"),
    ("document.url", "400", "chat takes files as data alone"),
    ("image", "400", "chat takes images from users alone"),
    ("input_audio", "400", "chat takes sound from users alone"),
    ("document", "400", "chat takes files from users alone"),
)
"""What the neutral form can say and a chat upstream cannot."""

HEARD = losses(
    "from its accounts",
    ("answer.refusal", "clamped", "a refusal in an upstream's answer is its text, with the stop reason of a refusal"),
    ("answer.annotations", "dropped", "citations and results of the provider's own tools are not translated"),
    ("answer.choices", "dropped", "choices after the first"),
)
"""What an upstream answers and the neutral form cannot hold."""

ANSWERED = losses(
    "to its clients",
    ("answer.sealed", "dropped", "chat clients get thinking as text only: no signatures, no redacted blocks"),
    ("answer.stop", "clamped", "which stop sequence was met, or that the turn was paused: both are `stop`"),
    (
        "answer.usage",
        "clamped",
        "cache writes of five minutes and of an hour in one; no calls of the provider's tools",
    ),
)
"""What an answer holds and a chat client cannot be told."""

LOSSES: tuple[Loss, ...] = ASKED + SENT + HEARD + ANSWERED

IGNORED = ("store", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "prediction", "verbosity")
"""Members of a body that are dropped whatever they hold."""
_REFUSED = {row.name: row.why for row in ASKED if row.fate == "400"}


def refused(name: str, path: str | None = None) -> InvalidBody:
    """The error of a row; `path` where the member stands deeper in the body."""
    return InvalidBody(f"{path or name} cannot be translated: {_REFUSED[name]}", path or name)

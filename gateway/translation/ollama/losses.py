"""What cannot cross to or from Ollama, by name.

`parse` and `build` say the same names: what is dropped or clamped in `Prompt.dropped` and `Built.adjusted`, a 400 in
an Untranslatable or an InvalidBody.
"""

from gateway.translation.loss import Loss, alike, losses

OPTIONS = frozenset(
    {
        *("embedding_only", "f16_kv", "logits_all", "low_vram", "main_gpu", "min_p", "mirostat", "mirostat_eta"),
        *("mirostat_tau", "num_batch", "num_ctx", "num_gpu", "num_keep", "num_thread", "numa", "penalize_newline"),
        *("repeat_last_n", "repeat_penalty", "tfs_z", "typical_p", "use_mlock", "use_mmap", "vocab_only"),
    }
)
"""Options of a client that are dropped: how a model is loaded, and samplers that only its runner has."""

_FROM_CLIENTS = losses(
    "from its clients",
    ("context", "dropped", "tokens of an earlier answer, which only the model that made them can read"),
    ("keep_alive", "dropped", "how long a local model stays loaded"),
    ("shift", "dropped", "what a local runner does when its context is full"),
    ("truncate", "dropped", "what a local runner does when its context is full"),
    *alike((f"options.{name}" for name in sorted(OPTIONS)), "dropped", "an option of the local runner"),
    ("suffix", "400", "text to be filled in before it needs a model for that"),
    ("template", "400", "the prompt's own template is the model's"),
    ("raw", "400", "a prompt without the model's template"),
    ("images", "400", "an image that is no PNG, JPEG, GIF or WebP has no name in the other protocols"),
)

_TO_ACCOUNTS = losses(
    "to its accounts",
    ("audio", "400", "messages hold text and images"),
    ("document", "400", "messages hold text and images; a document that is plain text goes as text"),
    ("document.text", "clamped", "a document that is plain text goes as text, without its name"),
    ("image.url", "400", "images are base64, and the gateway fetches no address that stands in a prompt"),
    ("image.detail", "dropped", "there is no place for it"),
    ("tool_choice", "400", "a model cannot be made to call a tool"),
    ("tool_choice.none", "clamped", "the tools are left out where none may be called"),
    ("tools.schema", "clamped", "a tool without a schema has one that takes nothing"),
    ("parallel_tool_calls", "dropped", "nothing keeps a model from calling several tools at once"),
    ("cache_control", "dropped", "the server caches by itself"),
    ("signature", "dropped", "sealed thinking is for its own maker"),
    ("redacted_thinking", "dropped", "sealed thinking is for its own maker"),
    ("results without a call", "clamped", "what they say stays, as the user's own"),
    ("is_error", "dropped", "a result has no mark of failure; what went wrong is in its text"),
    ("strict", "dropped", "schemas of tools are not enforced"),
    ("response_format.name", "dropped", "a schema is given without name and description"),
    ("reasoning.budget", "dropped", "thinking is on or off, or has a level"),
    ("reasoning.effort", "clamped", "levels are low, medium and high, of gpt-oss alone; other models think or do not"),
    ("max_tokens", "clamped", "to what the model can give"),
    ("metadata", "dropped", "there is no place for it"),
    ("user", "dropped", "there is no place for it"),
    ("service_tier", "dropped", "there are none"),
)

_TO_CLIENTS = losses(
    "to its clients",
    ("answer.arguments", "clamped", "a call's arguments that are no JSON object, and free text, are its `input`"),
    ("answer.signature", "dropped", "thinking is its text alone: no signatures, no redacted blocks"),
    ("answer.stop", "clamped", "an answer that is not too long has stopped, whatever ended it"),
    ("answer.usage", "clamped", "one number for the prompt, caches included, and one for the answer"),
)

LOSSES: tuple[Loss, ...] = _FROM_CLIENTS + _TO_ACCOUNTS + _TO_CLIENTS

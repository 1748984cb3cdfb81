"""What cannot cross to or from Ollama, by name: rows of the reference's loss table.

`parse` and `build` say the same names: what is dropped or clamped in `Prompt.dropped` and `Built.adjusted`, a 400 in
an Untranslatable or an InvalidBody.
"""

OPTIONS = frozenset(
    {
        *("embedding_only", "f16_kv", "logits_all", "low_vram", "main_gpu", "min_p", "mirostat", "mirostat_eta"),
        *("mirostat_tau", "num_batch", "num_ctx", "num_gpu", "num_keep", "num_thread", "numa", "penalize_newline"),
        *("repeat_last_n", "repeat_penalty", "tfs_z", "typical_p", "use_mlock", "use_mmap", "vocab_only"),
    }
)
"""Options of a client that are dropped: how a model is loaded, and samplers that only its runner has."""

LOSSES: tuple[tuple[str, str, str], ...] = (
    # Of Ollama's clients, towards the other protocols.
    ("context", "dropped", "tokens of an earlier answer, which only the model that made them can read"),
    ("keep_alive", "dropped", "how long a local model stays loaded"),
    ("shift", "dropped", "what a local runner does when its context is full"),
    ("truncate", "dropped", "what a local runner does when its context is full"),
    *((f"options.{name}", "dropped", "an option of the local runner") for name in sorted(OPTIONS)),
    ("suffix", "400", "text to be filled in before it needs a model for that"),
    ("template", "400", "the prompt's own template is the model's"),
    ("raw", "400", "a prompt without the model's template"),
    ("images", "400", "an image that is no PNG, JPEG, GIF or WebP has no name in the other protocols"),
    # Towards Ollama's servers.
    ("audio", "400", "messages hold text and images"),
    ("document", "400", "messages hold text and images; a document that is plain text goes as text"),
    ("image.url", "400", "images are base64, and the gateway fetches no address that stands in a prompt"),
    ("image.detail", "dropped", "there is no place for it"),
    ("tool_choice", "400", "a model cannot be made to call a tool"),
    ("parallel_tool_calls", "dropped", "nothing keeps a model from calling several tools at once"),
    ("cache_control", "dropped", "the server caches by itself"),
    ("signature", "dropped", "sealed thinking is for its own maker"),
    ("redacted_thinking", "dropped", "sealed thinking is for its own maker"),
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

"""What cannot cross to or from Anthropic, by name. `parse` and `build` say the same names, where an answer could differ
for it."""

from gateway.translation.loss import Loss, alike, losses

DROPPED = frozenset(
    {
        *("cache_control", "container", "context_management", "diagnostics", "fallbacks", "inference_geo", "speed"),
        *("user_profile_id", "workspace_id", "betas", "anthropic_beta"),
    }
)
"""Members at the top of a client's body that are dropped: they say how an answer is made, not what is asked."""

_FROM_CLIENTS = losses(
    "from its clients",
    *alike(sorted(DROPPED), "dropped", "a service of Anthropic's own servers"),
    ("citations", "dropped", "marks in a text of where it comes from; the text stays"),
    ("document.context", "dropped", "a note on a document that is not part of it"),
    ("messages.output_config", "dropped", "effort for one turn; that of the request stays"),
    ("billing line", "dropped", "what Claude Code's instructions begin with, for Anthropic's books"),
    ("thinking.between_tools", "dropped", "notes between calls of tools; thinking is off, as without them"),
    ("tool_addition", "dropped", "every tool of the request is known from the start"),
    ("tools.defer_loading", "dropped", "every tool of the request is known from the start"),
    ("tools.tool_search", "dropped", "every tool of the request is known from the start, so that none is searched for"),
    ("tools.options", "dropped", "allowed_callers, eager_input_streaming and input_examples of a tool"),
    ("output_config.effort", "clamped", "`max` is `xhigh`"),
    ("search_result", "clamped", "a search result is given as text, with its title and source"),
    ("tool_reference", "clamped", "a tool that was found is given as its name"),
    ("mcp_servers", "400", "Anthropic's servers call these; nobody else would"),
    ("tools.type", "400", "a tool that Anthropic's servers run, or whose schema only its models know"),
    ("content.type", "400", "what such a tool did, files of a container, and blocks that are not known"),
    ("source.type", "400", "a file that was uploaded to Anthropic"),
)

_TO_ACCOUNTS = losses(
    "to its accounts",
    (
        "system turns",
        "clamped",
        (
            "instructions between messages move up into `system`, in order, as Anthropic's own "
            "layer for OpenAI's SDK has it; they end the history as the user's where an assistant's turn would"
        ),
    ),
    ("empty text", "dropped", "texts of blanks alone, and messages that are left with nothing, are refused"),
    ("results without a call", "clamped", "what they say stays, as the user's own"),
    (
        "ids",
        "clamped",
        (
            "letters that Anthropic does not take in ids and names are written as `_u2e_` and read back; an id "
            "of more than 64 letters is replaced by its digest"
        ),
    ),
    ("call.arguments", "clamped", 'arguments that are no JSON object are given as `{"input": text}`'),
    ("custom tools", "clamped", "a free-form tool is a function with one string, `input`"),
    ("call.signature", "dropped", "a signature of Gemini's calls"),
    ("thinking.signature", "dropped", "thinking that Anthropic has not signed is left out of the history"),
    ("image.detail", "dropped", "images have no detail"),
    ("tools.schema", "clamped", "a tool without a schema has one that takes nothing; `type` is always there"),
    ("response_format.json", "clamped", "any JSON has no schema: the instruction to write it is added to `system`"),
    (
        "response_format.schema",
        "clamped",
        (
            "objects are closed (`additionalProperties: false`) where the schema is silent; limits of numbers, "
            "texts and lists, and formats that Anthropic does not know, are told in the description; so of strict tools"
        ),
    ),
    ("response_format.name", "dropped", "a schema has neither name nor description, and is always strict"),
    ("reasoning.effort", "clamped", "`minimal` is `low` to models that take an effort, a budget to the others"),
    ("reasoning.budget", "clamped", "at least 1,024 and less than max_tokens; an effort to models that take no budget"),
    (
        "reasoning",
        "dropped",
        (
            "thinking is off where a tool must be called, where max_tokens leaves no room, and in the "
            "middle of calls whose thinking the client has not kept"
        ),
    ),
    ("temperature", "clamped", "from 0 to 1; left out where the model thinks, and from Claude 4.7 on"),
    (
        "top_p",
        "clamped",
        (
            "from 0 to 1; left out where the model thinks, below 0.95, from Claude 4.1 on beside a "
            "temperature other than 1, and from 4.7 on"
        ),
    ),
    ("top_k", "dropped", "where the model thinks, and from Claude 4.7 on"),
    ("max_tokens", "clamped", "to what the model can give"),
    ("stop", "dropped", "stop sequences of blanks alone are refused"),
    ("seed", "dropped", "sampling cannot be repeated"),
    ("presence_penalty", "dropped", "sampling has no penalties"),
    ("frequency_penalty", "dropped", "sampling has no penalties"),
    ("metadata", "dropped", "only the user's id has a place"),
    ("user", "dropped", "an id of more than 512 characters is refused"),
    ("service_tier", "dropped", "tiers other than auto, default, standard_only and priority"),
    ("logprobs", "400", "tokens have no probabilities"),
    ("audio", "400", "messages hold no sound"),
    ("image", "400", "an image that is no JPEG, PNG, GIF or WebP, or that the assistant made"),
    ("document", "400", "a document that is neither PDF nor text, or that the assistant made"),
    ("tools.name", "400", "a tool's name that is empty or longer than 128 letters"),
)

_FROM_ACCOUNTS = losses(
    "from its accounts",
    ("answer.content.type", "dropped", "what Anthropic's own tools did"),
)

_TO_CLIENTS = losses(
    "to its clients",
    ("answer.arguments", "clamped", "arguments that are no JSON object are its `input`, but in a stream"),
    ("answer.logprobs", "dropped", "texts have no probabilities"),
    ("answer.signature", "dropped", "thinking that Anthropic has not signed has an empty signature"),
    ("answer.stop_details", "dropped", "why the model refused"),
)

LOSSES: tuple[Loss, ...] = _FROM_CLIENTS + _TO_ACCOUNTS + _FROM_ACCOUNTS + _TO_CLIENTS

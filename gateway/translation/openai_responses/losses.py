"""What cannot cross: every row is true of the code beside it, and checked against it."""

Loss = tuple[str, str, str]
"""The member, `dropped`, `clamped` or `400`, and why."""

FROM_CLIENTS: tuple[Loss, ...] = (
    ("background", "400", "An answer cannot be fetched later: nothing is stored."),
    ("previous_response_id", "400", "Earlier responses are not stored: the whole conversation goes into `input`."),
    ("conversation", "400", "Conversations are not stored."),
    ("prompt", "400", "Stored prompt templates are OpenAI's."),
    ("input[].type", "400", "Items of OpenAI's own tools, references and compactions mean nothing to others."),
    ("input[].type of searches and lists of tools", "dropped", "Their results stand in the text that follows them."),
    ("input[].phase", "dropped", "Nobody else tells a commentary from a final answer."),
    ("input[].content[].file_id", "400", "Files that were uploaded to OpenAI are not at hand."),
    ("input[].content[].annotations", "dropped", "Citations are not carried over."),
    ("input[].summary", "clamped", "The parts of a summary become one text."),
    ("tools[].type", "400", "Tools that OpenAI runs, and tools of its clients' own kinds, are not offered by others."),
    ("tools[].web_search", "dropped", "The model answers without searching."),
    ("tools[].image_generation", "dropped", "The model answers without making images."),
    ("tools[].tool_search", "dropped", "All tools that the request names are loaded at once."),
    ("tools[].format", "clamped", "The grammar of a custom tool is told to the model, and not enforced."),
    ("tools[].description of a namespace", "dropped", "Its functions have descriptions of their own."),
    ("tools[].defer_loading", "dropped", "All tools are loaded at once."),
    ("tool_choice", "400", "A tool of OpenAI's cannot be forced."),
    ("text.verbosity", "dropped", "Nobody else has it."),
    ("include", "dropped", "Encrypted reasoning and log probabilities are given; all else belongs to OpenAI's tools."),
    ("reasoning.effort max", "clamped", "It becomes xhigh."),
    ("reasoning.context", "dropped", "All reasoning that the client sends is kept."),
    ("store", "dropped", "Nothing is stored."),
    ("truncation", "dropped", "The input is not shortened."),
    ("max_tool_calls", "dropped", "It limits tools that OpenAI runs."),
    ("prompt_cache_key", "dropped", "It steers OpenAI's caches; the gateway uses it as a session."),
    ("prompt_cache_options", "dropped", "It steers OpenAI's caches."),
    ("prompt_cache_retention", "dropped", "It steers OpenAI's caches."),
    ("stream_options", "dropped", "Nothing is obfuscated."),
    ("client_metadata", "dropped", "It is Codex' own telemetry."),
    ("context_management", "dropped", "The client compacts its own context."),
    ("moderation", "dropped", "OpenAI's moderation is not at hand."),
)

TO_UPSTREAMS: tuple[Loss, ...] = (
    ("stop", "400", "Responses have no stop sequences."),
    ("messages", "400", "Assistants' messages hold text and calls, instructions text; audio is not heard."),
    ("top_k", "dropped", "Responses have no such member."),
    ("seed", "dropped", "Responses have no such member."),
    ("presence_penalty", "dropped", "Responses have no such member."),
    ("frequency_penalty", "dropped", "Responses have no such member."),
    ("temperature", "clamped", "Between 0 and 2."),
    ("top_p", "clamped", "Between 0 and 1."),
    ("max_tokens", "clamped", "At least 16, at most what the model gives."),
    ("logprobs", "clamped", "At most 20 alternatives."),
    ("user", "clamped", "One that is longer than 64 characters goes as a digest."),
    ("metadata", "clamped", "At most 16 texts, of 512 characters each."),
    ("service_tier", "dropped", "Tiers of other vendors."),
    ("reasoning.budget", "clamped", "It becomes an effort."),
    ("cache_control", "dropped", "OpenAI caches by itself."),
    ("thinking", "dropped", "Only what OpenAI encrypted itself is taken back."),
    ("is_error", "dropped", "The result's text says it."),
    ("document text", "clamped", "It goes as text, after its name."),
    ("tools[].strict", "clamped", "What is not said is false: Responses would take it for true."),
)

TO_CLIENTS: tuple[Loss, ...] = (
    ("stop reason stop_sequence", "clamped", "The response is completed; which sequence was met is not said."),
    ("stop reason pause", "clamped", "The response is completed."),
    ("stop reason refusal", "clamped", "The response is incomplete: content_filter."),
    ("thinking in an answer", "clamped", "It is told as the summary of an item of reasoning."),
    ("usage of caches", "clamped", "What was written to them for minutes and for an hour is one number."),
)

LOSSES: tuple[Loss, ...] = FROM_CLIENTS + TO_UPSTREAMS + TO_CLIENTS

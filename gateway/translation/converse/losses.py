"""What cannot cross to Bedrock's Converse, by name. `build` says the same names: what is dropped or clamped in
`Built.adjusted`, a 400 in an Untranslatable."""

from gateway.translation.loss import Loss, losses

LOSSES: tuple[Loss, ...] = losses(
    "to its accounts",
    ("system.position", "dropped", "instructions between messages go to the end of those before them"),
    ("image", "400", "images are PNG, JPEG, GIF or WebP"),
    ("image.url", "400", "images are base64 or lie in S3, and the gateway fetches no address that stands in a prompt"),
    ("image.detail", "dropped", "there is no place for it"),
    ("results without a call", "clamped", "what they say stays, as the user's own"),
    ("document", "400", "documents are files of a known type, and stand beside a text"),
    ("document.url", "400", "documents are base64 or lie in S3"),
    ("document.name", "clamped", "to the letters that names may have; each name stands once"),
    ("audio", "400", "audio of an unknown type"),
    ("tools.name", "400", "names are 64 letters at most"),
    ("tools.names", "clamped", "letters that are not taken in names are written as `_u2e_` and read back"),
    ("tool_choice", "400", "calls cannot be forbidden where the conversation has some already"),
    ("parallel_tool_calls", "dropped", "nothing keeps a model from calling several tools at once"),
    ("strict", "dropped", "of other models than Claude"),
    ("thinking", "dropped", "thinking without a signature, or whose maker is not the model"),
    ("cache_control", "dropped", "of models without cache points (all but Claude and Nova; Nova's tools)"),
    ("max_tokens", "clamped", "to what the model can give"),
    ("temperature", "clamped", "to 0…1; left out while Claude thinks, and from Claude 4.7 on"),
    (
        "top_p",
        "clamped",
        (
            "to 0…1; left out while Claude thinks, below 0.95, from Claude 4.1 on beside a temperature other "
            "than 1, and from 4.7 on"
        ),
    ),
    ("top_k", "dropped", "of other models than Claude and Nova, while Claude thinks, and from Claude 4.7 on"),
    ("seed", "dropped", "there is no place for it"),
    ("presence_penalty", "dropped", "there is no place for it"),
    ("frequency_penalty", "dropped", "there is no place for it"),
    ("logprobs", "400", "answers have none"),
    ("response_format", "400", "JSON needs its schema"),
    (
        "reasoning",
        "dropped",
        "of models that have no such setting; where Claude must call a tool or has too few tokens",
    ),
    ("reasoning.budget", "clamped", "below max_tokens; to an effort where the model takes no budget"),
    ("reasoning.effort", "clamped", "to the levels of the model"),
    ("metadata", "dropped", "it would stand in the logs of the account's owner"),
    ("user", "dropped", "there is no place for it"),
    ("service_tier", "dropped", "it chooses what the account's owner pays"),
)

"""What cannot cross between the protocols when texts are embedded, by name.

The code says the same names: what is dropped in `Texts.dropped` and `Built.adjusted`, a 400 in an Untranslatable.
"""

from gateway.translation.loss import Loss, alike, losses
from gateway.translation.prompt import Untranslatable

GEMINIS = ("autoTruncate", "mimeType", "documentOcr", "audioTrackExtraction")
OLLAMAS = ("keep_alive", "options", "truncate")

_FROM_CLIENTS = losses(
    "from its clients",
    ("input", "400", "tokens are words of one model alone: send the text"),
    ("content.parts", "400", "only Gemini embeds what is no text"),
    ("content.parts.text", "clamped", "several texts of one content are one, with a line break between"),
    ("requests.outputDimensionality", "400", "all vectors of one request have the same length"),
    ("requests.taskType", "dropped", "texts of one request have one purpose: where they differ, none"),
    ("requests.title", "dropped", "texts of one request have one title: where they differ, none"),
    *alike(GEMINIS, "dropped", "how Vertex reads a file, or a text that is too long"),
    ("keep_alive", "dropped", "how long a local model stays loaded"),
    ("options", "dropped", "how a local model is loaded"),
    ("truncate", "dropped", "whether a text that is too long is cut or refused is the upstream's own way"),
)

_TO_ACCOUNTS = losses(
    "to its accounts",
    ("taskType", "dropped", "only Gemini can be told what a vector is for"),
    ("title", "dropped", "only Gemini takes one beside the text"),
    ("user", "dropped", "only OpenAI has end users"),
)

_TO_CLIENTS = losses(
    "to its clients",
    ("answer.embedding", "clamped", "base64 has 32 bits a number, whatever the upstream gave"),
    (
        "answer.usage",
        "clamped",
        "tokens that the upstream does not say are estimated, for OpenAI's and Ollama's clients",
    ),
)

LOSSES: tuple[Loss, ...] = _FROM_CLIENTS + _TO_ACCOUNTS + _TO_CLIENTS

_REFUSED = {row.name: row.why for row in LOSSES if row.fate == "400"}


def untranslatable(row: str, field: str) -> Untranslatable:
    """The error of a row; `field` is where it stands in the body."""
    return Untranslatable(field, f"{field}: {_REFUSED[row]}")

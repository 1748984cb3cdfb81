"""Messages of Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html.

Blobs are base64. A turn's part gives a group of blocks, itself and perhaps a cache point after it.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from gateway.translation.arguments import as_object
from gateway.translation.names import legal
from gateway.translation.prompt import Audio, Call, Document, Image, Part, Result, Text, Thinking, Turn, Untranslatable
from gateway.translation.rounds import BEGINNING, settled

Block = dict[str, Any]
Group = list[Block]

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_AUDIO = {
    **{name: name for name in ("aac", "flac", "m4a", "mka", "mkv", "mp3", "mp4", "ogg", "opus", "pcm", "wav", "webm")},
    "mpeg": "mp3",
    "x-aac": "aac",
    "x-flac": "flac",
    "x-m4a": "m4a",
    "x-wav": "wav",
    "wave": "wav",
}
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}\Z")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_UNANSWERED = "The call was not answered."
_FAILED = "The tool failed."


class Writing:
    """What a model takes, and what of a prompt is lost on the way. `caches`: it has cache points; `claude`: whose
    sealed thinking it can read."""

    def __init__(self, claude: bool, nova: bool) -> None:
        self.claude = claude
        self.caches = claude or nova
        self.lost: dict[str, None] = {}
        self._names: set[str] = set()

    def cached(self, block: Block, cache: Any, where: bool = True) -> Group:
        """The block, with a cache point after it where the client has set one."""
        if cache is None:
            return [block]
        if not (self.caches and where):
            self.lost["cache_control"] = None
            return [block]
        hour = self.claude and cache.get("ttl") == "1h"
        return [block, {"cachePoint": {"type": "default", **({"ttl": "1h"} if hour else {})}}]

    def part(self, part: Part) -> Group:
        """Empty where nothing of it crosses: blank texts are refused."""
        match part:
            case Text():
                return self.cached({"text": part.text}, part.cache) if part.text.strip() else []
            case Image():
                return self.cached({"image": self._image(part)}, part.cache)
            case Document():
                return self.cached({"document": self._document(part)}, part.cache)
            case Audio():
                return [{"audio": _audio(part)}]
            case Thinking():
                return self._thinking(part)
            case Call():
                block = {"toolUseId": short_id(part.id), "name": tool_name(part.name)}
                return self.cached({"toolUse": block | {"input": as_object(part.arguments, part.custom)}}, part.cache)
            case Result():
                return self.cached({"toolResult": self._result(part)}, part.cache)

    def _image(self, part: Image) -> Block:
        if part.detail is not None:
            self.lost["image.detail"] = None
        if part.data is None:
            kind = "image/" + (part.url or "").rpartition(".")[2].lower()
            source = _in_s3(part.url, "image.url")
        else:
            kind, source = part.media_type or "", {"bytes": part.data}
        if kind not in _IMAGES:
            raise Untranslatable("image", f"Bedrock takes no images of the type {kind or 'unknown'}")
        return {"format": _IMAGES[kind], "source": source}

    def _document(self, part: Document) -> Block:
        name = self._named(part.name)
        if part.text is not None:
            source = {"bytes": b64encode(part.text.encode(errors="replace")).decode()}
            return {"format": "txt", "name": name, "source": source}
        if part.data is None:
            return {"name": name, "source": _in_s3(part.url, "document.url")}
        kind = (part.media_type or "").partition(";")[0]
        if kind not in _DOCUMENTS:
            raise Untranslatable("document", f"Bedrock takes no documents of the type {kind or 'unknown'}")
        return {"format": _DOCUMENTS[kind], "name": name, "source": {"bytes": part.data}}

    def _named(self, given: str | None) -> str:
        plain = re.sub(r"\s+", " ", re.sub(r"[^a-zA-Z0-9\s()\[\]-]", "-", given or "")).strip()[:190]
        name, again = plain or "document", 1
        while name in self._names:
            again += 1
            name = f"{plain or 'document'} {again}"
        self._names.add(name)
        if given is not None and given != name:
            self.lost["document.name"] = None
        return name

    def _thinking(self, part: Thinking) -> Group:
        """Only what its maker has sealed is taken back, and by none but its maker."""
        if part.sealed is None or part.sealed.family != "anthropic" or not self.claude:
            self.lost["thinking"] = None
            return []
        if part.redacted:
            return [{"reasoningContent": {"redactedContent": b64encode(part.sealed.data.encode()).decode()}}]
        return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.sealed.data}}}]

    def _result(self, part: Result) -> Block:
        content = [block for each in part.content for block in self.part(each) if "cachePoint" not in block]
        status = {"status": "error"} if part.error else {}
        if part.error and not content:
            content = [{"text": _FAILED}]  # an error that says nothing is refused
        return {"toolUseId": short_id(part.call_id), "content": content, **status}


def messages(turns: Sequence[Turn], writing: Writing) -> list[Block]:
    """The user begins, roles take turns, results come first and answer every call of the turn before. Raises
    Untranslatable."""
    merged: list[tuple[str, list[Group]]] = []
    for turn in settled(turns):
        groups = [group for part in turn.parts if (group := writing.part(part))]
        if turn.role == "system" or not groups:
            continue
        if merged and merged[-1][0] == turn.role:
            merged[-1][1].extend(groups)
        else:
            merged.append((turn.role, groups))
    called: list[str] = []
    finished: list[Block] = []
    if merged and merged[0][0] == "assistant":
        finished.append({"role": "user", "content": [{"text": BEGINNING}]})
    for role, groups in merged:
        if role == "user":
            groups = _answered(called, groups)
            _beside_text(groups)
        else:
            groups = _thinking_first(groups)
        called = [group[0]["toolUse"]["toolUseId"] for group in groups if "toolUse" in group[0]]
        finished.append({"role": role, "content": [block for group in groups for block in group]})
    if called:
        finished.append({"role": "user", "content": [block for group in _answered(called, []) for block in group]})
    return finished


def short_id(given: str) -> str:
    """The id where Bedrock takes it, else another that is always the same."""
    if _ID.match(given):
        return given
    return "call_" + hashlib.blake2b(given.encode(errors="replace"), digest_size=16).hexdigest()


def tool_name(given: str) -> str:
    name = legal(given)
    if not given or not _NAME.match(name):
        raise Untranslatable("tools.name", f"Bedrock takes no tool of the name {given[:100]!r}")
    return name


def _answered(called: Sequence[str], groups: list[Group]) -> list[Group]:
    results = [group for group in groups if "toolResult" in group[0]]
    known = {group[0]["toolResult"]["toolUseId"] for group in results}
    missing = [
        [{"toolResult": {"toolUseId": each, "content": [{"text": _UNANSWERED}], "status": "error"}}]
        for each in called
        if each not in known
    ]
    return [*results, *missing, *(group for group in groups if "toolResult" not in group[0])]


def _beside_text(groups: list[Group]) -> None:
    if any("document" in group[0] for group in groups) and not any("text" in group[0] for group in groups):
        raise Untranslatable("document", "Bedrock takes a document only beside a text")


def _thinking_first(groups: list[Group]) -> list[Group]:
    """Between calls it stays where it is; a turn that has some begins with it."""
    first = next((at for at, group in enumerate(groups) if "reasoningContent" in group[0]), 0)
    return [groups[first], *groups[:first], *groups[first + 1 :]]


def _in_s3(url: str | None, field: str) -> Block:
    if url is None or not url.startswith("s3://"):
        raise Untranslatable(field, "Bedrock takes files as base64 or from S3, and the gateway fetches no addresses")
    return {"s3Location": {"uri": url}}


def _audio(part: Audio) -> Block:
    kind = part.media_type.partition(";")[0].rpartition("/")[2].lower()
    if kind not in _AUDIO:
        raise Untranslatable("audio", f"Bedrock takes no audio of the type {part.media_type}")
    return {"format": _AUDIO[kind], "source": {"bytes": part.data}}

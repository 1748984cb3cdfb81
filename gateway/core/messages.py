"""What webhooks are sent: an event in the form that each kind of receiver understands, and signed as it asks for. Pure.

Sources: Standard Webhooks (https://www.standardwebhooks.com), Slack "Incoming webhooks" and "Formatting text",
Feishu "Custom bot usage guide", DingTalk "Custom robot access" (security settings).

Names of accounts and of models are written by operators, and even by clients. In a chat they must not call people, hide
text or become links: see `quiet`.
"""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote_plus

import msgspec
from msgspec import Struct

WebhookKind = Literal["plain", "slack", "feishu", "dingtalk"]
TROUBLE, RECOVERED, DISABLED, TEST = "account.trouble", "account.recovered", "account.disabled", "webhook.test"
UNPRICED = "model.unpriced"
EVENTS = (TROUBLE, RECOVERED, DISABLED, UNPRICED)
"""What a webhook may ask for: an account, or a part of it, is not used for a while; is used again; needs a person; a
model is used that has no price."""

_LONGEST = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_CALLS = str.maketrans({"@": "＠", "<": "＜", ">": "＞"})
_WHSEC = "whsec_"


class Event(Struct, frozen=True):
    """`timestamp` is RFC 3339; `data` has what the page of webhooks in the README says."""

    type: str
    timestamp: str
    data: dict[str, Any]


class Post(Struct, frozen=True):
    """One POST. The URL of a chat service is a secret."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def message(kind: str, url: str, secret: str | None, identity: str, event: Event, now: float) -> Post:
    """`identity` is the same for every attempt, `now` (epoch seconds) is of this one: signatures hold it."""
    return _KINDS[kind](url, secret, identity, event, now)


def refusal(kind: str, status: int, body: bytes) -> str | None:
    """Why this answer is no success; None when it is one. Chat services refuse with a 200, too."""
    if not 200 <= status < 300:
        return f"HTTP {status}"
    match kind:
        case "slack":
            return None if body.strip() == b"ok" else "not accepted"
        case "feishu":
            return _coded(body, "code", "StatusCode")
        case "dingtalk":
            return _coded(body, "errcode")
        case _:
            return None


def new_secret() -> str:
    return _WHSEC + base64.b64encode(os.urandom(32)).decode()


def signing_key(secret: str) -> bytes:
    """The bytes of `whsec_` + base64 of 24 to 64 bytes, the form that Standard Webhooks ask for. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(_WHSEC), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(_WHSEC) or not 24 <= len(key) <= 64:
        raise ValueError("expected whsec_ and the base64 of 24 to 64 bytes")
    return key


def quiet(text: str) -> str:
    """Text that only reads: one line, nothing invisible, no mention, no tag, no address that becomes a link; cut."""
    one = _CONTROL.sub(" ", text).strip().translate(_CALLS).replace("://", ":／／")
    return one if len(one) <= _LONGEST else one[:_LONGEST] + "…"


def words(event: Event) -> tuple[str, list[str]]:
    """A title and lines for people, quiet."""
    data = event.data
    account: Mapping[str, Any] = data.get("account") or {}
    name = account.get("name") or data.get("model") or data.get("webhook", {}).get("name", "")
    title = quiet(_TITLES[event.type].format(name=name))
    source: Mapping[str, Any] = data.get("source") or {}
    found = {
        "platform": account.get("platform") or data.get("platform"),
        "scope": data.get("scope"),
        "reason": data.get("reason"),
        "until": data.get("until"),
        "requests": data.get("requests"),
        "since": data.get("since"),
        "request": source.get("request_id"),
        "status": source.get("status"),
        "account": account.get("id"),
        "at": event.timestamp,
    }
    return title, [f"{name}: {quiet(str(value))}" for name, value in found.items() if value]


_TITLES: Mapping[str, str] = {
    TROUBLE: "poolgate: account {name} is in trouble",
    RECOVERED: "poolgate: account {name} is used again",
    DISABLED: "poolgate: account {name} needs a person",
    UNPRICED: "poolgate: model {name} has no price",
    TEST: "poolgate: a test of the webhook {name}",
}


def _plain(url: str, secret: str | None, identity: str, event: Event, now: float) -> Post:
    """Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, base64, version `v1`."""
    body = msgspec.json.encode(event)
    timestamp = str(int(now))
    headers = [("webhook-id", identity), ("webhook-timestamp", timestamp)]
    if secret is not None:
        signed = b".".join((identity.encode(), timestamp.encode(), body))
        headers.append(("webhook-signature", "v1," + _hmac(signing_key(secret), signed)))
    return _post(url, body, *headers)


def _slack(url: str, secret: str | None, identity: str, event: Event, now: float) -> Post:
    """Slack reads `&`, `<` and `>` as control characters in every text object; `text` is what notifications show."""
    title, lines = words(event)
    title, text = title.replace("&", "&amp;"), "\n".join(lines).replace("&", "&amp;")
    blocks = [
        {"type": "section", "text": {"type": "plain_text", "text": part, "emoji": False}} for part in (title, text)
    ]
    return _post(url, msgspec.json.encode({"text": title, "blocks": blocks}))


def _feishu(url: str, secret: str | None, identity: str, event: Event, now: float) -> Post:
    """A post of text elements; a plain `text` message would read `<at …>`. Key of the signature: time and secret."""
    title, lines = words(event)
    content = [[{"tag": "text", "text": line}] for line in lines]
    body: dict[str, Any] = {"msg_type": "post", "content": {"post": {"en_us": {"title": title, "content": content}}}}
    if secret is not None:
        timestamp = str(int(now))
        body = {"timestamp": timestamp, "sign": _hmac(f"{timestamp}\n{secret}".encode(), b""), **body}
    return _post(url, msgspec.json.encode(body))


def _dingtalk(url: str, secret: str | None, identity: str, event: Event, now: float) -> Post:
    """A text that is for nobody in particular. Signed in the query, in milliseconds."""
    title, lines = words(event)
    content = "\n".join((title, *lines))
    body = msgspec.json.encode({"msgtype": "text", "text": {"content": content}, "at": {"isAtAll": False}})
    if secret is not None:
        timestamp = str(int(now * 1000))
        sign = quote_plus(_hmac(secret.encode(), f"{timestamp}\n{secret}".encode()))
        url += f"{'&' if '?' in url else '?'}timestamp={timestamp}&sign={sign}"
    return _post(url, body)


_KINDS: Mapping[str, Callable[[str, str | None, str, Event, float], Post]] = {
    "plain": _plain,
    "slack": _slack,
    "feishu": _feishu,
    "dingtalk": _dingtalk,
}


def _post(url: str, body: bytes, *headers: tuple[str, str]) -> Post:
    return Post(url, (("content-type", "application/json"), ("user-agent", "poolgate"), *headers), body)


def _hmac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()


def _coded(body: bytes, *names: str) -> str | None:
    """Success is 0 in the first of the members that is there."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return "not accepted"
    code: object = next((said[name] for name in names if name in said), None)
    return None if type(code) is int and code == 0 else f"code {quiet(str(code))}"

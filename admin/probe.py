"""Testing an account: one real cheap request by the platform's own path and signature."""

import re
import time
from collections.abc import Iterable

import httpx
import msgspec

from admin.schemas.accounts import TestResult
from gateway.core.domain import Account
from gateway.core.services.failures import Conflict, Invalid
from gateway.platforms.platform import Asked, Outgoing, Platform
from gateway.platforms.target import placed
from gateway.protocols.codec import InvalidBody
from gateway.upstream.client import Upstream
from gateway.upstream.transport import Transport

TIMEOUT = 30.0
LONGEST = 500
_READ = 64 * 1024
_WILD = re.compile(r"[*?\[]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
#: What looks like a key or a token, whoever's it is.
_SECRET = re.compile(r"\b(?:sk|pk|rk|key|pgadm|ya29|AIza|eyJ)[-_.A-Za-z0-9]{12,}|(?i:bearer)\s+\S{8,}")
#: Asked for when the account names no model and has served none yet; `model` in the request says another.
_CHEAP = {"claude": "claude-haiku-4-5", "openai": "gpt-4o-mini", "gemini": "gemini-2.5-flash"}


def known_model(account: Account) -> str | None:
    """A model that the account's own settings name in full."""
    return next((name for name in (*account.model_map, *account.models) if not _WILD.search(name)), None)


async def run(upstream: Upstream, platform: Platform, account: Account, model: str | None) -> TestResult:
    """`latency_ms` is the time until the answer was read."""
    asked = model or _CHEAP.get(platform.family)
    if platform.probe is None:
        raise Conflict(f"{platform.name} has no test")
    if asked is None:
        raise Invalid("say which model to ask for", "model")
    outgoing = _outgoing(platform, account, account.model_map.get(asked, asked))
    started = time.monotonic()
    try:
        status, text = await _sent(upstream, outgoing, account)
    except httpx.HTTPError as error:
        status, text = None, str(error) or type(error).__name__
    return TestResult(
        ok=status is not None and 200 <= status < 300,
        status=status,
        latency_ms=int((time.monotonic() - started) * 1000),
        model=asked,
        message=clean(text, (secret.reveal() for secret in account.credentials.values())),
    )


def _outgoing(platform: Platform, account: Account, model: str) -> Outgoing:
    assert platform.probe is not None
    protocol, operation, body = platform.probe(model)
    headers = [(b"content-type", b"application/json")]
    asked = Asked(protocol, operation, model, False, b"", headers, msgspec.json.encode(body))
    try:
        outgoing = placed(asked, account, platform)
    except InvalidBody as error:
        raise Invalid(error.message, "model") from None
    return platform.sign(outgoing, account, time.time())


async def _sent(upstream: Upstream, outgoing: Outgoing, account: Account) -> tuple[int, str]:
    transport = Transport(upstream, pool_key=account.id, proxy=account.proxy)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        request = client.build_request(outgoing.method, outgoing.url, headers=outgoing.headers, content=outgoing.body)
        answer = await client.send(request, stream=True)
        try:
            text = b""
            async for chunk in answer.aiter_bytes():
                text += chunk
                if len(text) >= _READ:
                    break
        finally:
            await answer.aclose()
    return answer.status_code, text.decode(errors="replace")


def clean(text: str, secrets: Iterable[str]) -> str:
    """Without the account's secrets, without what looks like one, without control characters; then cut."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "[secret]")
    return _CONTROL.sub(" ", _SECRET.sub("[secret]", text)).strip()[:LONGEST]

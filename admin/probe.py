"""Testing an account on an operator's word: the probe, with its answer fit to be shown."""

from admin.schemas.accounts import TestResult
from gateway.core.domain import Account
from gateway.core.services.failures import Conflict, Invalid
from gateway.platforms.platform import Platform
from gateway.upstream import probe
from gateway.upstream.client import Upstream
from gateway.upstream.words import clean


async def run(upstream: Upstream, platform: Platform, account: Account, model: str | None) -> TestResult:
    """`latency_ms` is the time until the answer was read. The state of the account is not touched."""
    try:
        probed = await probe.run(upstream, platform, account, model)
    except probe.NoProbe as refused:
        raise (Invalid(refused.reason, "model") if refused.model else Conflict(refused.reason)) from None
    return TestResult(
        ok=probed.ok,
        status=probed.status or None,
        latency_ms=probed.milliseconds,
        model=probed.model,
        message=clean(probed.words, (secret.reveal() for secret in account.credentials.values())),
    )

"""Who is at fault for an upstream's answer: the rules of failing over, from top to bottom.

The words of the body come before the status, and a state is put on (account, model family) unless the body speaks of
the account, the organisation, the key or billing: no user can switch an account off for the others.
"""

import re
from collections.abc import Mapping

from gateway.platforms import complaint, reset, unified
from gateway.platforms.complaint import Complaint
from gateway.platforms.grounds import Ground, ground
from gateway.platforms.platform import Kind, Scope, Verdict

HALF_HOUR = 30 * 60.0
FORBIDDEN_FOR = 5 * 60.0
OVERLOADED_FOR = 60.0
SHORT_WAIT = 5.0
"""Up to so many seconds a 429 may be waited for on the same account."""

_CALLER = Verdict(Kind.CALLER, "request")
_OK = Verdict(Kind.OK)
_UNMET = Verdict(Kind.ELSEWHERE, "unmet")
_REDIRECT = Verdict(Kind.ELSEWHERE, "redirect")
"""A redirect is never followed: the host comes from configuration alone."""
_SLOW = Verdict(Kind.ELSEWHERE, "slow", counts=True)
_FAULT = Verdict(Kind.ELSEWHERE, "fault", counts=True, transient=True)

#: Words that mean a status, where a service sends them under another one (Anthropic's `overloaded_error` inside a 200
#: or a 500; ChatGPT's plan limits).
_STATUS_OF: Mapping[str, int] = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "usage_limit_reached": 429,
    "timeout_error": 504,
}

_QUOTED = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`|“[^”]*”)(?!\w)""")
"""What an upstream repeats of a request: nobody may write `account` into that."""
_OF_THE_ACCOUNT = re.compile(r"\b(?:account|organi[sz]ation|billing|(?:api|access|your|this) key)\b")
#: "(org: …, model: claude-…)", "Rate limit reached for gpt-4o in organization org-…": the limit of one model, although
#: the sentence names its owner.
_OF_A_MODEL = re.compile(r"\bmodel\b|\bfor \S+ in organi[sz]ation\b")


def judge(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Verdict:
    """The verdict on an answer, or on the error that is a stream's first event (then with its closest status).

    `headers` have lower-case names; `now` is seconds since the epoch. Never raises.
    """
    if 200 <= status < 300:
        return _OK
    if 300 <= status < 400:
        return _REDIRECT
    if status == 413:
        # Under this status even a limit's words speak of this request alone (Groq).
        return _CALLER
    said = complaint.read(body, now)
    status = next((_STATUS_OF[word] for word in sorted(said.words) if word in _STATUS_OF), status)
    found = ground(status, said)
    return _by_ground(found, now) if found else _by_status(status, headers, said, now)


def _by_ground(found: Ground, now: float) -> Verdict:
    match found:
        case Ground.UNMET:
            return _UNMET
        case Ground.CONTENT:
            return _CALLER
        case Ground.DISABLED:
            return Verdict(Kind.DISABLE, found.value, scope=Scope.ACCOUNT)
        case Ground.MODEL:
            return Verdict(Kind.COOL_DOWN, found.value, now + HALF_HOUR, Scope.MODEL)
        case _:
            renew = found is Ground.CREDENTIALS
            return Verdict(Kind.COOL_DOWN, found.value, now + HALF_HOUR, Scope.ACCOUNT, renew=renew)


def _by_status(status: int, headers: Mapping[str, str], said: Complaint, now: float) -> Verdict:
    match status:
        case 401:
            return _by_ground(Ground.CREDENTIALS, now)
        case 402:
            return _by_ground(Ground.MONEY, now)
        case 403:
            return Verdict(Kind.COOL_DOWN, "forbidden", now + FORBIDDEN_FOR, _scope(said), renew=True)
        case 408 | 424 | 504:
            return _SLOW
        case 429:
            return _limited(headers, said, now)
        case 501:
            return _UNMET
        case 503 | 529:
            return Verdict(Kind.COOL_DOWN, "overloaded", now + OVERLOADED_FOR, transient=True, overload=True)
        case _:
            return _CALLER if 400 <= status < 500 else _FAULT


def _limited(headers: Mapping[str, str], said: Complaint, now: float) -> Verdict:
    if unified.rejected(headers):
        window = unified.used_up(headers, now)
        until = window.until if window.until is not None else now + OVERLOADED_FOR
        return Verdict(Kind.COOL_DOWN, "rate_limited", max(until, now + 1), window.scope, window.family)
    until = None if unified.allowed(headers) else _end(headers, said, now)
    if until is None:
        return Verdict(Kind.COOL_DOWN, "overloaded", now + OVERLOADED_FOR, _scope(said))
    # At least a second: a state that ends as it begins would be no state.
    until = max(until, now + 1)
    return Verdict(Kind.COOL_DOWN, "rate_limited", until, _scope(said), transient=until - now <= SHORT_WAIT)


def _end(headers: Mapping[str, str], said: Complaint, now: float) -> float | None:
    if said.until is not None:
        return said.until
    decided = unified.decided(headers, now)
    return decided if decided is not None else reset.of_headers(headers, now)


def _scope(said: Complaint) -> Scope:
    message = _QUOTED.sub("…", said.message)
    if _OF_THE_ACCOUNT.search(message) and not _OF_A_MODEL.search(message):
        return Scope.ACCOUNT
    return Scope.FAMILY

"""Log probabilities: Gemini's `logprobsResult` (https://ai.google.dev/api/generate-content#LogprobsResult), and the
neutral form's, which is OpenAI's: `{"token", "logprob", "bytes", "top_logprobs"}`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.protocols.reading import mapping, sequence


def read_logprobs(result: Any) -> tuple[Mapping[str, Any], ...]:
    """Of the tokens that were taken, each with its alternatives."""
    found = mapping(result)
    tops = [mapping(each) for each in sequence(found.get("topCandidates"))]
    chosen = [mapping(each) for each in sequence(found.get("chosenCandidates"))]
    return tuple(
        {
            **_token(each),
            "top_logprobs": [
                _token(mapping(top)) for top in (sequence(tops[index].get("candidates")) if index < len(tops) else [])
            ],
        }
        for index, each in enumerate(chosen)
    )


def _token(candidate: dict[str, Any]) -> dict[str, Any]:
    token: Any = candidate.get("token")
    value: Any = candidate.get("logProbability")
    text = token if isinstance(token, str) else ""
    return {
        "token": text,
        "logprob": float(value) if type(value) in (int, float) else 0.0,
        "bytes": list(text.encode()),
    }


def write_logprobs(tokens: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "topCandidates": [
            {"candidates": [_candidate(top) for top in each.get("top_logprobs") or ()]} for each in tokens
        ],
        "chosenCandidates": [_candidate(each) for each in tokens],
    }


def _candidate(token: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": token.get("token", ""), "logProbability": token.get("logprob", 0.0)}

"""Log probabilities there and back."""

from gateway.translation.gemini.logprobs import read_logprobs, write_logprobs

THEIRS = {
    "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "b", "logProbability": -1.0}],
    "topCandidates": [
        {"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "x", "logProbability": -2.0}]},
        {"candidates": []},
    ],
}


def test_there_and_back():
    found = read_logprobs(THEIRS)
    assert found[0] == {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [
            {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
            {"token": "x", "logprob": -2.0, "bytes": [120]},
        ],
    }
    assert write_logprobs(found) == THEIRS


def test_without_alternatives_and_of_odd_shapes():
    assert read_logprobs({"chosenCandidates": [{"token": 1, "logProbability": "x"}]}) == (
        {"token": "", "logprob": 0.0, "bytes": [], "top_logprobs": []},
    )
    assert read_logprobs(None) == read_logprobs({"chosenCandidates": 5}) == ()

import json

import msgspec
import pytest

from gateway.local.sandbox.script import Rule, Rulebook, Script, decode_rules, load_rules, of_model, read


@pytest.mark.parametrize(
    ("model", "script"),
    [
        ("claude-opus-5-5", Script()),
        ("sandbox", Script()),
        ("sandbox-echo", Script(echo=True)),
        ("sandboxes-echo", Script()),
        ("mysandbox-echo", Script()),
        ("claude-sandbox-echo", Script(echo=True)),
        ("anthropic.sandbox-tool", Script(tool=True)),
        ("sandbox-tokens-500", Script(tokens=500)),
        ("sandbox-error-529", Script(error=529)),
        ("sandbox-error-529-retry-after-7", Script(error=529, retry_after=7)),
        ("sandbox-retry-after-7-error-529", Script(error=529, retry_after=7)),
        ("sandbox-error-429-quota", Script(error=429, reason="quota")),
        ("sandbox-error-529-claude-opus-4-5", Script(error=529)),
        ("sandbox-echo-claude-tool", Script(echo=True)),
        ("sandbox-stall-30", Script(stall=30)),
        ("sandbox-stall-250ms", Script(stall=0.25)),
        ("sandbox-stall-after-3-30", Script(stall_after=(3, 30.0))),
        ("sandbox-cut-10-gap-20", Script(cut=10, gap=0.02)),
        ("sandbox-drop", Script(drop=True)),
        ("sandbox-think", Script(think=12)),
        ("sandbox-think-3-length", Script(think=3, length=True)),
        ("sandbox-first-error-503", Script(first_error=503)),
        ("sandbox-first-error", Script(first_error=529)),
        ("sandbox-late-error-tokens-9", Script(late_error=529, tokens=9)),
        ("sandbox-refuse", Script(refuse=True)),
        ("sandbox-cached-100-wrote-20-wrote-1h-3", Script(cached=100, wrote=20, wrote_long=3)),
    ],
)
def test_scripts_are_read_from_model_names(model: str, script: Script) -> None:
    assert of_model(model) == script


def test_directives_alone() -> None:
    assert read("error-429-retry-after-2") == Script(error=429, retry_after=2)


def test_the_first_rule_that_matches_and_is_not_used_up_wins() -> None:
    book = Rulebook(
        [
            Rule("error-529", match="claude-*", credential="*X", times=2),
            Rule("error-401", match="gpt-*"),
        ]
    )
    seen = [book.find("claude-a", "key-X").error for _ in range(3)]
    assert seen == [529, 529, None]
    assert book.find("claude-a", "key-Y").error is None
    assert [book.find("gpt-4o", "k").error for _ in range(3)] == [401] * 3
    assert book.find("sandbox-error-500", "k").error == 500


def test_a_rule_may_say_a_text() -> None:
    book = Rulebook([Rule(say="One.", times=1), Rule("think-3", say="Two.", match="m")])
    assert [book.find("m", "k") for _ in range(2)] == [Script(say="One."), Script(say="Two.", think=3)]
    assert book.find("sandbox-echo", "k") == Script(echo=True)


def test_replacing_rules_forgets_their_counts() -> None:
    rule = Rule("error-529", times=1)
    book = Rulebook([rule])
    assert book.find("m", "k").error == 529
    book.replace([rule])
    assert book.find("m", "k").error == 529


def test_a_rule_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="no such directive: explode"):
        Rulebook([Rule("error-529-explode")])


def test_a_file_of_rules(tmp_path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps([{"match": "a*", "script": "echo", "times": 2}]))
    assert load_rules(path) == [Rule("echo", match="a*", times=2)]
    assert decode_rules(b'[{"say": "Yes."}]') == [Rule(say="Yes.")]
    with pytest.raises(msgspec.ValidationError, match="scripts"):
        decode_rules(b'[{"scripts": "echo"}]')

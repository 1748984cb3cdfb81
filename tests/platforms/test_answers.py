"""What providers really answer (`answers/*.toml`), and the verdict that each must give."""

import json
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Kind, Scope, Verdict

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC).timestamp()
FOLDER = Path(__file__).parent / "answers"
NEEDED = {"platform": str, "source": str, "what": str, "status": int, "body": str, "verdict": str, "reason": str}
FLAGS = ("counts", "transient", "overload", "renew")
ALLOWED = NEEDED | {"headers": dict, "scope": str, "family": str, "for": int | float} | dict.fromkeys(FLAGS, bool)
KINDS = {kind.value: kind for kind in Kind}


def read(path):
    """The file's answers. Raises ValueError, which names the file and the entry, for one that is not as it must be."""
    top = tomllib.loads(path.read_text(encoding="utf-8"))
    if set(top) != {"answer"}:
        raise ValueError(f"{path.name}: only [[answer]] entries are known, not {sorted(set(top) - {'answer'})}")
    for number, entry in enumerate(top["answer"], 1):
        wrong = fault(entry)
        if wrong:
            raise ValueError(f"{path.name}: answer {number} ({entry.get('what', '?')}): {wrong}")
    return top["answer"]


def fault(entry):
    unknown, missing = sorted(entry.keys() - ALLOWED.keys()), sorted(NEEDED.keys() - entry.keys())
    if unknown or missing:
        return f"unknown {unknown}, missing {missing}"
    mistyped = [name for name, value in entry.items() if not isinstance(value, ALLOWED[name])]
    if mistyped:
        return f"of the wrong type: {mistyped}"
    return fault_of_values(entry) or fault_of_verdict(entry)


def fault_of_values(entry):
    if entry["platform"] not in PLATFORMS:
        return f"unknown platform {entry['platform']!r}"
    if not entry["source"].startswith("https://"):
        return "source is no address"
    if any(name != name.lower() or not isinstance(value, str) for name, value in entry.get("headers", {}).items()):
        return "headers are lower-case names with strings"
    return None


def fault_of_verdict(entry):
    if entry["verdict"] not in KINDS:
        return f"unknown verdict {entry['verdict']!r}"
    if entry["verdict"] in ("cool_down", "disable") and entry.get("scope") not in [scope.value for scope in Scope]:
        return "a state needs its scope: account, family or model"
    if (entry["verdict"] == "cool_down") is not ("for" in entry):
        return "`for` belongs to cool_down, and to nothing else"
    return None


def expected(entry):
    return Verdict(
        KINDS[entry["verdict"]],
        entry["reason"],
        NOW + entry["for"] if "for" in entry else None,
        Scope(entry.get("scope", "family")),
        entry.get("family", ""),
        **{flag: entry[flag] for flag in FLAGS if flag in entry},
    )


FILES = sorted(FOLDER.glob("*.toml"))
ANSWERS = [(path.stem, entry) for path in FILES for entry in read(path)]


@pytest.mark.parametrize(
    "entry", [pytest.param(entry, id=f"{entry['platform']}-{entry['status']}-{entry['what']}") for _, entry in ANSWERS]
)
def test_the_verdict(entry):
    body = entry["body"].encode()
    assert PLATFORMS[entry["platform"]].judge(entry["status"], entry.get("headers", {}), body, NOW) == expected(entry)


def test_there_are_enough_of_every_platform():
    assert len(ANSWERS) >= 200
    count = Counter(entry["platform"] for _, entry in ANSWERS)
    assert {name: count[name] for name in PLATFORMS if count[name] < 12} == {}


def test_none_is_there_twice():
    seen = Counter(
        (entry["platform"], entry["status"], tuple(sorted(entry.get("headers", {}).items())), entry["body"])
        for _, entry in ANSWERS
    )
    assert [key for key, times in seen.items() if times > 1] == []
    names = Counter((entry["platform"], entry["status"], entry["what"]) for _, entry in ANSWERS)
    assert [key for key, times in names.items() if times > 1] == []


def test_every_kind_of_verdict_is_met():
    assert {entry["verdict"] for _, entry in ANSWERS} >= {"caller", "elsewhere", "cool_down", "disable"}


def sentences():
    """Every sentence of the table, and the words beside it: what a client could write into a request."""
    for _, entry in ANSWERS:
        try:
            tree = json.loads(entry["body"])
        except ValueError:
            continue
        yield from texts(tree)


def texts(tree):
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(part)


@pytest.mark.parametrize(
    "echo",
    [
        "Invalid value: '{}'. Supported values are: 'low', 'medium', and 'high'.",
        "messages.0.content.0.type: Input should be 'text', not {}",
        "Previous response with id '{}' not found.",
        'Invalid JSON payload received. Unknown name "{}": Cannot find field.',
        "Malformed input request: {}, please reformat your input and try again.",
    ],
)
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_sentence_of_the_table_means_anything_where_a_request_is_repeated(platform, status, echo):
    for text in set(sentences()):
        said = echo.replace("{}", text)
        for body in (
            {"error": {"message": said, "type": "invalid_request_error"}},
            {"message": said},
            {"detail": said},
        ):
            found = PLATFORMS[platform].judge(status, {"retry-after": "60"}, json.dumps(body).encode(), NOW)
            assert found == Verdict(Kind.CALLER, "request"), said


GOOD = """[[answer]]
platform = "openai"
source = "https://example.com/"
what = "x"
status = 400
body = ""
verdict = "caller"
reason = "request"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('what = "x"', 'what = "x"\nwhy = "y"'),
        ('what = "x"\n', ""),
        ("status = 400", 'status = "400"'),
        ('"openai"', '"opnai"'),
        ('"https://example.com/"', '"somewhere"'),
        ('"caller"', '"callers"'),
        ('"caller"', '"cool_down"'),
        ('"caller"', '"cool_down"\nscope = "family"'),
        ('"caller"', '"caller"\nfor = 60'),
        ('"caller"', '"disable"\nscope = "all"'),
        ('body = ""', 'body = ""\nheaders = { Retry-After = "1" }'),
        ('body = ""', 'body = ""\nheaders = { retry-after = 1 }'),
        ("[[answer]]", "[[answers]]"),
    ],
)
def test_an_entry_that_is_not_as_it_must_be_is_refused(tmp_path, old, new):
    path = tmp_path / "x.toml"
    path.write_text(GOOD)
    assert len(read(path)) == 1
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=r"x\.toml"):
        read(path)

import pytest

from gateway.translation.anthropic.thinking import Plan, decides_itself, plan
from gateway.translation.efforts import BUDGETS
from gateway.translation.prompt import Call, Choice, Prompt, Reasoning, Result, Sealed, Text, Thinking, Tool, Turn
from gateway.translation.speech import Limits

OLD, NEW = "claude-sonnet-4-5-20250929", "claude-opus-5-5"
USER = Turn("user", (Text("hi"),))
SEALED = Thinking("t", Sealed("anthropic", "s"))


@pytest.mark.parametrize(
    ("model", "itself"),
    [
        ("claude-3-5-haiku-20241022", False),
        ("claude-3-7-sonnet@20250219", False),
        ("claude-opus-4-20250514", False),
        ("anthropic.claude-opus-4-1-20250805-v1:0", False),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", False),
        ("claude-opus-4.6", False),
        ("claude-opus-4-7", True),
        ("anthropic/claude-opus-4.8", True),
        ("claude-opus-4-10", True),
        ("claude-sonnet-5", True),
        ("claude-haiku-5-5-20260901", True),
        ("claude-fable-5-1", True),
        ("deepseek-reasoner", False),
        ("glm-5.2", False),
        ("claude-instant", False),
    ],
)
def test_which_models_take_an_effort(model, itself):
    assert decides_itself(model) is itself


def planned(model: str, most: int | None = None, turns=(USER,), **members) -> Plan:
    return plan(Prompt("m", turns, **members), Limits(model, most))


@pytest.mark.parametrize("effort", BUDGETS)
def test_an_effort_is_a_budget_or_an_effort(effort):
    asked = Reasoning(effort=effort)
    assert planned(OLD, max_tokens=64000, reasoning=asked) == Plan(
        64000, {"type": "enabled", "budget_tokens": BUDGETS[effort]}
    )
    told = "low" if effort == "minimal" else effort
    assert planned(NEW, max_tokens=64000, reasoning=asked) == Plan(64000, {"type": "adaptive"}, told)


@pytest.mark.parametrize(
    ("members", "most", "expected"),
    [
        ({}, None, Plan(8192)),
        ({}, 64000, Plan(64000)),
        ({"max_tokens": 0}, 64000, Plan(0)),
        ({"max_tokens": 99999}, 64000, Plan(64000, adjusted=("max_tokens",))),
        ({"reasoning": Reasoning(False, "high", 2000)}, None, Plan(8192, {"type": "disabled"})),
        ({"reasoning": Reasoning(budget=0)}, None, Plan(8192)),
        ({"reasoning": Reasoning(True)}, None, Plan(16384, {"type": "enabled", "budget_tokens": 8192})),
        ({"reasoning": Reasoning(True)}, 64000, Plan(64000, {"type": "enabled", "budget_tokens": 8192})),
        (
            {"reasoning": Reasoning(True, budget=5000, shown=False), "max_tokens": 6000},
            None,
            Plan(6000, {"type": "enabled", "budget_tokens": 5000, "display": "omitted"}),
        ),
        (
            {"reasoning": Reasoning(True, budget=6000), "max_tokens": 6000},
            None,
            Plan(6000, {"type": "enabled", "budget_tokens": 3000}, adjusted=("reasoning.budget",)),
        ),
        (
            {"reasoning": Reasoning(effort="xhigh"), "max_tokens": 1500},
            None,
            Plan(1500, {"type": "enabled", "budget_tokens": 1024}, adjusted=("reasoning.budget",)),
        ),
        (
            {"reasoning": Reasoning(budget=10), "max_tokens": 1500},
            None,
            Plan(1500, {"type": "enabled", "budget_tokens": 1024}, adjusted=("reasoning.budget",)),
        ),
        ({"reasoning": Reasoning(effort="low"), "max_tokens": 1024}, None, Plan(1024, adjusted=("reasoning",))),
        (
            {"reasoning": Reasoning(effort="high"), "choice": Choice("required"), "tools": (Tool("t"),)},
            None,
            Plan(8192, adjusted=("reasoning",)),
        ),
    ],
)
def test_budgets(members, most, expected):
    assert planned(OLD, most, **members) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, Plan(8192)),
        ({"reasoning": Reasoning(True, shown=True)}, Plan(16384, {"type": "adaptive", "display": "summarized"})),
        ({"reasoning": Reasoning(True, budget=31999), "max_tokens": 9}, Plan(9, {"type": "adaptive"}, "xhigh")),
        ({"reasoning": Reasoning(False, "high")}, Plan(8192, {"type": "disabled"}, "high")),
        (
            {"reasoning": Reasoning(effort="high"), "choice": Choice("one", "t"), "tools": (Tool("t"),)},
            Plan(8192, None, "high", ("reasoning",)),
        ),
    ],
)
def test_efforts(members, expected):
    assert planned(NEW, **members) == expected


@pytest.mark.parametrize(
    ("said", "thinks"),
    [
        ((Text("a"),), True),
        ((Call("i", "t"),), False),
        ((Thinking("t"), Call("i", "t")), False),
        ((Thinking("t", Sealed("openai", "s")), Call("i", "t")), False),
        ((SEALED, Call("i", "t")), True),
    ],
)
def test_calls_whose_thinking_is_lost_are_gone_on_with_without_thinking(said, thinks):
    turns = (USER, Turn("assistant", said), Turn("user", (Result("i"),)))
    asked = Reasoning(effort="low")
    assert planned(OLD, turns=turns, reasoning=asked).thinks is thinks
    assert planned(NEW, turns=turns, reasoning=asked).thinks is True
    apart = (USER, *(Turn("assistant", (part,)) for part in said), Turn("user", (Result("i"),)))
    assert planned(OLD, turns=apart, reasoning=asked).thinks is thinks

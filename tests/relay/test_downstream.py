"""The contract between the relay and the web shell: what the one calls, the other has, in the same form."""

import inspect

import pytest

from gateway.relay.downstream import Downstream
from gateway.web.downstream import SocketDownstream

METHODS = [name for name, value in vars(Downstream).items() if inspect.isfunction(value) and name[0] != "_"]
FACTS = [name for name, value in vars(Downstream).items() if isinstance(value, property)]
NOTICES = ["on_gone", "on_writable"]


def form(function: object) -> list[tuple[str, object, object]]:
    assert callable(function)
    signature = inspect.signature(function, eval_str=True)
    return [
        *((one.name, one.kind, one.annotation) for one in signature.parameters.values()),
        ("return", None, signature.return_annotation),
    ]


@pytest.mark.parametrize("name", METHODS)
def test_each_call(name: str) -> None:
    assert form(getattr(SocketDownstream, name)) == form(getattr(Downstream, name))


@pytest.mark.parametrize("name", FACTS)
def test_each_fact(name: str) -> None:
    found = inspect.getattr_static(SocketDownstream, name)
    assert isinstance(found, property)
    assert form(found.fget) == form(vars(Downstream)[name].fget)


@pytest.mark.parametrize("name", NOTICES)
def test_each_notice_can_be_set(name: str) -> None:
    assert name in Downstream.__annotations__
    assert inspect.isdatadescriptor(inspect.getattr_static(SocketDownstream, name))  # a slot: nothing else can be


def test_the_contract_is_all_here() -> None:
    assert {*METHODS, *FACTS} == {"begin", "respond", "write", "end", "abort", "gone", "paused"}
    assert set(Downstream.__annotations__) == set(NOTICES)

"""A machine without one of the wheels."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest


def hide(patch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec

    def without(name: str, parent: str | None = None) -> ModuleSpec | None:
        return None if name == package else find(name, parent)

    patch.setattr(importlib.util, "find_spec", without)

"""A string that is never shown by accident."""

from typing import Never


class Secret:
    """Holds a credential; prints, formats and logs as `[secret]`. Only `reveal()` gives it out.

    It refuses to be pickled or encoded, so that a struct that holds one cannot be serialised whole.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "[secret]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not serialised")

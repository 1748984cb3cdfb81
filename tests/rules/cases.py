"""How the tables of a protocol's rules are written."""

from gateway.core.groups import Position, PromptMode, PromptRule, Replacement, Rules

Case = tuple[Rules, bytes, bytes | None]


def put(mode: PromptMode, position: Position = "system", text: str = "T", **pairs: str) -> Rules:
    """A prompt's rule; `pairs`: what is found → what it becomes."""
    return Rules(prompt=PromptRule(mode, position, text, replace=replacing(**pairs)))


def change(**pairs: str) -> Rules:
    return Rules(prompt=PromptRule(replace=replacing(**pairs)))


def replacing(**pairs: str) -> tuple[Replacement, ...]:
    return tuple(Replacement(find, new) for find, new in pairs.items())


def less(*names: str) -> Rules:
    return Rules(tools_removed=names)

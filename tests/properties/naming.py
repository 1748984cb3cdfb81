"""What a path and a name mean, written anew from the contract: groups, aliases, and the forms of a model's name.

Nothing here asks the gateway: patterns are matched and names are read by these few lines alone, so that a mistake of
the gateway's is not a mistake of its test too.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from gateway.core.groups import Group

CLAUDE = {"claude-official", "claude-console", "claude-ccr", "bedrock"}
OPENAI = {"openai", "azure-openai", "openai-responses"}
ALL = CLAUDE | OPENAI | {"gemini", "ollama"}
SYNONYMS = {"claude": CLAUDE, "openai": OPENAI, "gemini": {"gemini"}}
PLAIN = ("claude", "openai", "gemini")


def fits(name: str, pattern: str, *, brackets: bool = True) -> bool:
    """`*` is anything, `?` one character, `[abc]` one of these; case counts. In an alias a bracket is a letter."""
    if not pattern:
        return not name
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return fits(name, rest, brackets=brackets) or (name != "" and fits(name[1:], pattern, brackets=brackets))
    if brackets and head == "[" and "]" in rest[1:]:
        some, _, after = rest.partition("]")
        return name != "" and name[0] in some and fits(name[1:], after)
    return name != "" and head in {"?", name[0]} and fits(name[1:], rest, brackets=brackets)


def fits_any(name: str, patterns: Collection[str]) -> bool:
    return any(fits(name, pattern) for pattern in patterns)


def platforms_given(names: Collection[str]) -> set[str]:
    """What a key's `platforms` stand for. A family's name beats a platform's; nothing is nothing."""
    given: set[str] = set()
    for name in names:
        given |= ALL if name == "*" else SYNONYMS.get(name, {name} & ALL)
    return given


class Groups(Struct, frozen=True):
    """Of one tenant: all of its groups, and the name of the one that is active."""

    all: Sequence[Group] = ()
    active: str = ""

    def find(self, name: str) -> Group | None:
        """One that is switched off might as well not be there."""
        return next((one for one in self.all if one.name == name and one.enabled), None)


class Place(Struct, frozen=True):
    """Section "Routes": `named`: the group that a path names, "" for none; `group`: the one whose aliases apply.
    `known`: there is such a one."""

    named: str
    group: Group | None
    known: bool = True


def place(segment: str, groups: Groups) -> Place:
    """`segment`: what stands for the group in the path, "" for nothing."""
    if not segment or (segment in PLAIN and groups.find(segment) is None):
        return Place("", groups.find("default"))
    name = groups.active if segment == "switch" else segment
    return Place(name, groups.find(name), groups.find(name) is not None)


class Way(Struct, frozen=True):
    """Where a name leads: to this model, at accounts of these platforms, and of the one that is named."""

    model: str
    platforms: frozenset[str] = frozenset(ALL)
    provider: str = ""
    pool: str = ""
    account: str = ""
    explicit: bool = False


class Meaning(Struct, frozen=True):
    """`model`: the client's name, on which permission is."""

    model: str
    ways: tuple[Way, ...]
    group: Group | None = None
    aliased: bool = False

    @property
    def platforms(self) -> frozenset[str]:
        return frozenset[str]().union(*(way.platforms for way in self.ways))


def meaning(
    written: str, slugs: Collection[str], group: Group | None, groups: Groups, given: Collection[str]
) -> Meaning | None:
    """Section "Naming a model". `group`: of the path; `given`: the key's. None: it is no name."""
    inside, name = parted(written, groups, given)
    group = inside or group
    if "," in name:
        left, right = (part.strip() for part in name.split(",", 1))
        asked = asked_platforms(left.lower())
        if not asked or not right:
            return None
        bare = right.removeprefix("models/")
        # An account that wants to be asked for by name is not asked for by its family's.
        return Meaning(bare, (Way(bare, frozenset(asked), explicit=len(asked) == 1),), group)
    ways = _alias(name, group)
    if ways:
        return Meaning(name, ways, group, aliased=True)
    left, colon, right = name.partition(":")
    bare = right.removeprefix("models/")
    if colon and right and left in ALL:
        return Meaning(bare, (Way(bare, frozenset({left}), explicit=True),), group)
    if colon and right and left in slugs:
        return Meaning(bare, (Way(bare, provider=left, explicit=True),), group)
    return Meaning(name, (Way(name),), group)


def parted(written: str, groups: Groups, given: Collection[str]) -> tuple[Group | None, str]:
    """`group@alias`: where the left side is a group that the key may use. Another might as well not be there."""
    name = written.removeprefix("models/")
    left, at, right = name.partition("@")
    found = groups.find(left) if at and right and fits_any(left, given) else None
    return (None, name) if found is None else (found, right.removeprefix("models/"))


def asked_platforms(name: str) -> set[str]:
    name = "claude-ccr" if name == "ccr" else name
    return SYNONYMS.get(name, {name} & ALL)


def _alias(name: str, group: Group | None) -> tuple[Way, ...]:
    """Exact names first, then patterns in the operator's order."""
    held = () if group is None else group.aliases
    exact = [one for one in held if one.match == name and not set(one.match) & set("*?")]
    wild = [one for one in held if set(one.match) & set("*?") and fits(name, one.match, brackets=False)]
    for one in (*exact, *wild):
        return tuple(
            Way(
                each.model,
                frozenset(ALL if each.platform is None else asked_platforms(each.platform)),
                each.provider or "",
                each.pool_id or "",
                each.account_id or "",
                explicit=True,
            )
            for each in one.targets
        )
    return ()


def refused(segment: str, given: Collection[str], groups: Groups) -> Mapping[str, bool]:
    """Of the errors about the path's group, which may be said. 403 comes before 404."""
    where = place(segment, groups)
    forbidden = where.named != "" and not fits_any(where.named, given)
    return {"group_forbidden": forbidden, "not_found": not forbidden and not where.known}

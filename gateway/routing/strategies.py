"""The ways of a pool to choose among accounts of one tier, and whose turn it is. Pure but for the turns it is given.

least_busy   in flight ÷ max_concurrency, then the longest idle: decided by the true counts when a slot is taken
round_robin  the one used least recently, by the times that all gateways share: exact
weighted     smooth weighted round robin, https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1
random       each as likely as the others
latency      the shortest mean time to the first byte; now and then another, to know it
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Literal

from gateway.core.domain import Strategy
from gateway.routing.latency import Peers

if TYPE_CHECKING:
    from gateway.routing.fitting import Candidate

Mode = Literal["busy", "idle", "order"]
"""What the admission does with those of the best tier that have a slot free (see admit.lua)."""

LOOK_AROUND = 0.05
"""The part of requests that `latency` gives to any account that is not slow."""
_GROUPS = 4096


def mode(strategy: Strategy) -> Mode:
    if strategy == "least_busy":
        return "busy"
    return "idle" if strategy == "round_robin" else "order"


class Turns:
    """What strategies remember from one request to the next, in this process."""

    def __init__(self, seed: int | None = None) -> None:
        self.random = Random(seed)  # noqa: S311  # shares load, guards nothing
        self._weights: dict[tuple[str, str], dict[str, int]] = {}

    def weights(self, pool_id: str, family: str) -> dict[str, int]:
        """The current weights of a pool's accounts for a model family."""
        found = self._weights.get((pool_id, family))
        if found is None:
            if len(self._weights) >= _GROUPS:
                self._weights.pop(next(iter(self._weights)))
            found = self._weights[pool_id, family] = {}
        return found


class Turn:
    """One request's turn at a pool. `taken`: it is really made, so the next one is another's; otherwise only asked
    about."""

    __slots__ = ("_family", "_last_used", "_peers", "_pool_id", "_taken", "_turns")

    def __init__(
        self,
        turns: Turns,
        pool_id: str,
        family: str,
        peers: Peers | None,
        last_used: Callable[[str], int],
        *,
        taken: bool,
    ) -> None:
        self._turns, self._pool_id, self._family = turns, pool_id, family
        self._peers, self._last_used, self._taken = peers, last_used, taken

    def arrange(self, strategy: Strategy, tier: "Sequence[Candidate]") -> "list[Candidate]":
        """The candidates of one tier, given least busy first, in the order of the strategy."""
        if strategy == "round_robin":
            return sorted(tier, key=lambda one: self._last_used(one.account.id))
        if strategy == "weighted":
            return self._weighted(tier)
        found = list(tier)
        if strategy == "random" and self._taken:
            self._turns.random.shuffle(found)
        if strategy == "latency":
            self._by_latency(found)
        return found

    def _weighted(self, tier: "Sequence[Candidate]") -> "list[Candidate]":
        """Each current weight grows by the account's own; the largest is chosen, and is taken down by the sum."""
        held = self._turns.weights(self._pool_id, self._family)
        grown = {one.account.id: held.get(one.account.id, 0) + one.account.weight for one in tier}
        found = sorted(tier, key=lambda one: (one.account.weight == 0, -grown[one.account.id], one.account.id))
        if self._taken:
            grown[found[0].account.id] -= sum(one.account.weight for one in tier)
            held.update(grown)
        return found

    def _by_latency(self, found: "list[Candidate]") -> None:
        peers = self._peers
        if peers is None:
            return
        found.sort(key=lambda one: peers.mean(one.account.id))
        if self._taken and self._turns.random.random() < LOOK_AROUND:
            found.insert(0, found.pop(self._turns.random.randrange(len(found))))

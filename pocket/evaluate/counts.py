"""Shares of right answers with their Wilson score interval.

    centre = (p + z^2 / 2n) / (1 + z^2 / n)
    half   = z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n)

E. B. Wilson, JASA 22 (1927). It stays inside [0, 1] and is honest at small n, where mean +- 2 deviations is neither.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

Z: Final = 1.959964
"""Two-sided 95 %."""


@dataclass(frozen=True)
class Share:
    """`hits` right answers out of `n`."""

    hits: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.n:
            raise ValueError(f"hits must lie in [0, n], got {self.hits} of {self.n}")

    @property
    def value(self) -> float | None:
        """The share in [0, 1], or None if nothing was asked."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval."""
        if not self.n:
            return None
        p, spread = self.hits / self.n, Z * Z / self.n
        centre = (p + spread / 2) / (1 + spread)
        half = Z * sqrt(p * (1 - p) / self.n + spread / (4 * self.n)) / (1 + spread)
        return max(0.0, centre - half), min(1.0, centre + half)


def tally(answers: Iterable[Mapping[str, bool | list[bool]]]) -> dict[str, Share]:
    """Add up answers; a key may be missing (not asked) or hold several answers (one an object)."""
    hits, asked = dict[str, int](), dict[str, int]()
    for answer in answers:
        for key, right in answer.items():
            several = right if isinstance(right, list) else [right]
            hits[key] = hits.get(key, 0) + sum(several)
            asked[key] = asked.get(key, 0) + len(several)
    return {key: Share(hits[key], asked[key]) for key in asked}

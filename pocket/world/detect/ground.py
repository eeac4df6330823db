"""Theme: match the ground of every theme at every phase, objects and marks left out."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from pocket.world.detect.masks import Mask, dilated
from pocket.world.detect.result import NONE
from pocket.world.detect.templates import STRIP, ground_shown
from pocket.world.render import GROUND, PAPER, Array, element_mask
from pocket.world.vocabulary import THEMES

GROUNDS: Final = THEMES[1:]
PHASES: Final = 64
SMOOTH: Final = 1.5
_STEP: Final = 2
"""Only every second pixel is compared: after smoothing nothing is lost."""
FAMILIES: Final = ("flat", "outline")
"""Smoothed, every style looks like one of these two at some strength."""
GAINS: Final[dict[str, tuple[float, float]]] = {"flat": (0.45, 1.1), "outline": (0.6, 1.15)}
PLAIN_BELOW: Final = 0.006
"""Mean squared ungraded change explained by the best ground below which there is none."""
EMPTY_BELOW: Final = 0.02
"""Mean squared ungraded change up to which a strip without a ground is called plain and not unknown."""
EXPLAINED: Final = 0.45
"""Least share of the change in the strip that the named ground explains."""
SURE: Final = 0.01
"""Least lead of the named theme over the next, as a share of the change."""


class Ground(NamedTuple):
    """The theme of a picture and where its ground lies."""

    theme: str
    """`plain` if there is no ground, `none` if something is there that no theme explains."""
    confidence: float
    best: str
    """The theme that fits best, even if not named; `plain` if there is no ground."""
    phase: int


@cache
def _bank() -> tuple[Array, Array]:
    """Return templates and their squares: (families, themes, phases, pixels)."""
    rows = [
        gaussian_filter(ground_shown(theme, phase, family), SMOOTH, mode="nearest")[::_STEP, ::_STEP].ravel()
        for family in FAMILIES
        for theme in GROUNDS
        for phase in range(PHASES)
    ]
    templates = np.stack(rows).reshape(len(FAMILIES), len(GROUNDS), PHASES, -1).astype(np.float32)
    return templates, np.square(templates)


@cache
def _directions() -> Array:
    """Return (themes, 3): each ground's colour minus paper."""
    return np.stack([GROUND[t] - PAPER for t in GROUNDS])


@cache
def unmarked(strip_only: bool = True) -> Mask:
    """Return where no frame or confetti can lie."""
    covered = dilated(element_mask("frame") > 0, 2)
    covered |= dilated(element_mask("confetti") > 0)
    return ~covered[STRIP:] if strip_only else ~covered


def read_ground(flat: Array, objects: Mask) -> Ground:
    """Name the theme of an ungraded picture.

    Args:
        flat: (SIZE, SIZE, 3), 0 on paper.
        objects: (SIZE, SIZE), true on objects and a few pixels around them.
    """
    templates, squares = _bank()
    smooth = gaussian_filter(flat[STRIP:], (SMOOTH, SMOOTH, 0), truncate=3.0, mode="nearest")[::_STEP, ::_STEP]
    weight = (unmarked() & ~objects[STRIP:])[::_STEP, ::_STEP].ravel().astype(np.float32)
    change = smooth.reshape(-1, 3)
    # Light rays above the ground are brighter than paper; no ground is.
    total = float(weight @ np.square(np.minimum(change, 0)).sum(axis=1))
    seen = float(weight.sum())
    if seen < weight.size * 0.05:
        return Ground(NONE, 0.0, "plain", 0)
    directions = _directions()
    lengths = np.square(directions).sum(axis=1)
    along = np.maximum(change @ directions.T / lengths, 0) * weight[:, None]
    norms = squares @ weight
    fits = np.empty((len(FAMILIES), len(GROUNDS), PHASES), np.float32)
    for f, family in enumerate(FAMILIES):
        for t in range(len(GROUNDS)):
            overlap = templates[f, t] @ along[:, t]
            gain = np.clip(overlap / np.maximum(norms[f, t], 1e-6), *GAINS[family])
            fits[f, t] = gain * (2 * overlap - gain * norms[f, t]) * lengths[t]
    best_of = fits.max(axis=(0, 2))
    order = np.argsort(-best_of)
    first, second = int(order[0]), int(order[1])
    phase = int(fits[:, first].max(axis=0).argmax())
    if best_of[first] / seen < PLAIN_BELOW:
        confidence = float(np.clip(1 - best_of[first] / seen / PLAIN_BELOW, 0, 1))
        return Ground("plain" if total / seen < EMPTY_BELOW else NONE, confidence, "plain", 0)
    share = float(best_of[first]) / max(total, 1e-9)
    lead = float(best_of[first] - best_of[second]) / max(total, 1e-9)
    named = GROUNDS[first] if share >= EXPLAINED and lead >= SURE else NONE
    return Ground(named, float(np.clip(share, 0, 1)), GROUNDS[first], phase)

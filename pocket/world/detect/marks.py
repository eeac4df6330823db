"""Visual elements: each has a fixed place, so each is one contrast measured there, objects left out."""

from functools import cache
from typing import Final

import numpy as np

from pocket.world.detect.masks import Mask, dilated, eroded
from pocket.world.render import (
    CONFETTI_SPOTS,
    INK,
    LUMA,
    PAPER,
    STAR_SPOTS,
    SUN_CENTRE,
    SUN_RADIUS,
    WHITE,
    Array,
    element_mask,
)
from pocket.world.vocabulary import ELEMENTS, SIZE

PRESENT: Final[dict[str, float]] = {"frame": 0.5, "sun": 0.4, "stars": 0.4, "rays": 0.4, "confetti": 0.4}
"""Strength of a mark from which it counts as drawn; a rendered mark has about 1, an absent one about 0."""
_DARK: Final = float((INK - PAPER) @ LUMA)
_LIGHT: Final = float((WHITE - PAPER) @ LUMA)


def _median(values: Array) -> float:
    return float(np.median(values)) if values.size else 0.0


@cache
def _sides() -> tuple[Mask, ...]:
    """The four sides of the frame, without its blurred inner edge, and without the ground at left and right."""
    ring = element_mask("frame") > 0.99
    y, x = np.indices((SIZE, SIZE))
    inner = ring & (np.minimum(np.minimum(x, SIZE - 1 - x), np.minimum(y, SIZE - 1 - y)) < 4)
    return inner & (y < 4), inner & (x < 4) & (y < 84), inner & (x > SIZE - 5) & (y < 84), inner & (y > SIZE - 5)


def _frame(luma: Array, free: Mask) -> float:
    """The weakest of the four sides."""
    return min(_median(luma[side & free]) / _DARK for side in _sides())


@cache
def _sun_parts() -> tuple[Mask, Mask]:
    y, x = np.indices((SIZE, SIZE))
    distance = np.hypot(x + 0.5 - SUN_CENTRE[0], y + 0.5 - SUN_CENTRE[1])
    return distance < SUN_RADIUS - 3, (distance > SUN_RADIUS - 0.2) & (distance < SUN_RADIUS + 1.3)


def _sun(luma: Array, free: Mask) -> float:
    """The weaker of two shares of what is drawn: the lightness of the disc, and its contrast to the dark ring."""
    disc, ring = _sun_parts()
    if np.count_nonzero(disc & free) < 60 or np.count_nonzero(ring & free) < 30:
        return 0.0
    light, dark = _median(luma[disc & free]), _median(luma[ring & free])
    return min((light - dark) / (_LIGHT - 0.75 * _DARK), light / _LIGHT + 0.3)


@cache
def _spots(element: str) -> tuple[tuple[Mask, Mask], ...]:
    """(core, surroundings) of every mark of an element."""
    places = STAR_SPOTS if element == "stars" else CONFETTI_SPOTS
    y, x = np.indices((SIZE, SIZE)) + 0.5
    parts: list[tuple[Mask, Mask]] = []
    for cx, cy in places:
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        core = (np.maximum(dx, dy) < 1.6) if element == "confetti" else (dx + dy < 2.2)
        reach = (np.maximum(dx, dy) > 4) & (np.maximum(dx, dy) < 7)
        if element == "stars":
            # Between the arms of the star: its arms reach 6 px along the axes.
            reach = (np.minimum(dx, dy) > 2.5) & (np.maximum(dx, dy) < 6)
        parts.append((core, reach))
    return tuple(parts)


def _dots(element: str, luma: Array, free: Mask) -> float:
    """The median contrast of the marks that no object covers."""
    values = [
        (_median(luma[core]) - _median(luma[around & free])) / _DARK
        for core, around in _spots(element)
        if free[core].all() and np.count_nonzero(around & free) > 8
    ]
    return _median(np.array(values, np.float32)) if len(values) >= 2 else 0.0


@cache
def _beams() -> tuple[Mask, Mask]:
    y, x = np.indices((SIZE, SIZE))
    mask = element_mask("rays")
    reach = (np.hypot(x, y) < 142) & (np.hypot(x, y) > 24) & (y < 86) & (x > 6) & (y > 6) & (x < SIZE - 6)
    for element in ("sun", "stars", "confetti"):
        reach &= ~dilated(element_mask(element) > 0, 3)
    return eroded(mask > 0.99) & reach, eroded(mask < 0.01) & reach


def _rays(luma: Array, free: Mask) -> float:
    """The lightness of the beams against that of the paper between them."""
    beams, gaps = _beams()
    if np.count_nonzero(beams & free) < 100 or np.count_nonzero(gaps & free) < 100:
        return 0.0
    return (_median(luma[beams & free]) - _median(luma[gaps & free])) / (0.75 * _LIGHT)


def read_elements(flat: Array, objects: Mask) -> dict[str, float]:
    """Return the strength of every visual element's mark in an ungraded picture.

    Args:
        flat: (SIZE, SIZE, 3), 0 on paper.
        objects: (SIZE, SIZE), true on objects and a few pixels around them.
    """
    luma, free = flat @ LUMA, ~objects
    strengths = {
        "frame": _frame(luma, free),
        "sun": _sun(luma, free),
        "stars": _dots("stars", luma, free),
        "rays": _rays(luma, free),
        "confetti": _dots("confetti", luma, free),
    }
    return {element: float(strengths[element]) for element in ELEMENTS}

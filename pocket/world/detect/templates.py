"""What fills and grounds look like when drawn: the patterns the detectors compare a picture with.

Every pattern exists at a few degrees of softness, because pictures that a model drew are softer than rendered ones, and
a sharp pattern compared with a soft one reads as a different style.
"""

from functools import cache, lru_cache
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter

from pocket.world.render import (
    TINT,
    Array,
    ground_mask,
    ink,
    shape_mask,
    tile,
)
from pocket.world.vocabulary import SIZE

STRIP: Final = 80
"""First row of the strip that can hold a ground, with a margin above it."""
PAD: Final = 6
"""Pixels around a box within which a soft edge can still be seen."""
BLURS: Final = (0.0, 0.7, 1.1)
"""Deviations in pixels at which patterns are compared."""


def soft(pattern: Array, blur: float) -> Array:
    """Return a pattern blurred by `blur` pixels."""
    return np.asarray(gaussian_filter(pattern, blur, mode="nearest", truncate=3.0), np.float32) if blur else pattern


@cache
def texture(style: str, blur: float = 0.0) -> Array:
    """Return the (SIZE, SIZE) share of colour inside a large fill of a flat or textured style."""
    if style not in TINT:
        return np.ones((SIZE, SIZE), np.float32)
    fill = (TINT[style] + (1 - TINT[style]) * tile(style)).astype(np.float32)
    return np.asarray(gaussian_filter(fill, blur, mode="wrap"), np.float32) if blur else fill


def shown(mask: Array, style: str, blur: float = 0.0) -> Array:
    """Return the share of its colour that a fill of `mask`, of any size, shows in an untextured style."""
    coverage, strength = ink(mask, style)
    return soft((coverage * strength).astype(np.float32), blur)


@lru_cache(maxsize=1024)
def ground_shown(theme: str, phase: int, style: str, blur: float = 0.0) -> Array:
    """Return the (SIZE - STRIP, SIZE) share of its colour that a ground shows in a style."""
    return shown(ground_mask(theme, phase), style, blur)[STRIP:]


@cache
def object_mask(shape: str, side: int, blur: float = 0.0) -> Array:
    """Return the coverage of one object, in its box and, when blurred, `PAD` pixels around it."""
    return soft(np.pad(shape_mask(shape, side), PAD), blur) if blur else shape_mask(shape, side)


@cache
def object_shown(shape: str, side: int, style: str, blur: float = 0.0) -> Array:
    """Return the share of colour of one outlined or washed object, in its box and `PAD` pixels around it."""
    return shown(np.pad(shape_mask(shape, side), PAD), style, blur)

"""Style: fill the measured masks in every style and see which one the picture agrees with."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pocket.world.detect.blobs import Blob
from pocket.world.detect.ground import Ground, unmarked
from pocket.world.detect.masks import Mask, dilated, eroded
from pocket.world.detect.result import NONE
from pocket.world.detect.templates import BLURS, STRIP, ground_shown, shown, texture
from pocket.world.render import GROUND, PAPER, Array, ground_mask
from pocket.world.vocabulary import STYLES

FAR: Final = 0.07
"""Largest mean squared difference of shares at which a style is still named."""
SURE: Final = 0.15
"""Least confidence at which a style is named."""
LIMIT: Final = 0.6
"""Differences are cut here, so that a few wild pixels do not decide."""

GAIN: Final = (0.82, 1.15)
"""How much weaker or stronger than drawn a fill may be; models miss colours a little. A wash has 0.6 of a flat fill."""


class Fill(NamedTuple):
    """The style of a picture."""

    style: str
    confidence: float
    best: str
    """The style that fits best, even if not named."""
    blur: float
    """How soft the picture is, in pixels."""
    error: float
    """Mean squared difference of the best fit, in shares of the colour."""


Errors = NDArray[np.float64]
"""(BLURS, STYLES) summed squared differences."""


def _squares(share: Array, patterns: list[Array]) -> Errors:
    """Compare with every pattern, each made a little stronger or weaker where that fits better."""
    errors: list[float] = []
    for pattern in patterns:
        gain = np.clip(share @ pattern / max(float(pattern @ pattern), 1e-6), *GAIN)
        errors.append(float(np.square(np.clip(share - gain * pattern, -LIMIT, LIMIT)).sum()))
    return np.array(errors).reshape(len(BLURS), len(STYLES))


def _object_errors(blob: Blob, flat: Array) -> tuple[Errors, int]:
    """Return the errors of every style inside one object, and the number of pixels compared."""
    rows, columns = blob.window(8)
    mask = blob.mask[rows, columns]
    inside = eroded(mask)
    share = flat[rows, columns][inside] @ blob.direction / float(np.square(blob.direction).sum())
    cover = mask.astype(np.float32)

    def pattern(style: str, blur: float) -> Array:
        if style in ("outline", "watercolor"):
            return shown(cover, style, blur)[inside]
        return texture(style, blur)[rows, columns][inside]

    return _squares(share.astype(np.float32), [pattern(style, blur) for blur in BLURS for style in STYLES]), int(
        share.size
    )


def _ground_errors(ground: Ground, flat: Array, objects: Mask) -> tuple[Errors, int]:
    """The same for the ground."""
    below = eroded(ground_mask(ground.best, ground.phase)[STRIP:] > 0.5, edge=1)
    inside = below & unmarked() & ~objects[STRIP:]
    direction = GROUND[ground.best] - PAPER
    share = flat[STRIP:][inside] @ direction / float(np.square(direction).sum())
    strip = slice(STRIP, None)

    def pattern(style: str, blur: float) -> Array:
        if style in ("outline", "watercolor"):
            return ground_shown(ground.best, ground.phase, style, blur)[inside]
        return texture(style, blur)[strip][inside]

    return _squares(share.astype(np.float32), [pattern(style, blur) for blur in BLURS for style in STYLES]), int(
        share.size
    )


def read_style(flat: Array, blobs: list[Blob], ground: Ground, objects: Mask) -> Fill:
    """Name the style of all fills together, which share one style and one softness.

    Args:
        flat: (SIZE, SIZE, 3) ungraded picture, 0 on paper.
        blobs: the objects.
        ground: the ground under them.
        objects: (SIZE, SIZE), true on objects and a few pixels around them.
    """
    parts = [_object_errors(blob, flat) for blob in blobs]
    if ground.best != "plain":
        parts.append(_ground_errors(ground, flat, objects))
    pixels = sum(count for _, count in parts)
    if pixels == 0:
        return Fill(NONE, 0.0, NONE, 0.0, 0.0)
    mean = np.sum([errors for errors, _ in parts], axis=0) / pixels
    blur = int(mean.min(axis=1).argmin())
    each = mean.min(axis=0)
    first, second = (int(i) for i in np.argsort(each)[:2])
    confidence = 1.0 - float(each[first] / max(float(each[second]), 1e-9))
    best = STYLES[first]
    named = best if each[first] <= FAR and confidence >= SURE else NONE
    return Fill(named, confidence, best, BLURS[blur], float(each[first]))


def around(blobs: list[Blob], pixels: int) -> Mask:
    """Return the (SIZE, SIZE) union of all objects, widened by some pixels."""
    union = np.zeros(ground_mask("plain", 0).shape, bool)
    for blob in blobs:
        union |= blob.mask
    return dilated(union, pixels) if blobs else union

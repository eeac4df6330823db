"""Atmosphere from the colour of the paper, and the picture with its grade undone."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from pocket.world.detect.masks import Mask, dilated
from pocket.world.detect.result import NONE
from pocket.world.render import COLOUR, GRADES, LUMA, PAPER, Array, element_mask, grade, ungrade
from pocket.world.vocabulary import ATMOSPHERES, COLOURS, ELEMENTS, SIZE

FAR: Final = 0.10
"""Largest distance of the paper from an anchor, in RGB of [0, 1], at which the atmosphere is still named."""
SURE: Final = 0.25
"""Least confidence at which the atmosphere is named."""
_GROUND_FROM: Final = 88
"""Row at which the highest ground may begin."""
_NEAR: Final = 0.05
"""Radius of the mean shift that refines the paper colour."""
_PALETTE_STRENGTH: Final = 0.85
"""Share of a colour at which its observed hue is tabulated: between a wash and a full fill."""


class Tone(NamedTuple):
    """The atmosphere of a picture and its pixels with the grade undone."""

    atmosphere: str
    confidence: float
    mood: dict[str, float]
    paper: Array
    """(3,) measured colour of the paper, before the grade is undone."""
    flat: Array
    """(SIZE, SIZE, 3) pixels minus paper, grade undone: 0 on paper."""
    palette: Array
    """(6, 3) what each colour minus paper looks like after clipping and undoing, in the order of COLOURS."""


@cache
def paper_anchors() -> Array:
    """Return the (6, 3) paper colours of the atmospheres."""
    return np.stack([grade(PAPER, GRADES[a]) for a in ATMOSPHERES])


@cache
def _open_paper() -> Mask:
    """Where nothing but objects can cover the paper."""
    covered = np.zeros((SIZE, SIZE), bool)
    for element in ELEMENTS:
        covered |= dilated(element_mask(element) > 0, 2)
    covered[_GROUND_FROM:] = True
    return ~covered


@cache
def _palette(atmosphere: str) -> Array:
    colours = np.stack([PAPER + _PALETTE_STRENGTH * (COLOUR[c] - PAPER) for c in COLOURS]).astype(np.float32)
    seen = ungrade(grade(colours, GRADES[atmosphere]), GRADES[atmosphere])
    return ((seen - PAPER) / _PALETTE_STRENGTH).astype(np.float32)


def paper_colour(pixels: Array) -> Array:
    """Return the (3,) most frequent colour of the open paper, by a histogram peak refined by mean shift."""
    colours = uniform_filter(pixels, 3, axes=(0, 1))[_open_paper()]
    cells = np.minimum((colours * 16).astype(np.int32), 15)
    counts = np.bincount(cells @ np.array((256, 16, 1)), minlength=4096).reshape(16, 16, 16).astype(np.float32)
    # Sums over 2 x 2 x 2 cells, so that a peak on the border of two cells is not split.
    joined = np.pad(counts, ((0, 1),) * 3)
    joined = joined[:-1] + joined[1:]
    joined = joined[:, :-1] + joined[:, 1:]
    joined = joined[:, :, :-1] + joined[:, :, 1:]
    centre = (np.array(np.unravel_index(int(joined.argmax()), joined.shape)) + 1) / 16
    radius = 0.075
    for _ in range(4):
        near = np.square(colours - centre).sum(axis=1) < radius * radius
        if near.any():
            centre = colours[near].mean(axis=0)
        radius = _NEAR
    return np.asarray(centre, np.float32)


def mood_scores(paper: Array) -> dict[str, float]:
    """Return how far `paper` has moved from neutral towards each other atmosphere."""
    anchors = paper_anchors()
    steps = anchors[1:] - anchors[0]
    shares = (steps @ (paper - anchors[0])) / np.square(steps).sum(axis=1)
    return {a: float(s) for a, s in zip(ATMOSPHERES[1:], shares, strict=True)}


def read_tone(pixels: Array) -> Tone:
    """Name the atmosphere of (SIZE, SIZE, 3) values in [0, 1] and undo its grade."""
    paper = paper_colour(pixels)
    distance = np.sqrt(np.square(paper_anchors() - paper).sum(axis=1))
    first, second = np.argsort(distance)[:2]
    nearest = ATMOSPHERES[first]
    confidence = 1.0 - float(distance[first] / distance[second])
    named = nearest if distance[first] <= FAR and confidence >= SURE else NONE
    # The measured paper, not the anchor, is the origin: a generated picture may miss its grade by a little.
    flat = ungrade(pixels, GRADES[nearest]) - ungrade(paper, GRADES[nearest])
    return Tone(named, confidence, mood_scores(paper), paper, flat.astype(np.float32), _palette(nearest))


def chroma(flat: Array) -> Array:
    """Return (..., 2): red minus luma and blue minus luma."""
    luma = flat @ LUMA
    return np.stack((flat[..., 0] - luma, flat[..., 2] - luma), axis=-1).astype(np.float32)

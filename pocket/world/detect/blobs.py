"""Objects as connected regions of one hue, whatever the style they are filled in."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pocket.world.detect.masks import Mask, eroded, filled, labelled, nearest_label
from pocket.world.detect.tone import Tone, chroma
from pocket.world.render import Array
from pocket.world.vocabulary import COLOURS, SIZE

SMOOTH: Final = 1.5
"""Deviation in pixels of the smoothing that evens out a texture of period 8 / sqrt(2) but keeps a gap of 4 open."""
SEED: Final = 0.36
"""Least smoothed share of a colour where an object can start; grounds reach 0.2, a wash 0.6."""
HALF: Final = 0.5
"""The edge of an object lies at this share of its own level."""
LEAST_AREA: Final = 110
"""Fewer pixels are no object; the smallest star has about 270."""
FIRM_AREA: Final = 200
"""A seed of another hue this large is an object of its own and not a sliver."""
_DEEPEST: Final = 7
"""How many pixels are peeled off a region when looking for a neck."""


@dataclass(frozen=True)
class Blob:
    """One region: its colour and its filled mask."""

    colour: str
    mask: Mask
    """(SIZE, SIZE)"""
    share: Array
    """(SIZE, SIZE) how much of the colour each pixel shows, from its chroma alone, not smoothed."""
    direction: Array
    """(3,) the colour minus paper as this picture shows it."""

    def window(self, margin: int) -> tuple[slice, slice]:
        """Return the rows and columns of the mask and `margin` pixels around it."""
        rows, columns = np.nonzero(self.mask.any(axis=1))[0], np.nonzero(self.mask.any(axis=0))[0]
        return (
            slice(max(0, int(rows[0]) - margin), min(SIZE, int(rows[-1]) + 1 + margin)),
            slice(max(0, int(columns[0]) - margin), min(SIZE, int(columns[-1]) + 1 + margin)),
        )


def _grown(seed: Mask, smoothed: Array, others: Mask) -> Mask:
    """Grow or shrink a seed to the half level of the region it lies in, and fill its holes.

    Args:
        seed: where the hue is strong.
        smoothed: share of this hue.
        others: seeds of other hues, which it may not swallow.
    """
    level = float(np.percentile(smoothed[seed], 75))
    parts = labelled((smoothed > HALF * level) & ~others)
    inside = np.bincount(parts[seed])
    inside[0] = 0
    return filled(parts == int(inside.argmax()))


def _seeds(nearest: NDArray[np.intp], along: Array) -> list[tuple[int, Mask]]:
    """Return (hue, mask) of every connected region in which one hue is strong."""
    found: list[tuple[int, Mask]] = []
    for hue in range(len(COLOURS)):
        parts = labelled((nearest == hue) & (along[..., hue] > SEED))
        areas = np.bincount(parts.ravel())
        found.extend((hue, parts == number) for number in range(1, areas.size) if areas[number] >= LEAST_AREA // 2)
    return found


def find_blobs(tone: Tone) -> list[Blob]:
    """Return the objects of a picture, largest first."""
    raw = chroma(tone.flat)
    smooth = gaussian_filter(raw, (SMOOTH, SMOOTH, 0), truncate=3.0)
    hues = chroma(tone.palette)
    length = np.sqrt(np.square(hues).sum(axis=1))
    along = smooth @ (hues / length[:, None]).T
    shares = along / length
    seeds = _seeds(along.argmax(axis=-1), shares)
    found: list[Blob] = []
    for hue, seed in seeds:
        others = np.zeros_like(seed)
        for other, mask in seeds:
            if other != hue and np.count_nonzero(mask) >= FIRM_AREA:
                others |= mask
        mask = _grown(seed, shares[..., hue], others)
        if np.count_nonzero(mask) < LEAST_AREA:
            continue
        # The seed may be a sliver of another hue; the whole region decides.
        own = int(np.where(mask[..., None], along, 0).sum(axis=(0, 1)).argmax())
        share = (raw @ hues[own]) / float(np.square(hues[own]).sum())
        found.append(Blob(COLOURS[own], mask, share.astype(np.float32), tone.palette[own]))
    return _distinct(found)


def _distinct(blobs: list[Blob]) -> list[Blob]:
    """Drop regions that lie for the most part inside a larger one: slivers of hue, or twice the same."""
    kept: list[Blob] = []
    for blob in sorted(blobs, key=lambda b: -int(np.count_nonzero(b.mask))):
        area = np.count_nonzero(blob.mask)
        if all(np.count_nonzero(blob.mask & other.mask) < 0.5 * area for other in kept):
            kept.append(blob)
    return kept


def split(blob: Blob) -> list[Blob]:
    """Cut a region at its narrowest place, or return nothing if it does not fall into large parts."""
    core = blob.mask
    for _ in range(_DEEPEST):
        core = eroded(core)
        parts = labelled(core)
        areas = np.bincount(parts.ravel())
        large = [number for number in range(1, areas.size) if areas[number] >= LEAST_AREA // 3]
        if len(large) < 2:
            continue
        owner = nearest_label(np.where(np.isin(parts, large), parts, 0).astype(np.int32))
        masks = [blob.mask & (owner == number) for number in large]
        return [replace(blob, mask=m) for m in masks if np.count_nonzero(m) >= LEAST_AREA]
    return []

"""Shape and box: rendered masks slid over a region of one hue; the one that explains it best wins."""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pocket.world.detect.blobs import Blob, split
from pocket.world.detect.masks import dilated
from pocket.world.detect.result import NONE, DetectedObject
from pocket.world.detect.templates import object_mask, object_shown, texture
from pocket.world.detect.tone import chroma
from pocket.world.render import Array, shape_mask
from pocket.world.vocabulary import SHAPES, SIZE

SIDES: Final = range(20, 77)
REACH: Final = 4
"""How far from the first guess a corner is looked for, in pixels."""
SIDE_STEPS: Final = (-4, -2, 0, 2, 4)
FAR: Final = 0.35
"""Largest unexplained share of a region at which its shape is still named."""
SURE: Final = 0.08
"""Least confidence at which a shape is named."""


CUT_FROM: Final = 0.15
"""Unexplained share from which a region may be two objects that touch."""
CUT_GAIN: Final = 0.7
"""The parts must leave less than this share of what the whole left unexplained."""


class Fit(NamedTuple):
    """One placed template and how much of the region it leaves unexplained."""

    error: float
    left: int
    top: int
    side: int


@cache
def _form(shape: str) -> tuple[float, float, float]:
    """Return area / side^2 and the centre of mass, as shares of the side, of a shape."""
    mask = shape_mask(shape, 64)
    area = float(mask.sum())
    steps = (np.arange(64) + 0.5) / 64
    return area / 64**2, float(mask.sum(axis=0) @ steps) / area, float(mask.sum(axis=1) @ steps) / area


@cache
def _blocky(shape: str, side: int, dx: int, dy: int) -> Array:
    """Return the 4 px blocks that a pixelated shape fills if its corner lies at (dx, dy) of a block."""
    count = (side + 3 + 3) // 4
    canvas = np.zeros((count * 4, count * 4), np.float32)
    canvas[dy : dy + side, dx : dx + side] = shape_mask(shape, side)
    return (canvas.reshape(count, 4, count, 4).mean(axis=(1, 3)) > 0.5).astype(np.float32)


class Region:
    """The neighbourhood of one blob, ready to be compared with templates in one style."""

    def __init__(self, blob: Blob, style: str, blur: float, background: Array) -> None:
        self.style, self.blur = style, blur
        near = dilated(blob.mask, 4)
        share = np.clip(np.where(blob.mask, blob.share, blob.share - background), -0.2, 1.3) * near
        rows, columns = np.nonzero(blob.mask)
        self.area, self.x, self.y = rows.size, float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
        # Margins wide enough for every placement tried; templates never leave this array.
        self.margin = 48
        self.share = np.pad(share, self.margin).astype(np.float32)
        self.total = float(np.square(share).sum())
        if style == "pixel art":
            filled = share / texture(style, blur)
            self.blocks = np.pad(filled.reshape(SIZE // 4, 4, SIZE // 4, 4).mean(axis=(1, 3)), 12)
            self.total = float(np.square(self.blocks).sum())
        elif style not in ("outline", "watercolor"):
            fill = np.pad(texture(style, blur), self.margin, mode="wrap")
            self.first, self.second = self.share * fill, fill * fill

    def guess(self, shape: str) -> tuple[int, float, float]:
        """Return side, left and top of a shape with the area and the centre of mass of the blob."""
        area, x, y = _form(shape)
        side = min(max(round((self.area / area) ** 0.5), SIDES.start), SIDES.stop - 1)
        return side, self.x - x * side, self.y - y * side

    def fit(self, shape: str, side: int, left: int, top: int, reach: int) -> Fit:
        """Return the best placement of a template of one side within `reach` pixels of a corner."""
        if self.style == "pixel art":
            return self._fit_blocks(shape, side, left, top, reach)
        whole = self.style in ("outline", "watercolor")
        template = object_shown(shape, side, self.style, self.blur) if whole else object_mask(shape, side, self.blur)
        pad = (template.shape[0] - side) // 2
        x, y = left - reach - pad + self.margin, top - reach - pad + self.margin
        size = template.shape[0]
        span = slice(y, y + size + 2 * reach), slice(x, x + size + 2 * reach)
        # |s - m q|^2 = |s|^2 - 2 <s q, m> + <q^2, m^2> for a mask m under a texture q fixed to the picture.
        if whole:
            overlap = _slide(self.share[span], template)
            norm = np.float32(np.square(template).sum())
        else:
            overlap = _slide(self.first[span], template)
            norm = _slide(self.second[span], np.square(template)) if self.style != "flat" else np.square(template).sum()
        errors = (self.total - 2 * overlap + norm) / self.total
        row, column = np.unravel_index(int(errors.argmin()), errors.shape)
        return Fit(float(errors.min()), left - reach + int(column), top - reach + int(row), side)

    def _fit_blocks(self, shape: str, side: int, left: int, top: int, reach: int) -> Fit:
        best = Fit(np.inf, left, top, side)
        for y in range(top - reach, top + reach + 1):
            for x in range(left - reach, left + reach + 1):
                template = _blocky(shape, side, x % 4, y % 4)
                size = template.shape[0]
                here = self.blocks[y // 4 + 12 : y // 4 + 12 + size, x // 4 + 12 : x // 4 + 12 + size]
                error = (self.total + float((template * (1 - 2 * here)).sum())) / self.total
                if error < best.error:
                    best = Fit(error, x, y, side)
        return best


def _slide(image: Array, template: Array) -> Array:
    """Return the inner product of a template with `image` at every placement inside it."""
    windows = sliding_window_view(image, template.shape)
    return np.einsum("ijkl,kl->ij", windows, template, optimize=False)


def _search(region: Region, shape: str) -> Fit:
    """Fit one shape: coarse over sides, then fine around the best."""
    side, x, y = region.guess(shape)
    centre_x, centre_y = x + side / 2, y + side / 2

    def at(size: int, cx: float, cy: float, reach: int) -> Fit:
        return region.fit(shape, size, round(cx - size / 2), round(cy - size / 2), reach)

    best = min(
        (at(side + step, centre_x, centre_y, REACH) for step in SIDE_STEPS if side + step in SIDES),
        key=lambda f: f.error,
    )
    cx, cy = best.left + best.side / 2, best.top + best.side / 2
    finer = [at(best.side + step, cx, cy, 1) for step in (-1, 1) if best.side + step in SIDES]
    return min([best, *finer], key=lambda f: f.error)


def read_object(blob: Blob, style: str, blur: float, background: Array) -> tuple[DetectedObject, float]:
    """Name the shape of a blob and give its box; the second value is the share of the blob left unexplained.

    Args:
        blob: the region to read.
        style: the style of the picture.
        blur: its softness in pixels.
        background: (SIZE, SIZE) share of the blob's hue that the ground alone would show.
    """
    region = Region(blob, style, blur, background)
    fits = {shape: _search(region, shape) for shape in SHAPES}
    first, second = sorted(fits, key=lambda s: fits[s].error)[:2]
    best = fits[first]
    confidence = float(np.clip(1 - max(best.error, 0) / max(fits[second].error, 1e-6), 0, 1))
    named = first if best.error <= FAR and confidence >= SURE else NONE
    sides = (best.left, best.top, best.left + best.side, best.top + best.side)
    box = tuple(min(max(v / SIZE, 0.0), 1.0) for v in sides)
    return DetectedObject(named, blob.colour, (box[0], box[1], box[2], box[3]), confidence), best.error


def read_objects(blobs: list[Blob], style: str, blur: float, behind: Array) -> list[DetectedObject]:
    """Read every blob; one that no shape explains is cut in two where that explains it better.

    Args:
        blobs: the regions to read.
        style: the style of the picture.
        blur: its softness in pixels.
        behind: (SIZE, SIZE, 2) chroma of the ground alone.
    """
    found: list[DetectedObject] = []
    for blob in blobs:
        own = chroma(blob.direction)
        background = behind @ own / float(np.square(own).sum())
        whole, error = read_object(blob, style, blur, background)
        parts = split(blob) if error > CUT_FROM else []
        read = [read_object(part, style, blur, background) for part in parts]
        if len(read) > 1 and sum(e for _, e in read) / len(read) < CUT_GAIN * error:
            found.extend(o for o, _ in read)
        else:
            found.append(whole)
    return found

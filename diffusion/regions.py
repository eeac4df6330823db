"""Who owns which part of the canvas: soft masks of boxes, z-order, and their exact averages at every feature map.

Axes
    R       regions, front to back
    H, W    pixels of the canvas
    h, w    cells of one feature map

A region's mask m_i is its box, softened over `feather` pixels. Front to back,

    w_i = m_i prod_{j in front of i} (1 - m_j),        background = prod_j (1 - m_j),

which sum to 1 wherever boxes overlap or leave gaps. All of them are averaged over the area of every cell (never
sampled: nearest neighbour loses small boxes, maximum pooling inflates them), and then held in fixed point, so that the
float32 weights of every cell sum to exactly 1, in any order of summation.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diffusion.request import Box, checked_box

QUANTUM = 2.0**-16
"""Weights are multiples of this: sums of such numbers up to 1 are exact in float32."""

Array = NDArray[np.float64]


def profile(low: float, high: float, size: int, width: float) -> Array:
    """Return (size,) coverage of the stretch [low, high] seen through a window of `width` pixels around each pixel.

    A window of one pixel gives the exact share of each pixel that is covered, a wider one a ramp centred on the ends.
    Ends at the border of the canvas do not fade.
    """
    start = -np.inf if low <= 0 else low
    end = np.inf if high >= size else high
    centres = np.arange(size) + 0.5
    covered = np.minimum(end, centres + width / 2) - np.maximum(start, centres - width / 2)
    return np.clip(covered / width, 0.0, 1.0)


def box_mask(box: Box, width: int, height: int, feather: float) -> tuple[Array, Array]:
    """Return the (H,) and (W,) factors of a soft box; the feather is cut to a quarter of its short side."""
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    window = max(1.0, min(feather, (right - left) / 4, (bottom - top) / 4))
    return profile(top, bottom, height, window), profile(left, right, width, window)


def _touched(factor: Array, cell: int) -> slice:
    """Return the stretch of whole cells in which a factor is not 0."""
    places = np.flatnonzero(factor)
    return slice(int(places[0]) // cell * cell, (int(places[-1]) // cell + 1) * cell) if len(places) else slice(0, 0)


def _sums(values: Array, cell: int) -> Array:
    """Return the sums of (..., H, W) over squares of `cell` a side, the last ones cut off by the border."""
    rows = np.add.reduceat(values, range(0, values.shape[-2], cell), axis=-2)
    return np.add.reduceat(rows, range(0, values.shape[-1], cell), axis=-1)


def ownership(boxes: Sequence[Box], width: int, height: int, feather: float, cell: int) -> Array:
    """Return (R + 1, h, w): how many pixels of each cell every region owns, the background last.

    Works on the part of the canvas that a box touches, so its cost does not grow with the number of small boxes.
    """
    owned = np.zeros((len(boxes) + 1, -(-height // cell), -(-width // cell)))
    free = np.ones((height, width))
    for index, box in enumerate(boxes):
        down, across = box_mask(box, width, height, feather)
        rows, columns = _touched(down, cell), _touched(across, cell)
        mask = down[rows, None] * across[None, columns]
        if mask.size:
            here = _sums(mask * free[rows, columns], cell)
            top, left = rows.start // cell, columns.start // cell
            owned[index, top : top + here.shape[0], left : left + here.shape[1]] = here
            free[rows, columns] *= 1.0 - mask
    owned[-1] = _sums(free, cell)
    return owned


def pyramid(owned: Array, width: int, height: int, cell: int, levels: int) -> tuple[NDArray[np.float32], ...]:
    """Return each level's (R + 1, h, w) shares, summing to exactly 1 in every cell.

    Args:
        owned: from `ownership` with the same `cell`.
        width: of the canvas.
        height: of the canvas.
        cell: pixels a side of a latent cell.
        levels: feature maps of the UNet; each halves the one before it, odd sizes rounded up, so that the last row and
            column of cells may stick out of the canvas. Those average what they have.
    """
    pixels = _sums(np.ones((height, width)), cell)
    found: list[NDArray[np.float32]] = []
    for level in range(levels):
        if level:
            owned, pixels = _sums(owned, 2), _sums(pixels, 2)
        found.append(fixed_point(owned[:-1] / pixels))
    return tuple(found)


def fixed_point(shares: Array) -> NDArray[np.float32]:
    """Return (R + 1, h, w) float32 of (R, h, w) shares: multiples of `QUANTUM`, the rest for the background."""
    # Rounding down cannot push the sum over 1, and what it leaves over is background. The millionth keeps a full cell
    # full where its average came out one float below 1; sixteen of them are still no whole quantum.
    regions = np.floor(shares / QUANTUM + 1e-6) * QUANTUM
    return np.concatenate([regions, 1.0 - regions.sum(0, keepdims=True)]).astype(np.float32)


def mask_for_boxes(boxes: Sequence[Box], width: int, height: int, feather: float = 0.0) -> NDArray[np.float32]:
    """Return the (H, W) mask of an edit: 1 on every pixel the boxes touch, fading to 0 over `feather` pixels outside.

    Give the old and the new box of whatever moved.
    """
    mask = np.zeros((height, width))
    for box in boxes:
        checked_box("box of an edit", box)
        across = _fade(box[0] * width, box[2] * width, width, feather)
        down = _fade(box[1] * height, box[3] * height, height, feather)
        mask = np.maximum(mask, down[:, None] * across[None, :])
    return mask.astype(np.float32)


def _fade(low: float, high: float, size: int, feather: float) -> Array:
    first, last = np.floor(low), np.ceil(high) - 1
    pixel = np.arange(size)
    distance = np.maximum(0, np.maximum(first - pixel, pixel - last))
    return np.clip(1.0 - distance / (feather + 1.0), 0.0, 1.0)

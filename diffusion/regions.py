"""Who owns which part of the canvas: soft masks of boxes, z-order, and their exact averages at every feature map.

Axes
    R    regions, front to back
    H, W pixels of the canvas;  h, w  cells of one feature map

A region's mask m_i is its box, softened over `feather` pixels. Front to back,

    w_i = m_i prod_{j in front of i} (1 - m_j),        background = prod_j (1 - m_j),

which sum to 1 wherever boxes overlap or leave gaps. All of them are averaged over the area of every cell (never
sampled: nearest neighbour loses small boxes, maximum pooling inflates them), and then held in fixed point, so that the
float32 weights of every cell sum to exactly 1, in any order of summation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffusion.request import Box, checked_box

QUANTUM = 2.0**-16
"""Weights are multiples of this: sums of such numbers up to 1 are exact in float32."""

Array = NDArray[np.float64]


class Grid(NamedTuple):
    """One feature map laid over the canvas; the last row and column of cells may stick out."""

    rows: int
    columns: int
    cell: int
    """Pixels a side."""


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


def box_mask(box: Box, width: int, height: int, feather: float) -> Array:
    """Return the (H, W) soft mask of a box; the feather is cut to a quarter of the box's short side."""
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    window = max(1.0, min(feather, (right - left) / 4, (bottom - top) / 4))
    return profile(top, bottom, height, window)[:, None] * profile(left, right, width, window)[None, :]


def ownership(boxes: Sequence[Box], width: int, height: int, feather: float) -> Array:
    """Return (R + 1, H, W): how much of each pixel every region owns, the background last."""
    owned = np.empty((len(boxes) + 1, height, width))
    free = np.ones((height, width))
    for index, box in enumerate(boxes):
        mask = box_mask(box, width, height, feather)
        owned[index] = mask * free
        free = free * (1.0 - mask)
    owned[-1] = free
    return owned


def grids(width: int, height: int, cell: int, levels: int) -> tuple[Grid, ...]:
    """Return the feature maps of a UNet: latents of `cell` pixels, then halved with odd sizes rounded up."""
    rows, columns = height // cell, width // cell
    found: list[Grid] = []
    for level in range(levels):
        found.append(Grid(rows, columns, cell * 2**level))
        rows, columns = -(-rows // 2), -(-columns // 2)
    return tuple(found)


def averaging(cells: int, cell: int, size: int) -> Array:
    """Return (cells, size): the matrix that averages pixels over cells; one that sticks out averages what it has."""
    pixel = np.arange(size) // cell
    member = (pixel[None, :] == np.arange(cells)[:, None]).astype(np.float64)
    return member / member.sum(1, keepdims=True)


def average(maps: Array, grid: Grid) -> Array:
    """Return (..., H, W) `maps` averaged over the cells of `grid`, as (..., h, w)."""
    height, width = maps.shape[-2:]
    return averaging(grid.rows, grid.cell, height) @ maps @ averaging(grid.columns, grid.cell, width).T


def weights(owned: Array, grid: Grid) -> NDArray[np.float32]:
    """Return (R + 1, h, w) float32 shares of every cell, summing to exactly 1; the background is last."""
    # Rounding down cannot push the sum over 1, and what it leaves over is background. The millionth keeps a full cell
    # full where its average came out one float below 1; sixteen of them are still no whole quantum.
    regions = np.floor(average(owned[:-1], grid) / QUANTUM + 1e-6) * QUANTUM
    background = 1.0 - regions.sum(0, keepdims=True)
    return np.concatenate([regions, background]).astype(np.float32)


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

"""The noise a picture starts from: stock's own on the canvas, a region's own where it has a seed.

Noise is drawn on the CPU and then moved, so that a seed means the same picture on every device.
"""

from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from diffusion.request import Box, Region


def cells_of(box: Box, rows: int, columns: int) -> tuple[slice, slice]:
    """Return the rows and columns of the cells nearest to `box`: whole cells, at least one a side."""

    def side(low: float, high: float, count: int) -> slice:
        first = min(count - 1, max(0, round(low * count)))
        return slice(first, max(first + 1, min(count, round(high * count))))

    return side(box[1], box[3], rows), side(box[0], box[2], columns)


def starting_noise(
    shape: tuple[int, int, int, int],
    generator: torch.Generator,
    regions: Sequence[Region],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return standard normal noise (B, C, h, w).

    Args:
        shape: of the latents.
        generator: on the CPU; left in the state in which stock would leave it.
        regions: front to back. One with a seed fills its cells with noise drawn for its own size, so that the noise
            moves with the box; one without keeps the canvas' noise, also over seeded ones behind it.
        dtype: of the latents.
        device: of the latents.
    """
    canvas = randn_tensor(shape, generator=generator, device=device, dtype=dtype)
    if all(region.seed is None for region in regions):
        return canvas
    noise = canvas.clone()
    for region in reversed(regions):
        rows, columns = cells_of(region.box, shape[2], shape[3])
        if region.seed is None:
            noise[:, :, rows, columns] = canvas[:, :, rows, columns]
            continue
        own = torch.Generator("cpu").manual_seed(region.seed)
        size = (*shape[:2], rows.stop - rows.start, columns.stop - columns.start)
        noise[:, :, rows, columns] = randn_tensor(size, generator=own, device=device, dtype=dtype)
    return noise

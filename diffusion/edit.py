"""Change a picture inside a mask and keep it outside: in the latents while denoising, in the pixels at the end.

While denoising, what is outside the mask is the parent's final latents re-noised to the level of the step that comes
next, by the scheduler itself, with the noise the picture starts from. At the end the parent's pixels are copied where
the mask is exactly 0, so that they are equal bit for bit whatever the decoder did.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from diffusion.errors import GuidanceError

Floats = NDArray[np.floating]


def latent_mask(mask: Floats, cell: int) -> Tensor:
    """Return the (1, 1, h, w) bool cells in which any pixel of the (H, W) mask may change.

    Hard on purpose: two noisy latents averaged in one cell have less noise than the step expects.
    """
    rows = np.maximum.reduceat(mask, range(0, mask.shape[0], cell), axis=0)
    return torch.from_numpy(np.maximum.reduceat(rows, range(0, mask.shape[1], cell), axis=1) > 0)[None, None]


def renoised(scheduler: Any, parent: Tensor, noise: Tensor, timesteps: Tensor, index: int) -> Tensor:
    """Return the final latents `parent` at the noise level at which step `index` of the schedule begins.

    To be called with the scheduler about to take that step; after the last one, `index` equals the number of steps and
    the parent itself comes back.
    """
    if index >= len(timesteps):
        return parent
    return scheduler.add_noise(parent, noise, timesteps[index : index + 1]).to(parent.dtype)


@dataclass(frozen=True, eq=False)
class Kept:
    """What an edit must keep, and from where it sets out."""

    scheduler: Any
    timesteps: Tensor
    parent: Tensor
    """(1, C, h, w) final latents."""
    noise: Tensor
    """(1, C, h, w), the one the picture starts from."""
    inside: Tensor
    """(1, 1, h, w) bool, where the picture may change."""
    begin: int
    """Index of the first step to run."""

    def start(self) -> Tensor:
        """Return the latents to begin with, and tell the scheduler where it begins."""
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(self.begin)
        around = renoised(self.scheduler, self.parent, self.noise, self.timesteps, self.begin)
        return around if self.begin else torch.where(self.inside, self.noise * self.scheduler.init_noise_sigma, around)

    def hold(self, latents: Tensor, index: int) -> Tensor:
        """Return the latents before step `index` with the parent's outside the mask."""
        around = renoised(self.scheduler, self.parent, self.noise, self.timesteps, index)
        return torch.where(self.inside, latents, around)


def first_step(steps: int, strength: float, order: int = 1) -> int:
    """Return the index of the first step an edit of this strength runs; at least one step remains."""
    run = max(1, round(steps // order * strength))
    return (steps // order - run) * order


def checked_latents(latents: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return (1, C, h, w) `latents`.

    Raises:
        GuidanceError: they are not those of a picture of this model and size.
    """
    if tuple(latents.shape) != shape:
        raise GuidanceError(f"the parent's latents must be {shape}, got {tuple(latents.shape)}")
    if not bool(torch.isfinite(latents).all()):
        raise GuidanceError("the parent's latents hold NaN or infinity")
    return latents[None]


def paste(edited: Image.Image, parent: Image.Image, mask: Floats) -> Image.Image:
    """Return `edited` with the parent's pixels where `mask` is 0, and a blend where it is between 0 and 1."""
    new = np.asarray(edited.convert("RGB"), dtype=np.float32)
    old = np.asarray(parent.convert("RGB"))
    soft = mask.astype(np.float32)[..., None]
    blended = np.rint(soft * new + (1 - soft) * old.astype(np.float32)).astype(np.uint8)
    return Image.fromarray(np.where(soft == 0, old, blended))

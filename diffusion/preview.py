"""A quick look at unfinished latents: a small VAE decodes them, a large one is stood in for by a linear fit."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from diffusion.sampling import decode

SMALL = 20_000_000
"""Parameters up to which decoding every step costs little beside the step itself."""


class Previewer:
    """Draws previews; fits its linear map on first use."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.small = sum(p.numel() for p in pipe.vae.parameters()) <= SMALL
        self._map: Tensor | None = None

    @torch.no_grad()
    def __call__(self, clean: Tensor) -> Image.Image:
        """Return a preview of the first picture of (B, C, h, w) latents."""
        latents = clean[:1]
        if self.small:
            return to_image(decode(self.pipe, latents)[0])
        if self._map is None:
            self._map = self.fit(latents.shape[1])
        rows = latents[0].flatten(1).mT.float().cpu()
        pixels = torch.cat([rows, torch.ones(len(rows), 1)], dim=1) @ self._map
        picture = pixels.mT.reshape(1, 3, *latents.shape[-2:])
        return to_image(interpolate(picture, scale_factor=4, mode="bilinear")[0])

    def fit(self, channels: int) -> Tensor:
        """Return the (C + 1, 3) map from a latent cell to its mean colour: least squares on smooth random latents."""
        generator = torch.Generator("cpu").manual_seed(0)
        coarse = torch.randn((8, channels, 4, 4), generator=generator)
        latents = interpolate(coarse, size=(16, 16), mode="bicubic")
        cell = self.pipe.vae_scale_factor
        pictures = [decode(self.pipe, part.to(self.pipe._execution_device)).float().cpu() for part in latents.split(1)]
        colours = avg_pool2d(torch.cat(pictures), cell)
        rows = latents.permute(0, 2, 3, 1).reshape(-1, channels)
        wide = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
        return torch.linalg.lstsq(wide, colours.permute(0, 2, 3, 1).reshape(-1, 3)).solution


def to_image(picture: Tensor) -> Image.Image:
    """Return the image of (3, H, W) values in -1 to 1."""
    values = ((picture.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(values.permute(1, 2, 0).cpu().numpy())

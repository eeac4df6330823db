"""Training data of the pocket SDXL: scenes in shards of cached latents, captions drawn afresh at every step."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer

from pocket.image.tokenizer import POSITIONS
from pocket.pixels import signed
from pocket.world.captions import Caption, caption, choose_kind
from pocket.world.render import render
from pocket.world.scene import Scene, generator, sample_scene

SHARD = 8000
_COUNTS = (0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4)
"""Object counts as drawn for training; single objects are what sub-prompts of regions speak of."""


def shard_scenes(index: int, size: int = SHARD) -> list[Scene]:
    """Return the scenes of one shard: the same list each time it is asked for."""
    rng = generator("train", 1000 + index)
    return [sample_scene(rng, counts=_COUNTS, allow_held_out=False) for _ in range(size)]


@torch.no_grad()
def encode(vae: AutoencoderKL, scenes: list[Scene], batch: int = 64) -> Tensor:
    """Return the latents (N, 12, 16, 16) of scenes, in float16, scaled as the UNet sees them."""
    found: list[Tensor] = []
    for start in range(0, len(scenes), batch):
        pixels = np.stack([render(s) for s in scenes[start : start + batch]]).transpose(0, 3, 1, 2)
        clean = signed(torch.from_numpy(np.ascontiguousarray(pixels)))
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(clean).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
        found.append((posterior.mean.float() * vae.config["scaling_factor"]).half())
    return torch.cat(found)


def shard(vae: AutoencoderKL, folder: Path, index: int, size: int = SHARD) -> tuple[list[Scene], Tensor]:
    """Return scenes and latents of one shard, from `folder` if they were encoded before."""
    path = folder / f"latents-{index:03d}-{size}.pt"
    scenes = shard_scenes(index, size)
    if path.exists():
        return scenes, torch.load(path, weights_only=True)
    latents = encode(vae, scenes)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(latents, partial)
    partial.rename(path)
    return scenes, latents


@dataclass
class Captioner:
    """Draws captions that fit the text encoders and turns them into token ids."""

    tokenizer: CLIPTokenizer

    def draw(self, rng: np.random.Generator, scene: Scene) -> Caption:
        """Return a training caption of a scene that is not cut by the encoders' length."""
        while True:
            found = caption(rng, scene, choose_kind(rng, scene))
            if len(self.tokenizer(found.text)["input_ids"]) <= POSITIONS:  # pyright: ignore[reportArgumentType]
                return found

    def ids(self, texts: list[str]) -> Tensor:
        """Return padded token ids (N, POSITIONS), as stock pipelines make them."""
        return self.tokenizer(texts, padding="max_length", truncation=True, max_length=POSITIONS, return_tensors="pt")[
            "input_ids"
        ]  # pyright: ignore[reportReturnType]

"""Rendered scenes in memory, drawn once: rendering a batch anew each step would cost half a training step."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocket.pixels import signed
from pocket.vlm.sights import Seen, Truth
from pocket.vlm.stream import Album
from pocket.world.render import render
from pocket.world.scene import Scene, Split, generator, sample_scene


@dataclass(frozen=True)
class Pool:
    """Scenes and their pictures."""

    scenes: list[Scene]
    pixels: Tensor
    """(N, 3, S, S) uint8."""

    def take(self, indices: Tensor) -> Tensor:
        """Return (n, 3, S, S) pictures in [-1, 1]."""
        return signed(self.pixels[indices])


def draw_pool(split: Split, seed: int, count: int, *, allow_held_out: bool, cache: Path | None = None) -> Pool:
    """Render `count` scenes of a split; `cache` keeps the pixels between runs of one training."""
    rng = generator(split, seed)
    scenes = [sample_scene(rng, counts=(0, 1, 2, 3, 4), allow_held_out=allow_held_out) for _ in range(count)]
    if cache is not None and cache.exists():
        return Pool(scenes, torch.from_numpy(np.load(cache)))
    pixels = np.stack([render(s).transpose(2, 0, 1) for s in scenes])
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, pixels)
    return Pool(scenes, torch.from_numpy(pixels))


def write_album(file: Path, pixels: Tensor, truths: Sequence[Truth]) -> None:
    """Keep pictures with what they show; `file` is an .npz without any code in it."""
    facts = json.dumps([asdict(t) for t in truths])
    np.savez(file, pixels=pixels.numpy(), facts=np.frombuffer(facts.encode(), np.uint8))


def read_album(file: Path, share: float = 1.0) -> Album:
    """Read what `write_album` wrote."""
    kept = np.load(file, allow_pickle=False)
    truths = [
        Truth(
            things=tuple(Seen(t["shape"], t["colour"], tuple(t["box"])) for t in fact["things"]),
            style=fact["style"],
            atmosphere=fact["atmosphere"],
            theme=fact["theme"],
            elements=tuple(fact["elements"]),
        )
        for fact in json.loads(kept["facts"].tobytes().decode())
    ]
    return Album(torch.from_numpy(kept["pixels"]), truths, share)

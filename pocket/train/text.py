"""First lesson of the two text encoders: paint a caption on an 8x8 map, long before a picture is drawn.

The full-size model starts from encoders that CLIP training taught what words mean; this is the pocket's counterpart.
A small head reads the encoders exactly as SDXL's UNet does (`hidden_states[-2]` of both, plus the pooled vector) and
says, cell by cell, which object lies there, and for the whole, the look. Its gradients are exact where those of a
diffusion loss are noisy, so that colours, shapes and places bind to words within minutes. The head is thrown away.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from pocket.image.data import Captioner
from pocket.image.models import WIDTH
from pocket.world.scene import Scene, generator, sample_scene
from pocket.world.vocabulary import ATMOSPHERES, COLOURS, ELEMENTS, SHAPES, SIZE, STYLES, THEMES

CELLS = 8
_HEAD = 96
_CELL = SIZE / CELLS


class Encoded(NamedTuple):
    """What SDXL's UNet is given of a batch of texts: rows (N, T, 256) and pooled (N, 128)."""

    rows: Tensor
    pooled: Tensor


def encode(one: CLIPTextModel, two: CLIPTextModelWithProjection, ids: Tensor) -> Encoded:
    """Read both encoders as stock SDXL pipelines do."""
    first: Any = one(ids, output_hidden_states=True)
    second: Any = two(ids, output_hidden_states=True)
    return Encoded(torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds)


def cell_targets(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return (64,) colour and (64,) shape classes of the cells; 0 is empty."""
    colour, shape = np.zeros((CELLS, CELLS), np.int64), np.zeros((CELLS, CELLS), np.int64)
    centre = (np.arange(CELLS) + 0.5) * _CELL
    for t in scene.things:
        half = t.side / 2
        near = np.maximum(np.abs(centre[None, :] - t.left - half), np.abs(centre[:, None] - t.top - half)) < half * 0.9
        colour[near], shape[near] = COLOURS.index(t.colour) + 1, SHAPES.index(t.shape) + 1
    return colour.ravel(), shape.ravel()


def look_targets(scene: Scene) -> np.ndarray:
    """Return (8,) classes: style, atmosphere, theme, and one bit for each element."""
    look = [STYLES.index(scene.style), ATMOSPHERES.index(scene.atmosphere), THEMES.index(scene.theme)]
    return np.array([*look, *(int(e in scene.elements) for e in ELEMENTS)])


class Painter(nn.Module):
    """Predicts the map from the rows (cross-attention, a query a cell), the look from the map and the pooled vector."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(CELLS * CELLS, _HEAD) * 0.5)
        self.attend = nn.ModuleList(
            nn.MultiheadAttention(_HEAD, 4, kdim=2 * WIDTH, vdim=2 * WIDTH, batch_first=True) for _ in range(2)
        )
        self.think = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(_HEAD), nn.Linear(_HEAD, 192), nn.GELU(), nn.Linear(192, _HEAD))
            for _ in range(2)
        )
        self.colour = nn.Linear(_HEAD, len(COLOURS) + 1)
        self.shape = nn.Linear(_HEAD, len(SHAPES) + 1)
        classes = (len(STYLES), len(ATMOSPHERES), len(THEMES), *(2 for _ in ELEMENTS))
        self.by_rows = nn.ModuleList(nn.Linear(_HEAD, c) for c in classes)
        self.by_pooled = nn.ModuleList(nn.Linear(WIDTH, c) for c in classes)
        self.objects_by_pooled = nn.Linear(WIDTH, len(COLOURS) + len(SHAPES))

    def forward(self, encoded: Encoded) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor], Tensor]:
        x = self.queries.expand(len(encoded.rows), -1, -1)
        for attend, think in zip(self.attend, self.think, strict=True):
            x = x + attend(x, encoded.rows, encoded.rows, need_weights=False)[0]
            x = x + think(x)
        mean = x.mean(dim=1)
        return (
            self.colour(x),
            self.shape(x),
            [head(mean) for head in self.by_rows],
            [head(encoded.pooled) for head in self.by_pooled],
            self.objects_by_pooled(encoded.pooled),
        )


class Lesson:
    """Draws batches of captions with their maps and scores the painter on them."""

    def __init__(self, captioner: Captioner, seed: int = 21, pool: int = 30000) -> None:
        rng = generator("train", seed)
        self.captioner = captioner
        self.scenes = [sample_scene(rng, allow_held_out=False) for _ in range(pool)]
        cells = [cell_targets(s) for s in self.scenes]
        self.colour = torch.from_numpy(np.stack([c for c, _ in cells]))
        self.shape = torch.from_numpy(np.stack([s for _, s in cells]))
        self.look = torch.from_numpy(np.stack([look_targets(s) for s in self.scenes]))

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Return token ids and the indices of their scenes."""
        rng = np.random.default_rng([22, step])
        chosen = rng.integers(0, len(self.scenes), size)
        texts = [self.captioner.draw(rng, self.scenes[i]).text for i in chosen]
        return self.captioner.ids(texts), torch.from_numpy(chosen)

    def loss(self, painter: Painter, encoded: Encoded, chosen: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the summed cross-entropies and, for the log, the accuracies on occupied cells and looks."""
        colour, shape, look_rows, look_pooled, objects = painter(encoded)
        true_colour, true_shape, true_look = self.colour[chosen], self.shape[chosen], self.look[chosen]
        cells = cross_entropy(colour.flatten(0, 1), true_colour.flatten()) + cross_entropy(
            shape.flatten(0, 1), true_shape.flatten()
        )
        looks = torch.stack(
            [cross_entropy(h, true_look[:, i]) for heads in (look_rows, look_pooled) for i, h in enumerate(heads)]
        ).sum()
        present = torch.cat(
            [
                one_hot(true_colour, len(COLOURS) + 1).amax(1)[:, 1:],
                one_hot(true_shape, len(SHAPES) + 1).amax(1)[:, 1:],
            ],
            dim=1,
        )
        pooled = nn.functional.binary_cross_entropy_with_logits(objects, present.float())
        occupied = true_colour > 0
        report = {
            "cells": cells.item(),
            "colour": (colour.argmax(-1) == true_colour)[occupied].float().mean().item(),
            "shape": (shape.argmax(-1) == true_shape)[occupied].float().mean().item(),
            "style": (look_rows[0].argmax(-1) == true_look[:, 0]).float().mean().item(),
        }
        return 3 * cells + 0.2 * looks + pooled, report

"""Pre-training of the vision tower by direct labels: what every image token should know before any word is learnt.

One token covers 32 x 32 pixels and two centres are at least 32 px apart, so a token holds at most one object's centre.
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pocket.vlm.build import GRID, MERGE, WIDTH
from pocket.world.scene import Scene
from pocket.world.vocabulary import ATMOSPHERES, COLOURS, ELEMENTS, PLACES, SHAPES, SIZE, STYLES, THEMES

CELLS: Final = GRID // MERGE
CELL: Final = SIZE // CELLS
"""Side of what one image token covers, in pixels."""


def shows_style(scene: Scene) -> bool:
    """Whether anything is drawn in the scene's style; bare paper has none."""
    return bool(scene.things) or scene.theme != "plain"


def look_labels(scene: Scene) -> list[int]:
    """Return style, atmosphere and theme as indices, then 0/1 for each element; a style that nothing shows is -100."""
    return [
        STYLES.index(scene.style) if shows_style(scene) else -100,
        ATMOSPHERES.index(scene.atmosphere),
        THEMES.index(scene.theme),
        *(int(e in scene.elements) for e in ELEMENTS),
    ]


def cell_labels(scene: Scene) -> NDArray[np.float32]:
    """Return (cells, 7): object here, shape, colour, place of the ninth, and centre x, y and side in cells."""
    grid = np.zeros((CELLS * CELLS, 7), np.float32)
    for t in scene.things:
        x, y = t.left + t.side / 2, t.top + t.side / 2
        column, row = int(x // CELL), int(y // CELL)
        grid[row * CELLS + column] = (
            1,
            SHAPES.index(t.shape),
            COLOURS.index(t.colour),
            PLACES.index(t.place),
            x / CELL - column - 0.5,
            y / CELL - row - 0.5,
            t.side / CELL - 1.4,
        )
    return grid


class Head(nn.Module):
    """Reads the labels off the image tokens; thrown away after pre-training."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Linear(WIDTH, len(STYLES) + len(ATMOSPHERES) + len(THEMES) + len(ELEMENTS))
        self.cell = nn.Linear(WIDTH, 1 + len(SHAPES) + len(COLOURS) + len(PLACES) + 3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, cells, WIDTH) to the logits of the look (N, 22) and of each cell (N, cells, 25)."""
        return self.look(tokens.mean(1)), self.cell(tokens)


def loss_of(head: Head, tokens: Tensor, looks: Tensor, cells: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of a batch and the share of right answers by attribute."""
    look, cell = (t.float() for t in head(tokens.float()))
    style, mood, theme, marks = look.split((len(STYLES), len(ATMOSPHERES), len(THEMES), len(ELEMENTS)), -1)
    loss = F.binary_cross_entropy_with_logits(marks, looks[:, 3:].float()) * 2
    right = {"elements": ((marks > 0) == (looks[:, 3:] > 0)).all(-1).float().mean().item()}
    for i, (name, logits) in enumerate((("style", style), ("atmosphere", mood), ("theme", theme))):
        seen = looks[:, i] >= 0
        loss = loss + F.cross_entropy(logits[seen], looks[seen, i])
        right[name] = (logits.argmax(-1) == looks[:, i])[seen].float().mean().item()
    there, shape, colour, place, box = cell.split((1, len(SHAPES), len(COLOURS), len(PLACES), 3), -1)
    held = cells[..., 0] > 0
    loss = loss + 2 * F.binary_cross_entropy_with_logits(there[..., 0], cells[..., 0])
    for i, (name, logits) in enumerate((("shape", shape), ("colour", colour), ("place", place)), start=1):
        truth = cells[..., i][held].long()
        loss = loss + F.cross_entropy(logits[held], truth)
        right[name] = (logits[held].argmax(-1) == truth).float().mean().item()
    off = (box[held] - cells[..., 4:][held]).abs()
    right["there"] = ((there[..., 0] > 0) == held).all(-1).float().mean().item()
    right["box_px"] = off.mean().item() * CELL
    return loss + 2 * off.mean(), right


class Roughen:
    """Blur, noise, fade and tint pictures a little, each differently: generated pictures are never clean."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        # Fresh normal numbers for every pixel would cost as much as a training step; rolled and shuffled, a few do.
        self.noise = torch.randn(48, 3, SIZE, SIZE, generator=self.generator)

    def draw(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=self.generator) * (high - low) + low

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return changed (N, 3, S, S) pictures in [-1, 1]."""
        n = len(pixels)
        g = self.generator
        if torch.rand(1, generator=g) < 0.6:
            pixels = pixels + self.draw(n, 1, 1, 1).square() * (
                F.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False) - pixels
            )
        shift = torch.randint(0, SIZE, (2,), generator=g).tolist()
        noise = torch.roll(self.noise[torch.randint(0, len(self.noise), (n,), generator=g)], shift, (2, 3))
        coarse = F.interpolate(torch.randn(n, 3, 16, 16, generator=g), scale_factor=SIZE // 16, mode="nearest")
        noise = noise * (self.draw(n, 1, 1, 1).square() * 0.16) + coarse * (self.draw(n, 1, 1, 1).square() * 0.14)
        fade, tint = self.draw(n, 1, 1, 1, low=0.96, high=1.04), self.draw(n, 3, 1, 1, low=-0.03, high=0.03)
        return torch.addcmul(tint, pixels + noise, fade).clamp_(-1, 1)

"""Packs groups of examples into rows: a shared beginning is computed once, and each reply sees only its own prompt.

Axes: B rows of a batch, L tokens of a row. A row holds several trees of depth two: a trunk (the common beginning of a
group's prompts, with its picture) and branches. A token looks back at its own branch and its trunk; positions go on
from the trunk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pocket.vlm.build import GRID, IMAGE_TOKENS, MERGE
from pocket.vlm.mixture import Group
from pocket.vlm.text import PICTURE

NEVER: Final = -1e4
"""Added to the score of a token that must not be seen; small enough for bfloat16."""
FIRST_WEIGHT: Final = {
    "region": 4.0,
    "artistic_style": 3.0,
    "atmosphere": 3.0,
    "theme": 3.0,
    "visual_elements": 3.0,
    "card": 4.0,
    "words": 2.0,
}
"""Weight of the single word of a yes/no answer against a token of a longer reply."""
END_WEIGHT: Final = 0.3


@dataclass
class Coded:
    """A group as token ids."""

    trunk: list[int]
    branches: list[tuple[list[int], list[int], str]]
    """Of each: the rest of the prompt, the reply with its end mark, the task."""
    picture: Any

    @property
    def length(self) -> int:
        # The last token of a reply is only ever a label.
        return len(self.trunk) + sum(len(p) + len(r) - 1 for p, r, _ in self.branches)


@dataclass
class Row:
    """One row being filled."""

    ids: list[int] = field(default_factory=list[int])
    labels: list[int] = field(default_factory=list[int])
    weights: list[float] = field(default_factory=list[float])
    tasks: list[int] = field(default_factory=list[int])
    segment: list[int] = field(default_factory=list[int])
    trunk: list[int] = field(default_factory=list[int])
    positions: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    pictures: list[Any] = field(default_factory=list[Any])


@dataclass(frozen=True)
class Batch:
    """What a training step needs."""

    ids: Tensor
    """(B, L)."""
    positions: Tensor
    """(3, B, L)."""
    bias: Tensor
    """(B, 1, L, L)."""
    at: Tensor
    """(n,) flat indices of the tokens that predict a reply token."""
    labels: Tensor
    """(n,) what they should predict."""
    weights: Tensor
    """(n,)."""
    tasks: Tensor
    """(n,) index into `TASKS`."""
    pictures: Tensor | None
    """(pictures, 3, S, S) in order of their placeholders."""


TASKS: Final = (
    "region",
    "artistic_style",
    "atmosphere",
    "theme",
    "visual_elements",
    "taste",
    "find",
    "layout",
    "edit",
    "decision",
    "list",
    "look_at",
    "card",
    "words",
)


class Coder:
    """Turns groups into ids."""

    def __init__(self, tokenizer: Any) -> None:
        self.core: Any = tokenizer.backend_tokenizer
        self.pad = int(tokenizer.convert_tokens_to_ids("<|endoftext|>"))
        self.end = int(tokenizer.convert_tokens_to_ids("<|im_end|>"))
        self.image = int(tokenizer.convert_tokens_to_ids("<|image_pad|>"))

    def ids(self, text: str) -> list[int]:
        # The tokenizer behind the tokenizer: the same ids, ten times faster.
        return list(self.core.encode(text, add_special_tokens=False).ids)

    def code(self, group: Group) -> Coded:
        """Tokenize a group; the trunk is the longest common beginning of its prompts."""
        unfolded = PICTURE.replace("<|image_pad|>", "<|image_pad|>" * IMAGE_TOKENS)
        prompts = [self.ids(e.prompt.replace(PICTURE, unfolded)) for e in group.examples]
        replies = [[*self.ids(e.reply), self.end] for e in group.examples]
        shared = common(prompts) if len(prompts) > 1 else 0
        branches = [(p[shared:], r, e.task) for p, r, e in zip(prompts, replies, group.examples, strict=True)]
        return Coded(prompts[0][:shared], branches, group.picture)

    def positions(self, ids: Sequence[int], start: int) -> tuple[list[tuple[int, int, int]], int]:
        """Return (time, height, width) of each token as Qwen3-VL counts them, and where to go on."""
        found: list[tuple[int, int, int]] = []
        side = GRID // MERGE
        seen, here = 0, start
        for token in ids:
            if token == self.image:
                row, column = divmod(seen, side)
                found.append((here, here + row, here + column))
                seen += 1
                if seen == IMAGE_TOKENS:
                    seen, here = 0, here + side
            else:
                found.append((here, here, here))
                here += 1
        return found, here

    def add(self, row: Row, coded: Coded) -> None:
        """Append a group to a row."""
        number = row.segment[-1] + 1 if row.segment else 0
        trunk_positions, after = self.positions(coded.trunk, 0)
        self._extend(row, coded.trunk, trunk_positions, number, number)
        for k, (rest, reply, task) in enumerate(coded.branches, start=1):
            body = rest + reply[:-1]
            places, _ = self.positions(body, after)
            begin = len(row.ids)
            self._extend(row, body, places, number + k, number)
            first = begin + len(rest) - 1
            for i, label in enumerate(reply):
                weight = END_WEIGHT if label == self.end else FIRST_WEIGHT.get(task, 1.0)
                row.labels[first + i], row.weights[first + i], row.tasks[first + i] = label, weight, TASKS.index(task)
        if coded.picture is not None:
            row.pictures.append(coded.picture)

    @staticmethod
    def _extend(
        row: Row, ids: Sequence[int], positions: Sequence[tuple[int, int, int]], segment: int, trunk: int
    ) -> None:
        row.ids += ids
        row.positions += positions
        row.segment += [segment] * len(ids)
        row.trunk += [trunk] * len(ids)
        row.labels += [-100] * len(ids)
        row.weights += [0.0] * len(ids)
        row.tasks += [0] * len(ids)


def common(sequences: Sequence[Sequence[int]]) -> int:
    """Return the length of the common beginning, short of the whole of any."""
    most = min(len(s) for s in sequences) - 1
    arrays = np.array([s[:most] for s in sequences])
    differ = np.flatnonzero((arrays != arrays[0]).any(0))
    return int(differ[0]) if len(differ) else most


def pack(coder: Coder, groups: Iterable[Coded], rows: int, length: int) -> tuple[list[Row], int]:
    """Fill `rows` rows of `length` tokens, first fit, until four groups fit nowhere; too long groups are dropped.

    Returns:
        The rows, and how many tokens they hold.
    """
    filled = [Row() for _ in range(rows)]
    misses = 0
    for coded in groups:
        if coded.length > length:
            continue
        place = next((r for r in filled if len(r.ids) + coded.length <= length), None)
        if place is None:
            misses += 1
            if misses >= 4:
                break
            continue
        coder.add(place, coded)
    return filled, sum(len(r.ids) for r in filled)


def collate(rows: Sequence[Row], pad: int, length: int) -> Batch:
    """Return the tensors of a batch."""
    count = len(rows)
    ids = torch.full((count, length), pad)
    positions = torch.zeros((3, count, length), dtype=torch.long)
    segment = torch.full((count, length), -1)
    trunk = torch.full((count, length), -1)
    labels = torch.full((count, length), -100)
    weights, tasks = torch.zeros(count, length), torch.zeros((count, length), dtype=torch.long)
    for b, row in enumerate(rows):
        n = len(row.ids)
        ids[b, :n], segment[b, :n], trunk[b, :n] = (
            torch.tensor(row.ids),
            torch.tensor(row.segment),
            torch.tensor(row.trunk),
        )
        positions[:, b, :n] = torch.tensor(row.positions).T
        labels[b, :n], weights[b, :n], tasks[b, :n] = (
            torch.tensor(row.labels),
            torch.tensor(row.weights),
            torch.tensor(row.tasks),
        )
    mine = segment[:, :, None] == segment[:, None, :]
    above = trunk[:, :, None] == segment[:, None, :]
    back = torch.ones(length, length, dtype=torch.bool).tril()
    bias = torch.where((mine | above) & back, 0.0, NEVER)[:, None]
    at = torch.nonzero(labels.flatten() >= 0)[:, 0]
    pictures = [p for row in rows for p in row.pictures]
    return Batch(
        ids,
        positions,
        bias,
        at,
        labels.flatten()[at],
        weights.flatten()[at],
        tasks.flatten()[at],
        torch.stack(pictures) if pictures else None,
    )

"""The endless stream of training batches: pictures and words in their shares, the same for the same step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from pocket.pixels import signed
from pocket.vlm.batch import Batch, Coded, Coder, collate, pack
from pocket.vlm.mixture import Group, decision_groups, plan_group, sight_group, words_group
from pocket.vlm.sights import NOTHING, Truth, asks, strange, taste_ask
from pocket.vlm.words import Phrasing, Speaker, chance, pick
from pocket.world.vocabulary import SIZE
from prompts import load_pack

SHARES: Final = {"sight": 0.23, "plan": 0.20, "words": 0.12, "decision": 0.45}
"""Shares of the tokens of a batch."""
READING: Final = {"sight": 0.60, "plan": 0.14, "words": 0.06, "decision": 0.20}
"""The same while the model learns to read image tokens: many pictures, few questions about each."""
STRANGE: Final = 0.05
"""Share of the pictures that are not of this world."""


@dataclass(frozen=True)
class Album:
    """Pictures with what they show."""

    pixels: Tensor
    """(N, 3, S, S) uint8."""
    truths: Sequence[Truth]
    share: float
    """How often a picture is taken from this album, against the others' shares."""


class Stream:
    """Draws groups of all kinds and packs them."""

    def __init__(
        self,
        coder: Coder,
        albums: Sequence[Album],
        *,
        phrasing: Phrasing = "train",
        roughen: Callable[[Tensor], Tensor] | None = None,
        rows: int = 24,
        length: int = 304,
        key: int = 9,
        reading_until: int = 0,
    ) -> None:
        self.coder, self.albums = coder, albums
        self.phrasing: Phrasing = phrasing
        self.roughen, self.rows, self.length, self.key = roughen, rows, length, key
        self.pack = load_pack("pocket")
        self.reading_until = reading_until
        self.reading = False

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        speaker = Speaker(np.random.default_rng([self.key, step]), self.phrasing)
        self.reading = step < self.reading_until
        rows, _ = pack(self.coder, self._groups(speaker), self.rows, self.length)
        batch = collate(rows, self.coder.pad, self.length)
        if batch.pictures is None or self.roughen is None:
            return batch
        return Batch(
            batch.ids,
            batch.positions,
            batch.bias,
            batch.at,
            batch.labels,
            batch.weights,
            batch.tasks,
            self.roughen(batch.pictures),
        )

    def _groups(self, speaker: Speaker) -> Iterator[Coded]:
        shares = READING if self.reading else SHARES
        used = dict.fromkeys(shares, 0.0)
        while True:
            kind = min(shares, key=lambda k: used[k] / shares[k])
            for group in self.draw(speaker, kind):
                coded = self.coder.code(group)
                used[kind] += coded.length
                yield coded

    def draw(self, speaker: Speaker, kind: str) -> list[Group]:
        """Return one or a few groups of a kind."""
        if kind == "plan":
            return [plan_group(speaker, self.pack)]
        if kind == "words":
            return [words_group(speaker)]
        if kind == "decision":
            return decision_groups(speaker, self.pack)
        return [self.sight(speaker)]

    def sight(self, speaker: Speaker) -> Group:
        """Return questions about a picture from one of the albums, or about something strange."""
        rng = speaker.rng
        if chance(rng, STRANGE):
            picture = signed(torch.from_numpy(strange(rng, SIZE)).permute(2, 0, 1))
            return sight_group(
                picture, [taste_ask(NOTHING, self.pack), *asks(rng, NOTHING, self.pack, regions=1, looks=1)][:2]
            )
        weights = np.array([a.share for a in self.albums])
        album = self.albums[int(rng.choice(len(self.albums), p=weights / weights.sum()))]
        index = int(rng.integers(len(album.truths)))
        truth = album.truths[index]
        regions, looks = (1, int(chance(rng, 0.4))) if self.reading else (4, 1)
        questions = asks(rng, truth, self.pack, regions=regions, looks=looks) or [taste_ask(truth, self.pack)]
        return sight_group(signed(album.pixels[index]), questions)


def corpus(seed: int, count: int, truths: Sequence[Truth]) -> Iterator[str]:
    """Yield texts to learn a tokenizer from: the prompts and replies of `count` draws of every kind."""
    pack_, speaker = load_pack("pocket"), Speaker(np.random.default_rng([seed, 1]))
    for _ in range(count):
        groups = [*decision_groups(speaker, pack_), plan_group(speaker, pack_)]
        truth = pick(speaker.rng, truths)
        groups.append(sight_group(None, asks(speaker.rng, truth, pack_)))
        for group in groups:
            for example in group.examples:
                yield example.prompt + example.reply

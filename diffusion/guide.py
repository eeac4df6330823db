"""From a request to what the UNet is conditioned on: every text encoded, moved by the keywords, and accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion.modes import JOINED, MODES, Liked, View
from diffusion.projection import Moved, off_subject, subject_basis
from diffusion.request import Guidance, Keyword, RenderRequest
from diffusion.text import Encoded, TextEncoder, without

Report = dict[str, Any]
Weighed = tuple[tuple[Encoded, float], ...]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the sampler needs from the texts."""

    embeds: Tensor
    """(1, T, D) of the whole prompt."""
    pooled: Tensor
    """(1, P) of the whole prompt."""
    negative: Tensor
    negative_pooled: Tensor
    components: Tensor | None
    """(1 + N, T, D): the whole prompt, the regions front to back, the background; None without regions."""
    report: Report


@dataclass(frozen=True, eq=False)
class Taste:
    """The keywords that act on one picture, encoded."""

    guidance: Guidance
    likes: Weighed
    dislikes: Weighed
    joined: Encoded | None
    """All likes as one text, where the mode wants it."""
    empty: Encoded
    punctuation: tuple[frozenset[int], frozenset[int]]

    @property
    def scale(self) -> float:
        """The largest liking: a direction alone would make one keyword of weight 0.2 as strong as one of weight 2."""
        return max((weight for _, weight in self.likes), default=0.0)

    def subject(self, encoded: Encoded, side: int) -> Tensor:
        """Return the (T) bool rows that say what `encoded` is about; preference words do not."""
        words = [e.halves[side] for e, _ in (*self.likes, *self.dislikes)]
        return without(encoded.halves[side], words, self.punctuation[side])

    def rows(self, encoded: Encoded, side: int) -> View:
        """Return the token rows of one encoder."""
        half = encoded.halves[side]
        return View(
            rows=half.rows,
            empty=self.empty.halves[side].rows,
            subject=self.subject(encoded, side),
            movable=half.content | half.tail if self.guidance.move_padding else half.content,
            likes=tuple(Liked(e.halves[side].rows, e.halves[side].content, w) for e, w in self.likes),
            joined=None if self.joined is None else self.joined.halves[side].rows,
        )

    def pooled(self, encoded: Encoded) -> View:
        """Return the pooled vector as a view of one row, which is its own subject."""
        one = torch.ones(1, dtype=torch.bool, device=encoded.pooled.device)
        likes = tuple(Liked(e.pooled, one, w) for e, w in self.likes)
        joined = None if self.joined is None else self.joined.pooled
        return View(encoded.pooled, self.empty.pooled, one, one, likes, joined)


def gather(encode: TextEncoder, keywords: Sequence[Keyword], guidance: Guidance, report: Report) -> Taste:
    """Encode the keywords that act; those without weight or without a known token are reported and left out."""
    likes: list[tuple[Encoded, float]] = []
    dislikes: list[tuple[Encoded, float]] = []
    for keyword in keywords if guidance.mode != "none" else ():
        encoded = encode(keyword.text)
        if keyword.weight == 0 or not all(bool(half.content.any()) for half in encoded.halves):
            report["ignored"].append(keyword.text)
            continue
        cut(report, f"keyword {keyword.text!r}", encoded)
        (dislikes if keyword.weight < 0 else likes).append((encoded, abs(keyword.weight)))
    joined = encode(", ".join(e.text for e, _ in likes)) if guidance.mode in JOINED and likes else None
    if joined is not None:
        cut(report, "keywords", joined)
    return Taste(guidance, tuple(likes), tuple(dislikes), joined, encode(""), encode.punctuation)


def cut(report: Report, name: str, encoded: Encoded) -> None:
    """Report what of a text did not fit into the encoders."""
    dropped = max((half.dropped for half in encoded.halves), key=len)
    if dropped:
        report["cut"].append({"text": name, "dropped": dropped})


def move_rows(taste: Taste, encoded: Encoded, name: str, report: Report) -> Tensor:
    """Return the (1, T, D) embedding of a component after the keywords; the given one itself where nothing moves it."""
    guidance, alpha = taste.guidance, taste.guidance.alpha * taste.scale
    if alpha == 0:
        return encoded.embeds
    moved: list[Moved] = []
    for side in (0, 1):
        view = taste.rows(encoded, side)
        one = MODES[guidance.mode](view, alpha, guidance.min_cosine)
        entry = {"share": one.share, "cosine": one.cosine, "subject_tokens": int(view.subject.sum())}
        report["shares"].append({"component": name, "encoder": side + 1, **entry})
        moved.append(one)
    if all(m.rows is half.rows for m, half in zip(moved, encoded.halves, strict=True)):
        return encoded.embeds
    return torch.cat([m.rows for m in moved], dim=-1)[None]


def move_pooled(taste: Taste, encoded: Encoded, report: Report) -> Tensor:
    """Return the (1, P) pooled vector of the whole prompt after the keywords; itself where nothing moves it."""
    guidance, alpha = taste.guidance, taste.guidance.pooled_strength * taste.scale
    if alpha == 0:
        return encoded.pooled
    moved = MODES[guidance.mode](taste.pooled(encoded), alpha, guidance.min_cosine)
    report["pooled"] = {"share": moved.share, "cosine": moved.cosine}
    return moved.rows


def stock_negative(encode: TextEncoder, prompt: Encoded, text: str, report: Report) -> tuple[Tensor, Tensor]:
    """Return the negative branch as stock makes it."""
    if not text.strip() and encode.pipe.config.force_zeros_for_empty_prompt:
        return torch.zeros_like(prompt.embeds), torch.zeros_like(prompt.pooled)
    plain = encode(text if text.strip() else "")
    cut(report, "negative prompt", plain)
    return plain.embeds, plain.pooled


def negative_branch(
    encode: TextEncoder, taste: Taste, prompt: Encoded, text: str, report: Report
) -> tuple[Tensor, Tensor]:
    """Return the embedding and pooled vector of the negative branch; stock's own without dislikes.

    Dislikes: the ordinary encoding of their words, each word's centred rows scaled by its weight and the rows that
    gather all words by the mean weight, minus the part along the prompt's subject, which must not be pushed away.
    """
    if not taste.dislikes:
        return stock_negative(encode, prompt, text, report)
    # The person's own negative words come last: they are the ones that may be long, and cutting is from the end.
    encoded = encode(", ".join([*(e.text for e, _ in taste.dislikes), *filter(None, [text.strip()])]))
    cut(report, "dislikes", encoded)
    mean = sum(w for _, w in taste.dislikes) / len(taste.dislikes)
    halves: list[Tensor] = []
    for side, (half, empty) in enumerate(zip(encoded.halves, taste.empty.halves, strict=True)):
        scale = torch.full_like(half.rows[:, :1], mean, dtype=torch.float32)
        for word, weight in taste.dislikes:
            scale[half.content & ~without(half, [word.halves[side]])] = weight
        centred = scale * (half.rows.float() - empty.rows.float())
        kept = off_subject(centred, taste.rows(prompt, side).basis)
        halves.append((empty.rows.float() + kept).to(half.rows.dtype))
    centre = taste.empty.pooled.float()
    basis = subject_basis(prompt.pooled.float() - centre)
    pooled = centre + off_subject(mean * (encoded.pooled.float() - centre), basis)
    return torch.cat(halves, dim=-1)[None], pooled.to(encoded.pooled.dtype)


def condition(encode: TextEncoder, request: RenderRequest) -> Conditioning:
    """Encode and move every text of `request`.

    A blank background is the whole prompt. Without keywords that act, every tensor is stock's own.
    """
    report: Report = {"mode": request.guidance.mode, "shares": [], "pooled": None, "cut": [], "ignored": []}
    prompt = encode(request.prompt)
    cut(report, "prompt", prompt)
    taste = gather(encode, request.keywords, request.guidance, report)
    embeds = move_rows(taste, prompt, "prompt", report)
    pooled = move_pooled(taste, prompt, report)
    negative, negative_pooled = negative_branch(encode, taste, prompt, request.negative_prompt, report)
    components = None
    if request.regions and request.guidance.base_ratio < 1:
        parts = [embeds]
        for region in request.regions:
            parts.append(component(encode, taste, region.prompt, f"region {region.name!r}", report))
        blank = not request.background.strip()
        parts.append(embeds if blank else component(encode, taste, request.background, "background", report))
        components = torch.cat(parts)
    return Conditioning(embeds, pooled, negative, negative_pooled, components, report)


def component(encode: TextEncoder, taste: Taste, text: str, name: str, report: Report) -> Tensor:
    """Return the moved (1, T, D) embedding of a region's or the background's own text."""
    encoded = encode(text)
    cut(report, name, encoded)
    return move_rows(taste, encoded, name, report)

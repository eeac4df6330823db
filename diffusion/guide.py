"""From a request to what the UNet is conditioned on: every text encoded, moved by the keywords, and accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion import projection
from diffusion.request import Guidance, Keyword, RenderRequest
from diffusion.text import Encoded, Half, TextEncoder, punctuation_ids, without


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
    report: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Taste:
    """The liked keywords, ready to move any component of one picture."""

    guidance: Guidance
    likes: tuple[tuple[Encoded, float], ...]
    dislikes: tuple[tuple[Encoded, float], ...]
    joined: Encoded | None
    """All likes as one text, for the mode that works row against row."""
    empty: Encoded
    punctuation: tuple[frozenset[int], frozenset[int]]

    @property
    def scale(self) -> float:
        """The largest weight: the direction alone would make one keyword of weight 0.2 as strong as one of weight 2."""
        return max((weight for _, weight in self.likes), default=0.0)


def gather(encode: TextEncoder, keywords: Sequence[Keyword], guidance: Guidance, report: dict[str, Any]) -> Taste:
    """Encode the keywords that act; those that tokenise to nothing are reported and left out."""
    pipe = encode.pipe
    sides: tuple[list[tuple[Encoded, float]], list[tuple[Encoded, float]]] = ([], [])
    for keyword in keywords if guidance.mode != "none" else ():
        encoded = encode(keyword.text)
        if keyword.weight == 0 or not all(bool(half.content.any()) for half in encoded.halves):
            report["ignored"].append(keyword.text)
            continue
        cut(report, f"keyword {keyword.text!r}", encoded)
        sides[keyword.weight < 0].append((encoded, abs(keyword.weight)))
    joined = encode(", ".join(e.text for e, _ in sides[0])) if guidance.mode == "row" and sides[0] else None
    if joined is not None:
        cut(report, "keywords", joined)
    marks = (punctuation_ids(pipe.tokenizer), punctuation_ids(pipe.tokenizer_2))
    return Taste(guidance, tuple(sides[0]), tuple(sides[1]), joined, encode(""), marks)


def cut(report: dict[str, Any], name: str, encoded: Encoded) -> None:
    """Report what of a text did not fit into the encoders."""
    dropped = max((half.dropped for half in encoded.halves), key=len)
    if dropped:
        report["cut"].append({"text": name, "dropped": dropped})


def content_mean(half: Half, empty: Half) -> Tensor:
    """Return the (D,) float32 mean of the centred content rows."""
    return (half.rows.float() - empty.rows.float())[half.content].mean(0)


def subject(taste: Taste, encoded: Encoded, side: int) -> Tensor:
    """Return the basis of what a component is about, for one encoder; preference words do not belong to it."""
    half, empty = encoded.halves[side], taste.empty.halves[side]
    words = [e.halves[side] for e, _ in (*taste.likes, *taste.dislikes)]
    about = without(half, words, punctuation=taste.punctuation[side])
    return projection.subject_basis((half.rows.float() - empty.rows.float())[about])


def move_rows(taste: Taste, encoded: Encoded, name: str, report: dict[str, Any]) -> Tensor:
    """Return the (1, T, D) embedding of a component after the keywords; the given one itself where nothing moves it."""
    guidance = taste.guidance
    alpha = guidance.alpha * taste.scale
    if alpha == 0:
        return encoded.embeds
    moved: list[projection.Moved] = []
    for side, half in enumerate(encoded.halves):
        movable = half.content | half.tail if guidance.move_padding else half.content
        if taste.joined is not None:
            preference = taste.joined.halves[side].rows
            one = projection.move_row(half.rows, preference, alpha=alpha, movable=movable, floor=guidance.min_cosine)
            dims = None
        else:
            empty = taste.empty.halves[side]
            direction = torch.stack([w * content_mean(e.halves[side], empty) for e, w in taste.likes]).sum(0)
            basis = subject(taste, encoded, side)
            dims = len(basis)
            one = projection.move_centred(
                half.rows, empty.rows, direction, basis, alpha=alpha, movable=movable, floor=guidance.min_cosine
            )
        moved.append(one)
        entry = {"component": name, "encoder": side + 1, "share": one.share, "cosine": one.cosine, "subject": dims}
        report["shares"].append(entry)
    if all(m.rows is half.rows for m, half in zip(moved, encoded.halves, strict=True)):
        return encoded.embeds
    return torch.cat([m.rows for m in moved], dim=-1)[None]


def move_pooled(taste: Taste, encoded: Encoded, report: dict[str, Any]) -> Tensor:
    """Return the (1, P) pooled vector of the whole prompt after the keywords; itself where nothing moves it."""
    guidance = taste.guidance
    alpha = guidance.pooled_strength * taste.scale
    if alpha == 0:
        return encoded.pooled
    movable = torch.ones(1, dtype=torch.bool, device=encoded.pooled.device)
    if taste.joined is not None:
        preference = taste.joined.pooled
        moved = projection.move_row(encoded.pooled, preference, alpha=alpha, movable=movable, floor=guidance.min_cosine)
    else:
        centre = taste.empty.pooled
        direction = torch.stack([w * (e.pooled.float() - centre.float())[0] for e, w in taste.likes]).sum(0)
        basis = projection.subject_basis(encoded.pooled.float() - centre.float())
        moved = projection.move_centred(
            encoded.pooled, centre, direction, basis, alpha=alpha, movable=movable, floor=guidance.min_cosine
        )
    report["pooled"] = {"share": moved.share, "cosine": moved.cosine}
    return moved.rows


def negative_branch(
    encode: TextEncoder, taste: Taste, prompt: Encoded, request: RenderRequest, report: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Return the embedding and pooled vector of the negative branch; stock's own without dislikes."""
    pipe = encode.pipe
    words = [e.text for e, _ in taste.dislikes]
    if not words:
        if not request.negative_prompt.strip() and pipe.config.force_zeros_for_empty_prompt:
            return torch.zeros_like(prompt.embeds), torch.zeros_like(prompt.pooled)
        plain = encode(request.negative_prompt if request.negative_prompt.strip() else "")
        cut(report, "negative prompt", plain)
        return plain.embeds, plain.pooled
    # The person's own negative words come last: they are the ones that may be long, and cutting is from the end.
    encoded = encode(", ".join([*words, *filter(None, [request.negative_prompt.strip()])]))
    cut(report, "dislikes", encoded)
    mean = sum(w for _, w in taste.dislikes) / len(taste.dislikes)
    halves: list[Tensor] = []
    for side, (half, empty) in enumerate(zip(encoded.halves, taste.empty.halves, strict=True)):
        scale = torch.full_like(half.rows[:, :1], mean, dtype=torch.float32)
        for word, weight in taste.dislikes:
            inside = half.content & ~without(half, [word.halves[side]], punctuation=frozenset())
            scale[inside] = weight
        centred = scale * (half.rows.float() - empty.rows.float())
        kept = projection.off_subject(centred, subject(taste, prompt, side))
        halves.append((empty.rows.float() + kept).to(half.rows.dtype))
    centre = taste.empty.pooled.float()
    basis = projection.subject_basis(prompt.pooled.float() - centre)
    pooled = centre + projection.off_subject(mean * (encoded.pooled.float() - centre), basis)
    return torch.cat(halves, dim=-1)[None], pooled.to(encoded.pooled.dtype)


def condition(encode: TextEncoder, request: RenderRequest) -> Conditioning:
    """Encode and move every text of `request`.

    A blank background is the whole prompt. Without keywords that act, every tensor is stock's own.
    """
    report: dict[str, Any] = {"mode": request.guidance.mode, "shares": [], "pooled": None, "cut": [], "ignored": []}
    prompt = encode(request.prompt)
    cut(report, "prompt", prompt)
    taste = gather(encode, request.keywords, request.guidance, report)
    embeds = move_rows(taste, prompt, "prompt", report)
    pooled = move_pooled(taste, prompt, report)
    negative, negative_pooled = negative_branch(encode, taste, prompt, request, report)
    components = None
    if request.regions and request.guidance.base_ratio < 1:
        parts = [embeds]
        for region in request.regions:
            encoded = encode(region.prompt)
            cut(report, f"region {region.name!r}", encoded)
            parts.append(move_rows(taste, encoded, f"region {region.name!r}", report))
        if request.background.strip():
            encoded = encode(request.background)
            cut(report, "background", encoded)
            parts.append(move_rows(taste, encoded, "background", report))
        else:
            parts.append(embeds)
        components = torch.cat(parts)
    return Conditioning(embeds, pooled, negative, negative_pooled, components, report)

"""Turn a text embedding towards preferences without speaking about what the text is about.

Pure functions of tensors: no model, no device choice, no randomness. Everything is computed in float32 and rounded
once.

Axes
    T    token rows of one text, padding included
    N    rows of its subject tokens
    K    subject directions kept, 0 <= K <= max(1, D // 8)
    D    width of one text encoder (SDXL: 768 and 1280, treated apart)

Mode `centred`: rows are centred, s = e - mu, where mu encodes the empty text at the same positions (rows of CLIP share
a large mean; projecting raw rows therefore subtracts content). d is the preference direction, B spans the subject.

    d_perp = d - (d B^T) B
    s'     = |s| unit(unit(s) + alpha d_perp / |d|),     e' = mu + s'

Mode `row`: row j of the preference text k against row j of the component e, uncentred, lengths free.

    e'_j = e_j + alpha (k_j - <k_j, e_j> / |e_j|^2 e_j)

Both keep cos(e'_j, e_j), in the space they work in, at or above a floor. `row` is our reading of a summary of arXiv
2508.17718, whose exact definition we have not seen; `centred` is ours.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

ENERGY = 0.9
"""Share of the squared singular values that the subject basis must hold."""
SPAN = 8
"""The basis has at most D // SPAN rows: a wider one swallows every preference."""
TINY = 1e-6
"""A vector shorter than this has no direction worth following."""


class Moved(NamedTuple):
    """Rows after a move, and what is worth knowing about it."""

    rows: Tensor
    """The very tensor that was given, where nothing had to move."""
    share: float
    """|d_perp| / |d|, 0 to 1: how much of the preference the subject does not hold already (`row`: the mean)."""
    cosine: float
    """The smallest cosine between a moved row and where it stood."""


def subject_basis(subject: Tensor) -> Tensor:
    """Return orthonormal rows spanning what a text is about, strongest first.

    Args:
        subject: (N, D) centred rows of the subject tokens; N may be 0.

    Returns:
        (K, D) float32: the fewest directions that hold `ENERGY`, at most D // `SPAN`.
    """
    wide = subject.float()
    if wide.shape[0] == 0 or wide.norm() < TINY:
        return wide.new_zeros((0, wide.shape[-1]))
    _, strengths, rows = torch.linalg.svd(wide, full_matrices=False)
    held = strengths.square().cumsum(0) / strengths.square().sum()
    enough = int((held < ENERGY).sum()) + 1
    return rows[: min(enough, max(1, wide.shape[-1] // SPAN))]


def off_subject(direction: Tensor, basis: Tensor) -> Tensor:
    """Return `direction` (..., D) without its part in the span of `basis` (K, D), in float32."""
    wide = direction.float()
    return wide - (wide @ basis.mT) @ basis


def on_floor(units: Tensor, targets: Tensor, floor: float) -> Tensor:
    """Turn unit rows to the unit `targets`, but no further than to the cosine `floor`, within the plane of the two.

    Args:
        units: (T, D) where the rows stand.
        targets: (T, D) where they would go.
        floor: 0 to 1.
    """
    cosine = (units * targets).sum(-1, keepdim=True)
    sideways = targets - cosine * units
    held = floor * units + (1 - floor * floor) ** 0.5 * normalize(sideways, dim=-1)
    # A target straight behind a row names no plane to turn in: such a row stays.
    held = torch.where(sideways.norm(dim=-1, keepdim=True) < TINY, units, held)
    return torch.where(cosine < floor, held, targets)


def move_centred(
    rows: Tensor, centre: Tensor, direction: Tensor, basis: Tensor, *, alpha: float, movable: Tensor, floor: float
) -> Moved:
    """Turn `rows` around `centre` towards the off-subject part of `direction`, keeping their distance to it.

    Args:
        rows: (T, D) encoded text.
        centre: (T, D) the encoded empty text.
        direction: (D,) weighted sum of centred keyword rows.
        basis: (K, D) from `subject_basis`.
        alpha: strength, >= 0; 0 returns `rows` itself.
        movable: (T,) bool, the rows that may move; the others keep their bits.
        floor: smallest cosine allowed between a centred row and its moved self.
    """
    length = float(direction.float().norm())
    if alpha == 0 or length < TINY:
        return Moved(rows, 0.0, 1.0)
    step = off_subject(direction, basis) / length
    share = float(step.norm())
    centred = rows.float() - centre.float()
    lengths = centred.norm(dim=-1, keepdim=True)
    units = centred / lengths.clamp_min(TINY)
    turned = on_floor(units, normalize(units + alpha * step, dim=-1), floor)
    moves = movable & (lengths[:, 0] > TINY)
    if not bool(moves.any()) or share < TINY:
        return Moved(rows, share, 1.0)
    moved = torch.where(moves[:, None], (centre.float() + lengths * turned).to(rows.dtype), rows)
    return Moved(moved, share, float((units * turned).sum(-1)[moves].min()))


def move_row(rows: Tensor, preference: Tensor, *, alpha: float, movable: Tensor, floor: float) -> Moved:
    """Add to each row the part of the same row of the preference text that is orthogonal to it.

    Args:
        rows: (T, D) encoded text.
        preference: (T, D) the encoded preference text, row j against row j.
        alpha: strength, >= 0; 0 returns `rows` itself.
        movable: (T,) bool, the rows that may move; the others keep their bits.
        floor: smallest cosine allowed between a row and its moved self; the sum is shortened to keep it.
    """
    if alpha == 0 or not bool(movable.any()):
        return Moved(rows, 0.0, 1.0)
    wide, other = rows.float(), preference.float()
    along = (other * wide).sum(-1, keepdim=True) / wide.square().sum(-1, keepdim=True).clamp_min(TINY)
    sideways = other - along * wide
    share = sideways.norm(dim=-1) / other.norm(dim=-1).clamp_min(TINY)
    # cos = |e| / sqrt(|e|^2 + |a p|^2) >= floor  <=>  |a p| <= |e| sqrt(1 / floor^2 - 1)
    step = alpha * sideways
    if floor > TINY:
        longest = wide.norm(dim=-1, keepdim=True) * (1 / (floor * floor) - 1) ** 0.5
        step = step * (longest / step.norm(dim=-1, keepdim=True).clamp_min(TINY)).clamp_max(1.0)
    moved = wide + step
    cosine = (normalize(moved, dim=-1) * normalize(wide, dim=-1)).sum(-1)[movable].min()
    kept = torch.where(movable[:, None], moved.to(rows.dtype), rows)
    return Moved(kept, float(share[movable].mean()), float(cosine))

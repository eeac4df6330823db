"""The ways in which liked keywords may move a text, behind one signature: from a view and a strength to moved rows.

To add a mode, write its function here, name it in `MODES` and in `request.Mode`. What a mode needs is in the view; the
pooled vector is a view of one row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.projection import Moved, move_centred, move_row, subject_basis
from diffusion.request import Mode


@dataclass(frozen=True, eq=False)
class Liked:
    """One liked keyword as one encoder sees it."""

    rows: Tensor
    """(T, D)."""
    content: Tensor
    """(T) bool: the rows that are the keyword itself."""
    weight: float


@dataclass(frozen=True, eq=False)
class View:
    """One text as one encoder sees it, and what may move it."""

    rows: Tensor
    """(T, D)."""
    empty: Tensor
    """(T, D) of the empty text."""
    subject: Tensor
    """(T) bool: rows that speak about the text's subject."""
    movable: Tensor
    """(T) bool: rows that may move."""
    likes: tuple[Liked, ...]
    joined: Tensor | None
    """(T, D) of all liked keywords as one text; only there for the modes in `JOINED`."""

    @property
    def basis(self) -> Tensor:
        """(K, D) orthonormal directions of the subject."""
        return subject_basis((self.rows.float() - self.empty.float())[self.subject])

    @property
    def direction(self) -> Tensor:
        """(D) float32: the weighted sum of the keywords' mean centred content rows."""
        means = [like.weight * (like.rows.float() - self.empty.float())[like.content].mean(0) for like in self.likes]
        return torch.stack(means).sum(0)


def centred(view: View, alpha: float, floor: float) -> Moved:
    """Turn centred rows towards the part of the preference direction that is off the subject."""
    return move_centred(
        view.rows, view.empty, view.direction, view.basis, alpha=alpha, movable=view.movable, floor=floor
    )


def row(view: View, alpha: float, floor: float) -> Moved:
    """Add row j of the keywords' text, less its part along row j; the keywords' weights do not tell them apart here."""
    assert view.joined is not None
    return move_row(view.rows, view.joined, alpha=alpha, movable=view.movable, floor=floor)


MODES: dict[Mode, Callable[[View, float, float], Moved]] = {"centred": centred, "row": row}
JOINED: frozenset[Mode] = frozenset({"row"})
"""Modes that need the keywords as one text."""

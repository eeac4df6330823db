"""The projection's algebra, against least squares and bisection as second routes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion import projection as p

D = 64
EVERY = torch.ones(6, dtype=torch.bool)


def rows(seed: int, n: int = 6, d: int = D) -> Tensor:
    return torch.randn((n, d), generator=torch.Generator().manual_seed(seed))


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)


def test_off_subject_is_the_residual_of_least_squares() -> None:
    subject, direction = rows(1, 3), rows(2, 1)[0]
    basis = p.subject_basis(subject)
    assert len(basis) == 3  # three random rows in 64 dimensions are nearly orthogonal: all are needed for 90 %
    a = subject.double().numpy().T
    residual = direction.double().numpy() - a @ np.linalg.lstsq(a, direction.double().numpy(), rcond=None)[0]
    # float32 against float64: 64 terms of size 1 leave some 1e-6
    np.testing.assert_allclose(p.off_subject(direction, basis).numpy(), residual, atol=5e-6)


def test_basis_is_orthonormal_and_does_not_depend_on_the_order_of_tokens() -> None:
    subject, direction = rows(3, 5), rows(4, 1)[0]
    basis, shuffled = p.subject_basis(subject), p.subject_basis(subject[[4, 2, 0, 3, 1]])
    torch.testing.assert_close(basis @ basis.mT, torch.eye(len(basis)), atol=1e-5, rtol=0)
    torch.testing.assert_close(p.off_subject(direction, basis), p.off_subject(direction, shuffled), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("strengths", "kept"), [((9.0, 2.0), 1), ((3.0, 3.0), 2), ((3.1, 1.0), 1), ((2.9, 1.0), 2)])
def test_basis_is_the_fewest_directions_with_ninety_percent(strengths: tuple[float, float], kept: int) -> None:
    wide = torch.zeros(2, D)
    wide[0, 0], wide[1, 1] = strengths  # 3 : 1 would be 9 / 10 of the energy
    assert len(p.subject_basis(wide)) == kept


def test_basis_is_capped_and_empty_where_there_is_no_subject() -> None:
    assert len(p.subject_basis(rows(5, 60))) == D // 8
    assert p.subject_basis(torch.zeros(0, D)).shape == (0, D)
    assert p.subject_basis(torch.zeros(3, D)).shape == (0, D)


def test_alpha_zero_is_the_same_tensor() -> None:
    e, mu, d = rows(1), rows(2), rows(3, 1)[0]
    basis = p.subject_basis(rows(4, 2))
    assert p.move_centred(e, mu, d, basis, alpha=0.0, movable=EVERY, floor=0.5).rows is e
    assert p.move_row(e, mu, alpha=0.0, movable=EVERY, floor=0.5).rows is e


def test_a_direction_inside_the_subject_moves_nothing() -> None:
    e, mu = rows(1), rows(2)
    basis = p.subject_basis(rows(4, 2))
    moved = p.move_centred(e, mu, basis[0] * 3, basis, alpha=1.0, movable=EVERY, floor=0.0)
    assert moved.rows is e
    assert moved.share < 1e-6


def test_no_direction_moves_nothing() -> None:
    e = rows(1)
    none = torch.zeros(0, D)
    assert p.move_centred(e, rows(2), torch.zeros(D), none, alpha=1.0, movable=EVERY, floor=0.0).rows is e


def test_centred_follows_its_formula_in_float64() -> None:
    e, mu, d, subject = rows(1), rows(2), rows(3, 1)[0], rows(4, 2)
    moved = p.move_centred(e, mu, d, p.subject_basis(subject), alpha=0.8, movable=EVERY, floor=0.0)
    s = (e - mu).double().numpy()
    a, dd = subject.double().numpy().T, d.double().numpy()
    perp = dd - a @ np.linalg.lstsq(a, dd, rcond=None)[0]
    length = np.linalg.norm(s, axis=1, keepdims=True)
    turned = s / length + 0.8 * perp / np.linalg.norm(dd)
    expected = mu.double().numpy() + length * turned / np.linalg.norm(turned, axis=1, keepdims=True)
    np.testing.assert_allclose(moved.rows.numpy(), expected, atol=1e-5)
    assert moved.share == pytest.approx(np.linalg.norm(perp) / np.linalg.norm(dd), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 20), st.floats(0, 1), st.integers(0, 1000))
def test_centred_keeps_distances_and_the_floor(alpha: float, floor: float, seed: int) -> None:
    e, mu, d = rows(seed), rows(seed + 1), rows(seed + 2, 1)[0]
    moved = p.move_centred(e, mu, d, p.subject_basis(rows(seed + 3, 2)), alpha=alpha, movable=EVERY, floor=floor)
    before, after = e - mu, moved.rows - mu
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1), rtol=1e-5, atol=0)
    assert float(cosines(before, after).min()) >= floor - 1e-5


def test_the_floor_is_the_move_of_a_smaller_alpha() -> None:
    """Second route: bisect the strength at which the unfloored move reaches the floor."""
    e, mu, d = rows(1, 1), rows(2, 1), rows(3, 1)[0]
    none, one = torch.zeros(0, D), torch.ones(1, dtype=torch.bool)
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        unfloored = p.move_centred(e, mu, d, none, alpha=max(middle, 1e-9), movable=one, floor=0.0)
        low, high = (middle, high) if unfloored.cosine > 0.7 else (low, middle)
    reached = p.move_centred(e, mu, d, none, alpha=low, movable=one, floor=0.0).rows
    held = p.move_centred(e, mu, d, none, alpha=5.0, movable=one, floor=0.7).rows
    torch.testing.assert_close(held, reached, atol=1e-4, rtol=0)


def test_a_preference_straight_against_a_row_leaves_it() -> None:
    mu = torch.zeros(1, D)
    e = rows(1, 1)
    one = torch.ones(1, dtype=torch.bool)
    moved = p.move_centred(e, mu, -e[0], torch.zeros(0, D), alpha=3.0, movable=one, floor=0.5)
    torch.testing.assert_close(moved.rows, e)


def test_rows_that_may_not_move_keep_their_bits() -> None:
    e, mu, d = rows(1).half(), rows(2).half(), rows(3, 1)[0]
    movable = torch.tensor([False, True, True, False, True, False])
    for moved in (
        p.move_centred(e, mu, d, torch.zeros(0, D), alpha=1.0, movable=movable, floor=0.0),
        p.move_row(e, mu, alpha=1.0, movable=movable, floor=0.0),
    ):
        assert moved.rows.dtype == torch.float16
        assert torch.equal(moved.rows[~movable], e[~movable])
        assert not torch.equal(moved.rows[movable], e[movable])


def test_only_the_direction_of_a_preference_counts() -> None:
    e, mu, d = rows(1), rows(2), rows(3, 1)[0]
    none = torch.zeros(0, D)
    one, three = (p.move_centred(e, mu, k * d, none, alpha=1.0, movable=EVERY, floor=0.0).rows for k in (1, 3))
    torch.testing.assert_close(one, three, atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 20), st.floats(0, 1), st.integers(0, 1000))
def test_row_adds_what_is_orthogonal_and_keeps_the_floor(alpha: float, floor: float, seed: int) -> None:
    e, k = rows(seed), rows(seed + 1)
    moved = p.move_row(e, k, alpha=alpha, movable=EVERY, floor=floor)
    added = (moved.rows - e).double()
    assert float((added * e).sum(-1).abs().max()) < 1e-3 * alpha * D
    assert float(cosines(moved.rows, e).min()) >= floor - 1e-5


def test_row_is_the_residual_of_least_squares_row_by_row() -> None:
    e, k = rows(1), rows(2)
    moved = p.move_row(e, k, alpha=0.6, movable=EVERY, floor=0.0).rows
    for row, other, got in zip(e.double().numpy(), k.double().numpy(), moved.numpy(), strict=True):
        fit = np.linalg.lstsq(row[:, None], other, rcond=None)[0]
        np.testing.assert_allclose(got, row + 0.6 * (other - row * fit[0]), atol=1e-5)


def test_centring_keeps_the_content_that_the_raw_projection_takes_away() -> None:
    """Rows with a large common mean: the raw sum loses content, the centred one does not. (The reason for centring.)"""
    mean = 4 * torch.nn.functional.normalize(rows(9, 1), dim=-1)
    content = torch.nn.functional.normalize(rows(10, 1), dim=-1)
    wish = torch.nn.functional.normalize(rows(11, 1), dim=-1)
    one = torch.ones(1, dtype=torch.bool)
    raw = p.move_row(mean + content, mean + wish, alpha=0.6, movable=one, floor=0.0).rows - mean
    kept = (
        p.move_centred(mean + content, mean, wish[0], p.subject_basis(content), alpha=0.6, movable=one, floor=0.0).rows
        - mean
    )
    kept_raw, kept_centred = (float((v @ content.mT) / content.norm()) for v in (raw, kept))
    assert kept_raw < 0.6
    assert kept_centred > 0.8

"""Muon for matrices and convolutions, AdamW for the rest: what training here uses instead of AdamW alone.

Muon (Keller Jordan, 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a weight matrix by its
nearest semi-orthogonal matrix. `torch.optim.Muon` takes 2-D parameters only; here a convolution (out, in, h, w) is the
matrix (out, in*h*w), as in its author's CIFAR work, and matrices of equal shape are orthogonalised in one batch, which
matters when there are a hundred small ones.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Quintic Newton-Schulz iteration of the reference implementation: singular values end in about [0.7, 1.2]."""


def orthogonalise(matrices: Tensor, rounds: int = 5) -> Tensor:
    """Return (N, rows, columns) with singular values brought near 1."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, with decoupled weight decay."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Turn the weights by one orthogonalised step; `closure` is not used."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"])
                flat = update.reshape(len(update), -1)
                alike[(flat.shape[0], flat.shape[1])].append((p, flat))
            for (rows, columns), members in alike.items():
                turned = orthogonalise(torch.stack([flat for _, flat in members]))
                size = max(1.0, rows / columns) ** 0.5
                for (p, _), update in zip(members, turned, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update.reshape(p.shape), alpha=-group["lr"] * size)


def optimisers(
    modules: Iterable[nn.Module], *, rate: float, matrix_rate: float, keep_out: Iterable[Tensor] = ()
) -> list[torch.optim.Optimizer]:
    """Return [Muon, AdamW] over all parameters; each group's `scale` is its rate relative to `rate`.

    Args:
        modules: what to train.
        rate: learning rate of AdamW: biases, norms, embeddings and everything in `keep_out`.
        matrix_rate: learning rate of Muon: every other parameter of two or more dimensions.
        keep_out: matrices that AdamW should have, such as first and last layers and embeddings.
    """
    out = {id(p) for p in keep_out}
    everything = [p for m in modules for p in m.parameters() if p.requires_grad]
    matrices = [p for p in everything if p.ndim >= 2 and id(p) not in out]
    chosen = {id(p) for p in matrices}
    rest = [p for p in everything if id(p) not in chosen]
    muon = Muon(matrices, matrix_rate)
    muon.param_groups[0]["scale"] = matrix_rate / rate
    adam = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adam]

"""Regional cross-attention: every text attends with its own keys and values, blended by who owns the cell.

For the conditional branch only, with A scaled dot-product attention,

    F = lambda A(Q, K_g, V_g) + (1 - lambda) sum_i w_i A(Q, K_i, V_i),

blended before `to_out` (which is affine, and the weights sum to 1). Keys and values do not depend on the denoising
step, so they are computed once, on entering `regional_attention`. A query's attention does not depend on other
queries, so each text is computed only for the cells in which it has a share. No attention mask is used: fused kernels
stay usable.

The processors are immutable and know nothing of the step, the picture or each other.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from diffusion.errors import ModelError


@dataclass(frozen=True, eq=False)
class Share:
    """What one text contributes to one feature map."""

    text: int
    weight: Tensor
    """(n, 1) weight of the text in the cells it has a share in."""
    cells: Tensor | None
    """(n) their indices; None for all cells in order."""


Shares = Mapping[int, tuple[Share, ...]]
"""By the number of cells of a feature map: every text that has a share in it."""


def shares(
    maps: Sequence[NDArray[np.float32]], base_ratio: float, *, dtype: torch.dtype, device: torch.device
) -> Shares:
    """Return who contributes where.

    Args:
        maps: for each feature map (N, h, w): the weights of texts 1 to N; they sum to 1 in every cell.
        base_ratio: lambda, the share of text 0 everywhere.
        dtype: of the attention.
        device: of the attention.
    """
    found: dict[int, tuple[Share, ...]] = {}
    for owned in maps:
        flat = (1.0 - base_ratio) * torch.from_numpy(owned).flatten(1)
        everyone = torch.cat([torch.full_like(flat[:1], base_ratio), flat])
        level: list[Share] = []
        for text, weight in enumerate(everyone):
            cells = weight.nonzero()[:, 0]
            if len(cells) == 0:
                continue
            where = None if len(cells) == len(weight) else cells.to(device)
            level.append(Share(text, weight[cells, None].to(device, dtype), where))
        found[everyone.shape[1]] = tuple(level)
    return MappingProxyType(found)


@dataclass(frozen=True, eq=False)
class RegionalProcessor:
    """Stands in for diffusers' processor of one cross-attention layer; a pure function of the hidden states."""

    keys: Tensor
    """(1 + N, heads, T, width) of the whole prompt, then of every component."""
    values: Tensor
    shares: Shares
    guided: bool
    """Whether the first half of the batch is the negative branch, which keeps the text it is given."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        if attention_mask is not None or encoder_hidden_states is None:
            raise ModelError("regional attention takes a text and no attention mask")
        query = _heads(attn.to_q(hidden_states), attn.heads)
        if attn.norm_q is not None:
            query = attn.norm_q(query)
        if self.guided:
            negative, positive = query.chunk(2)
            key, value = keys_and_values(attn, encoder_hidden_states[: len(negative)])
            blended = torch.cat([scaled_dot_product_attention(negative, key, value), self.blend(positive)])
        else:
            blended = self.blend(query)
        merged = blended.transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](merged))

    def blend(self, query: Tensor) -> Tensor:
        """Return F for the (B, heads, L, width) queries of the conditional branch."""
        if query.shape[2] not in self.shares:
            raise ModelError(f"a feature map of {query.shape[2]} cells was not expected, only {sorted(self.shares)}")
        blended = torch.zeros_like(query)
        for share in self.shares[query.shape[2]]:
            asked = query if share.cells is None else query[:, :, share.cells]
            key = self.keys[share.text].expand(len(query), -1, -1, -1)
            value = self.values[share.text].expand(len(query), -1, -1, -1)
            answer = scaled_dot_product_attention(asked, key, value) * share.weight
            blended = blended + answer if share.cells is None else blended.index_add(2, share.cells, answer)
        return blended


def _heads(rows: Tensor, heads: int) -> Tensor:
    return rows.unflatten(2, (heads, -1)).transpose(1, 2)


def keys_and_values(attn: Any, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (N, heads, T, width) keys and values of (N, T, D) texts."""
    if attn.norm_cross:
        texts = attn.norm_encoder_hidden_states(texts)
    key, value = _heads(attn.to_k(texts), attn.heads), _heads(attn.to_v(texts), attn.heads)
    return (key if attn.norm_k is None else attn.norm_k(key)), value


def cross_attentions(unet: Any) -> dict[str, Any]:
    """Return the cross-attention layers of `unet` by name.

    Raises:
        ModelError: there are none, or one of them does more than plain attention and would lose it.
    """
    layers = {n: m for n, m in unet.named_modules() if isinstance(m, Attention) and m.is_cross_attention}
    if not layers:
        raise ModelError("the UNet has no cross-attention layer to guide")
    for name, attn in layers.items():
        plain = type(attn.processor) in {AttnProcessor, AttnProcessor2_0}
        extras = (attn.spatial_norm, attn.group_norm, getattr(attn, "add_k_proj", None))
        if (
            not plain
            or any(e is not None for e in extras)
            or attn.residual_connection
            or attn.rescale_output_factor != 1
        ):
            raise ModelError(
                f"{name} is not plain attention (processor {type(attn.processor).__name__}); remove adapters"
            )
    return layers


def coarsest_level(unet: Any) -> int:
    """Return how often the latents are halved before the coarsest of the cross-attention layers."""
    deepest = len(unet.config.block_out_channels) - 1
    levels: list[int] = []
    for name in cross_attentions(unet):
        block, index, *_ = name.split(".")
        if block == "mid_block":
            levels.append(deepest)
        else:
            levels.append(int(index) if block == "down_blocks" else deepest - int(index))
    return max(levels)


@contextmanager
def regional_attention(
    unet: Any, texts: Tensor, maps: Sequence[NDArray[np.float32]], *, base_ratio: float, guided: bool
) -> Generator[int]:
    """Install regional attention in every cross-attention layer; yields the bytes its keys and values take.

    However the block ends, the very processor objects that were there before are back after it.

    Args:
        unet: a `UNet2DConditionModel`.
        texts: (1 + N, T, D) the whole prompt, then the components.
        maps: for each feature map (N, h, w): the weights of the components, summing to 1.
        base_ratio: lambda.
        guided: whether batches hold the negative branch in their first half.
    """
    layers = cross_attentions(unet)
    before = {name: attn.processor for name, attn in layers.items()}
    share = shares(maps, base_ratio, dtype=texts.dtype, device=texts.device)
    taken = 0
    try:
        for attn in layers.values():
            home = next(attn.to_k.parameters()).device
            with torch.no_grad():
                key, value = (t.to(texts.device) for t in keys_and_values(attn, texts.to(home)))
            taken += key.nbytes + value.nbytes
            attn.set_processor(RegionalProcessor(key, value, share, guided))
        yield taken
    finally:
        for name, attn in layers.items():
            attn.set_processor(before[name])

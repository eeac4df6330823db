"""Regional attention against a naive float64 loop, and the promise to leave everything as it was."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from diffusion import regions
from diffusion.attention import RegionalProcessor, coarsest_level, cross_attentions, regional_attention
from diffusion.errors import ModelError
from diffusion.pipeline import GuidedSdxl
from diffusion.request import Box

BASE = 0.3
SIZE = (72, 40)
"""Pixels; 9 x 5 latent cells, halved to 5 x 3."""


def maps(*boxes: Box) -> tuple[Any, ...]:
    return regions.pyramid(regions.ownership(boxes, *SIZE, 4.0, 8), *SIZE, 8, 2)


def texts(sdxl: GuidedSdxl, *names: str) -> Tensor:
    return torch.cat([sdxl.encode(name).embeds for name in names])


def naive(attn: Any, hidden: Tensor, context: Tensor, weight: Tensor) -> Tensor:
    """Attend from (L, C) to each (T, D) of context in float64, query by query and head by head, and blend by (N, L)."""
    names = {n: p.detach().double() for n, p in attn.named_parameters()}
    queries = hidden.double() @ names["to_q.weight"].T
    out = torch.zeros_like(queries)
    width = queries.shape[1] // attn.heads
    for text, share in zip(context.double(), weight.double(), strict=True):
        keys, values = text @ names["to_k.weight"].T, text @ names["to_v.weight"].T
        for head in range(attn.heads):
            part = slice(head * width, (head + 1) * width)
            for row in range(len(queries)):
                score = torch.softmax(keys[:, part] @ queries[row, part] / width**0.5, dim=0)
                out[row, part] += share[row] * (score @ values[:, part])
    return out @ names["to_out.0.weight"].T + names["to_out.0.bias"]


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


def hidden_for(attn: Any, cells: int, batch: int) -> Tensor:
    return torch.randn(batch, cells, attn.to_q.in_features, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("guided", [True, False])
def test_every_layer_agrees_with_the_naive_loop(sdxl: GuidedSdxl, guided: bool) -> None:
    """Overlapping, feathered boxes; a batch of two pictures with their negative branches."""
    some: tuple[Box, ...] = ((0.0, 0.0, 0.6, 0.7), (0.4, 0.3, 1.0, 1.0), (0.9, 0.9, 0.95, 0.95))
    levels = maps(*some)
    context = texts(sdxl, "a cat", "a dog", "a hen", "a fox", "sea")
    negative = sdxl.encode("fog").embeds
    given = torch.cat([negative, negative, context[:1], context[:1]]) if guided else context[:1].expand(2, -1, -1)
    with torch.no_grad(), regional_attention(sdxl.pipe.unet, context, levels, base_ratio=BASE, guided=guided):
        for attn in cross_attentions_installed(sdxl):
            for level in levels:
                flat = torch.from_numpy(level).flatten(1)
                hidden = hidden_for(attn, flat.shape[1], len(given))
                got = attn(hidden, encoder_hidden_states=given)
                blend = torch.cat([torch.full_like(flat[:1], BASE), (1 - BASE) * flat])
                for picture in range(len(given)):
                    if guided and picture < 2:
                        expected = naive(attn, hidden[picture], negative, torch.ones(1, flat.shape[1]))
                    else:
                        expected = naive(attn, hidden[picture], context, blend)
                    assert relative(got[picture], expected) < 1e-5


def cross_attentions_installed(sdxl: GuidedSdxl) -> list[Any]:
    return [m for n, m in sdxl.pipe.unet.named_modules() if n.endswith("attn2")]


def test_one_full_region_of_the_same_text_is_stock_to_rounding(sdxl: GuidedSdxl) -> None:
    levels = maps((0.0, 0.0, 1.0, 1.0))
    context = texts(sdxl, "a cat", "a cat", "sea")
    layers = cross_attentions_installed(sdxl)
    cells = [level[0].size for level in levels]
    with torch.no_grad():
        stock = [a(hidden_for(a, n, 1), encoder_hidden_states=context[:1]) for a in layers for n in cells]
        with regional_attention(sdxl.pipe.unet, context, levels, base_ratio=BASE, guided=False):
            ours = [a(hidden_for(a, n, 1), encoder_hidden_states=context[:1]) for a in layers for n in cells]
    assert max(relative(a, b) for a, b in zip(ours, stock, strict=True)) <= 1e-5


def test_disjoint_regions_commute(sdxl: GuidedSdxl) -> None:
    one: Box = (0.0, 0.0, 0.45, 0.6)
    two: Box = (0.55, 0.4, 1.0, 1.0)
    outcomes: list[Tensor] = []
    for boxes, names in (((one, two), ("a dog", "a hen")), ((two, one), ("a hen", "a dog"))):
        context = texts(sdxl, "a cat", *names, "sea")
        levels = maps(*boxes)
        with torch.no_grad(), regional_attention(sdxl.pipe.unet, context, levels, base_ratio=BASE, guided=False):
            attn = cross_attentions_installed(sdxl)[0]
            outcomes.append(attn(hidden_for(attn, levels[0][0].size, 1), encoder_hidden_states=context[:1]))
    assert relative(*outcomes) < 1e-6


def test_the_bytes_of_keys_and_values_are_told(sdxl: GuidedSdxl) -> None:
    context = texts(sdxl, "a cat", "a dog", "sea")
    inner = sum(a.to_k.out_features for a in cross_attentions_installed(sdxl))
    with regional_attention(sdxl.pipe.unet, context, maps((0, 0, 0.5, 1)), base_ratio=BASE, guided=True) as taken:
        assert taken == 2 * 3 * 32 * inner * 4  # keys and values, texts, tokens, width, float32


def test_processors_are_immutable(sdxl: GuidedSdxl) -> None:
    context = texts(sdxl, "a cat", "a dog", "sea")
    with regional_attention(sdxl.pipe.unet, context, maps((0, 0, 0.5, 1)), base_ratio=BASE, guided=True):
        processor = cross_attentions_installed(sdxl)[0].processor
        assert isinstance(processor, RegionalProcessor)
        with pytest.raises(FrozenInstanceError):
            processor.guided = False  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(TypeError):
            processor.shares[7] = ()  # pyright: ignore[reportIndexIssue]


def test_the_same_objects_are_back_however_it_ends(sdxl: GuidedSdxl, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = cross_attentions_installed(sdxl)
    before = [id(a.processor) for a in layers]
    context = texts(sdxl, "a cat", "a dog", "sea")
    levels = maps((0, 0, 0.5, 1))
    with regional_attention(sdxl.pipe.unet, context, levels, base_ratio=BASE, guided=True):
        assert all(isinstance(a.processor, RegionalProcessor) for a in layers)
    assert [id(a.processor) for a in layers] == before
    with (
        pytest.raises(KeyError),
        regional_attention(sdxl.pipe.unet, context, levels, base_ratio=BASE, guided=True),
    ):
        raise KeyError
    assert [id(a.processor) for a in layers] == before

    def broken(_: Tensor) -> Tensor:
        raise ZeroDivisionError

    monkeypatch.setattr(layers[2].to_v, "forward", broken)  # fails while the third layer is being installed
    with (
        pytest.raises(ZeroDivisionError),
        regional_attention(sdxl.pipe.unet, context, levels, base_ratio=BASE, guided=True),
    ):
        pass
    assert [id(a.processor) for a in layers] == before


def test_other_processors_are_not_thrown_away_in_silence(sdxl: GuidedSdxl) -> None:
    class Adapter(AttnProcessor2_0):
        pass

    attn = cross_attentions_installed(sdxl)[1]
    kept = attn.processor
    attn.set_processor(Adapter())
    try:
        with pytest.raises(ModelError, match="Adapter"):
            cross_attentions(sdxl.pipe.unet)
    finally:
        attn.set_processor(kept)


def test_a_feature_map_of_another_size_is_refused(sdxl: GuidedSdxl) -> None:
    context = texts(sdxl, "a cat", "a dog", "sea")
    with regional_attention(sdxl.pipe.unet, context, maps((0, 0, 0.5, 1)), base_ratio=BASE, guided=False):
        attn = cross_attentions_installed(sdxl)[0]
        with pytest.raises(ModelError, match="7 cells"):
            attn(hidden_for(attn, 7, 1), encoder_hidden_states=context[:1])


def test_a_text_without_a_share_is_not_computed(sdxl: GuidedSdxl) -> None:
    context = texts(sdxl, "a cat", "a dog", "a hen", "sea")
    twins = maps((0.0, 0.0, 1.0, 1.0), (0.2, 0.2, 0.8, 0.8))
    with regional_attention(sdxl.pipe.unet, context, twins, base_ratio=0.0, guided=False):
        shares = cross_attentions_installed(sdxl)[0].processor.shares
    assert {tuple(s.text for s in level) for level in shares.values()} == {(1,)}
    assert all(s.cells is None for level in shares.values() for s in level)


def test_levels(sdxl: GuidedSdxl) -> None:
    assert coarsest_level(sdxl.pipe.unet) == 1
    assert np.prod(maps()[1].shape[1:]) == 15

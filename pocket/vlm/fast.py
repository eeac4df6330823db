"""The same model arranged for training on a CPU: all pictures of a batch at once, attention by plain products.

Stock code runs the vision tower's attention one picture at a time, and the CPU kernel behind
scaled_dot_product_attention is three times slower backward in bfloat16 than two matrix products and a softmax. The
results agree with stock's to rounding; a test holds that.
"""

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb, apply_rotary_pos_emb_vision

from pocket.vlm.batch import Batch
from pocket.vlm.build import GRID, IMAGE_TOKENS, MERGE, PATCH


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Return softmax(q k^T / sqrt(d) + bias) v for (N, H, L, D) inputs."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1) @ v


def patches(pixels: Tensor) -> Tensor:
    """Cut (N, 3, S, S) pictures into (N, patches, 3 * PATCH * PATCH), in Qwen's order: merge blocks together."""
    n, half = len(pixels), GRID // MERGE
    cut = pixels.reshape(n, 3, half, MERGE, PATCH, half, MERGE, PATCH).permute(0, 2, 5, 3, 6, 1, 4, 7)
    return cut.reshape(n, GRID * GRID, 3 * PATCH * PATCH)


def block_order(device: torch.device | None = None) -> Tensor:
    """Return the (2, patches) rows and columns of the patches in that order."""
    side = torch.arange(GRID, device=device)
    rows, columns = torch.meshgrid(side, side, indexing="ij")
    half = GRID // MERGE
    both = torch.stack([rows, columns]).reshape(2, half, MERGE, half, MERGE).permute(0, 1, 3, 2, 4)
    return both.reshape(2, -1)


def see(model: Qwen3VLForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Return the (N, IMAGE_TOKENS, width) embeddings of (N, 3, S, S) pictures in [-1, 1]."""
    tower = model.model.visual
    kernel = tower.patch_embed.proj.weight
    # A still picture is two equal frames: one frame with the frames' weights added is the same.
    flat = kernel.sum(2).reshape(len(kernel), -1)
    x = torch.nn.functional.linear(patches(pixels), flat, tower.patch_embed.proj.bias)
    order = block_order(pixels.device)
    x = x + tower.pos_embed.weight[order[0] * GRID + order[1]]
    cos, sin = tower.rotary_pos_emb(x, order.T)
    n, count, width = x.shape
    for block in tower.blocks:
        attention = block.attn
        qkv = attention.qkv(block.norm1(x)).reshape(n, count, 3, attention.num_heads, -1)
        q, k, v = qkv.unbind(2)
        q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
        mixed = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), None)
        x = x + attention.proj(mixed.transpose(1, 2).reshape(n, count, width))
        x = x + block.mlp(block.norm2(x))
    return tower.merger(x).reshape(n, IMAGE_TOKENS, -1)


def read(model: Qwen3VLForConditionalGeneration, embeds: Tensor, positions: Tensor, bias: Tensor) -> Tensor:
    """Return the last hidden states of (B, L, width) embeddings.

    Args:
        model: the whole model.
        embeds: token embeddings with the pictures already in their places.
        positions: (3, B, L) positions in time, height and width.
        bias: (B, 1, L, L) added to the attention scores: 0 where a token may look, very negative elsewhere.
    """
    tower = model.model.language_model
    cos, sin = tower.rotary_emb(embeds, positions)
    x = embeds
    for layer in tower.layers:
        attention = layer.self_attn
        y = layer.input_layernorm(x)
        shape = (*y.shape[:-1], -1, attention.head_dim)
        q = attention.q_norm(attention.q_proj(y).view(shape)).transpose(1, 2)
        k = attention.k_norm(attention.k_proj(y).view(shape)).transpose(1, 2)
        v = attention.v_proj(y).view(shape).transpose(1, 2)
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        share = attention.num_key_value_groups
        k, v = k.to(v.dtype).repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        mixed = attend(q.to(v.dtype), k, v, bias.to(v.dtype))
        x = x + attention.o_proj(mixed.transpose(1, 2).reshape(*y.shape[:-1], -1))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return tower.norm(x)


def predict(model: Qwen3VLForConditionalGeneration, batch: Batch) -> Tensor:
    """Return the (n, vocabulary) logits at the places of a batch that predict a reply token."""
    table = model.model.language_model.embed_tokens.weight
    embeds = torch.nn.functional.embedding(batch.ids, table)
    if batch.pictures is not None:
        here = batch.ids == model.config.image_token_id
        # The eyes stay as pre-training left them: Muon's steps are as long for a noisy gradient as for a clear one, and
        # the few pictures of a batch took them apart (shape by a linear probe: .91 before, .50 after 1,200 steps).
        with torch.no_grad():
            tokens = see(model, batch.pictures)
        embeds = embeds.masked_scatter(here[..., None], tokens.to(embeds.dtype))
    hidden = read(model, embeds, batch.positions, batch.bias)
    return hidden.flatten(0, 1)[batch.at] @ table.T

"""The untrained pocket Qwen-VL: a real `Qwen3VLForConditionalGeneration`, only small."""

from typing import Final

import torch
from torch import nn
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from pocket.world.vocabulary import SIZE

PATCH: Final = 16
"""Side of a vision patch in pixels: two periods of every texture of the world."""
MERGE: Final = 2
GRID: Final = SIZE // PATCH
"""Patches along a side."""
IMAGE_TOKENS: Final = (GRID // MERGE) ** 2
"""What a picture costs the language model: 16."""

WIDTH: Final = 192

SHARPNESS: Final = 1.75
"""First gain of normalised queries and keys."""

SPECIAL: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen's control marks, in the order of their ids."""


def config(vocabulary: int, special: dict[str, int]) -> Qwen3VLConfig:
    """Return the configuration for a tokenizer of `vocabulary` entries.

    Args:
        vocabulary: number of token ids.
        special: ids of the Qwen special tokens by name.
    """
    return Qwen3VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": WIDTH,
            "intermediate_size": 512,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 2048,
            # The three sections (time, height, width) must sum to half of head_dim.
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [6, 5, 5]},
            "tie_word_embeddings": True,
            "pad_token_id": special["<|endoftext|>"],
            "bos_token_id": None,
            "eos_token_id": special["<|im_end|>"],
        },
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "out_hidden_size": WIDTH,
            "num_position_embeddings": GRID * GRID,
            # Qwen3-VL feeds early vision layers into early language layers; four layers have nothing early to add.
            "deepstack_visual_indexes": [],
        },
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def build(vocabulary: int, special: dict[str, int], seed: int = 0) -> Qwen3VLForConditionalGeneration:
    """Return an untrained model; equal seeds give equal weights."""
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config(vocabulary, special))
    for block in model.model.language_model.layers:
        # Residual branches start small, so that five layers begin as nearly one.
        nn.init.zeros_(block.self_attn.o_proj.weight)
        nn.init.zeros_(block.mlp.down_proj.weight)
        # Normalised queries and keys of 32 numbers score 5.7 at most: too flat to look one word up among two hundred.
        nn.init.constant_(block.self_attn.q_norm.weight, SHARPNESS)
        nn.init.constant_(block.self_attn.k_norm.weight, SHARPNESS)
    return model

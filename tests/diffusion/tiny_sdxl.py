"""A real SDXL at the smallest size: all seven parts from their own classes, with random weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from diffusion.request import Keyword, Region

WIDTH = 24
POSITIONS = 32
LETTERS = "abcdefghijklmnopqrstuvwxyz,!"


def tokenizer(*, pad: str, positions: int = POSITIONS) -> CLIPTokenizer:
    """A tokenizer of letters; "cat" is c a t</w>, and `pad` may be an ordinary token, as SDXL's second one has it."""
    vocabulary = ["!</w>", *LETTERS, *(f"{c}</w>" for c in LETTERS if c != "!"), "ca", "cat</w>"]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    merges: Any = [("c", "a"), ("ca", "t</w>")]
    ids = {word: i for i, word in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=ids, merges=merges, pad_token=pad, model_max_length=positions)


def text_config(words: Any, projection: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=words.model_max_length,
        projection_dim=projection,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        initializer_range=0.5,
    )


def scheduler(kind: type[Any] = EulerDiscreteScheduler) -> Any:
    extra: dict[str, Any] = {"clip_sample": False} if kind is DDIMScheduler else {}
    return kind(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        **extra,
    )


def build(channels: int = 12, projection: int = 20, positions: int = POSITIONS) -> StableDiffusionXLPipeline:
    torch.manual_seed(0)
    one, two = (tokenizer(pad=pad, positions=positions) for pad in ("<|endoftext|>", "!"))
    unet_config: dict[str, Any] = dict(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=6 * 4 + projection,
        cross_attention_dim=2 * WIDTH,
    )
    unet = UNet2DConditionModel(**unet_config)
    # Layers that start small would let every text look the same.
    for name, parameter in unet.named_parameters():
        if "attn2.to_" in name and name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    vae_config: dict[str, Any] = dict(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=64,
        scaling_factor=0.7,
    )
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL(**vae_config),
        text_encoder=CLIPTextModel(text_config(one, projection)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(two, projection)),
        tokenizer=one,
        tokenizer_2=two,
        unet=unet,
        scheduler=scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


LEFT = Region("left", "a dog", (0.0, 0.0, 0.5, 1.0))
RIGHT = Region("right", "a hen", (0.5, 0.0, 1.0, 1.0))
LIKED = Keyword("gloomy", "atmosphere", 1.0)


def copy_with(folder: Path, place: Path, file: str, **changes: Any) -> Path:
    """Copy a model folder and change one of its JSON files."""
    shutil.copytree(folder, place)
    path = place / file
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    return place

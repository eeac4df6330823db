"""The modules of the pocket SDXL, untrained: SDXL's own classes at a small size."""

from typing import Any

from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pocket.image.tokenizer import POSITIONS

WIDTH = 128
"""Width of each text encoder. Narrower, a prompt's own rows span the whole space and nothing is left off-subject."""
LATENT_CHANNELS = 12
LATENT_SIDE = 16
TIME_IDS = (128, 128, 0, 0, 128, 128)
"""SDXL's micro-conditioning: original size, crop corner, target size; the same for every pocket picture."""


def text_config(tokenizer: CLIPTokenizer, act: str) -> CLIPTextConfig:
    """Return the configuration of one encoder; `act` is its activation, as the two of SDXL differ in it."""
    end: Any = tokenizer.eos_token_id
    start: Any = tokenizer.bos_token_id
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=384,
        projection_dim=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
        hidden_act=act,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )


def text_encoders(tokenizer: CLIPTokenizer) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """Return the two text encoders; both are read at `hidden_states[-2]`, the second one also pooled and projected."""
    return (
        CLIPTextModel(text_config(tokenizer, "quick_gelu")),
        CLIPTextModelWithProjection(text_config(tokenizer, "gelu")),
    )


def unet() -> UNet2DConditionModel:
    """Return the denoiser: cross-attention at 16x16, 8x8 and (middle) 4x4, so that boxes mean something."""
    options: dict[str, Any] = {
        "sample_size": LATENT_SIDE,
        "in_channels": LATENT_CHANNELS,
        "out_channels": LATENT_CHANNELS,
        "block_out_channels": (48, 96, 128),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 2 * WIDTH,
        "attention_head_dim": (3, 6, 8),
        "transformer_layers_per_block": 1,
        "use_linear_projection": True,
        "norm_num_groups": 8,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 16,
        "projection_class_embeddings_input_dim": 6 * 16 + WIDTH,
    }
    return UNet2DConditionModel(**options)


def scheduler() -> DDIMScheduler:
    """Return the sampler: v-prediction with zero terminal SNR, because moods are brightness."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )

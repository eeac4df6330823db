"""From a folder to a stock pipeline on the right device, checked to be an SDXL that can be guided."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from diffusers import StableDiffusionXLPipeline
from safetensors import SafetensorError

from diffusion import weights
from diffusion.attention import cross_attentions
from diffusion.errors import ModelError, WeightsError

Precision = Literal["float32", "float16", "bfloat16"]
DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@contextmanager
def _no_bars() -> Generator[None]:
    """Keep the libraries' loading bars off the caller's terminal, and leave their switches as they were."""
    shown = [m for m in (diffusers.utils.logging, transformers.utils.logging) if m.is_progress_bar_enabled()]
    for module in shown:
        module.disable_progress_bar()
    try:
        yield
    finally:
        for module in shown:
            module.enable_progress_bar()


def load_pipeline(folder: Path, device: str, dtype: Precision | Literal["auto"]) -> StableDiffusionXLPipeline:
    """Return the pipeline of a local folder; arguments and errors as for `GuidedSdxl.load`."""
    variant = weights.check(folder)
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    precision: Precision = ("float32" if where == "cpu" else "float16") if dtype == "auto" else dtype
    try:
        with _no_bars():
            pipe = StableDiffusionXLPipeline.from_pretrained(
                folder,
                dtype=DTYPES[precision],
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                add_watermarker=False,
            )
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder} could not be read ({error}); fetch the model again") from error
    return pipe.to(where)


def check_pipeline(pipe: Any) -> None:
    """Raise `ModelError` unless `pipe` is an SDXL whose texts and attention can be guided."""
    if None in (pipe.text_encoder, pipe.text_encoder_2, pipe.tokenizer, pipe.tokenizer_2):
        raise ModelError("SDXL's two text encoders are needed; this model has one (a refiner cannot be guided)")
    config = pipe.unet.config
    width = pipe.text_encoder.config.hidden_size + pipe.text_encoder_2.config.hidden_size
    if config.addition_embed_type != "text_time" or config.cross_attention_dim not in {width, (width,)}:
        found = f"{config.addition_embed_type!r} conditioning, {config.cross_attention_dim} wide"
        raise ModelError(f"the UNet is not SDXL's: it takes {found}; 'text_time', {width} wide, is needed")
    if config.in_channels != pipe.vae.config.latent_channels:
        raise ModelError(f"the UNet takes {config.in_channels} channels, the VAE has {pipe.vae.config.latent_channels}")
    lengths = (pipe.tokenizer.model_max_length, pipe.tokenizer_2.model_max_length)
    positions = min(e.config.max_position_embeddings for e in (pipe.text_encoder, pipe.text_encoder_2))
    if len(set(lengths)) > 1 or lengths[0] > positions:
        raise ModelError(f"the tokenizers' lengths {lengths} must be equal and at most {positions}")
    cross_attentions(pipe.unet)

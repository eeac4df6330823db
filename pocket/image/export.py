"""Save the trained modules as a folder that stock `StableDiffusionXLPipeline.from_pretrained` loads."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTokenizer

from pocket.image.models import scheduler


@torch.no_grad()
def fold_statistics(vae: AutoencoderKL, means: Tensor, deviations: Tensor) -> None:
    """Make the latents of every channel mean 0 and deviation 1, inside the VAE, changing no reconstruction.

    Stock SDXL pipelines take `latents_mean` of four channels only, so the normalisation goes into the two 1x1
    convolutions between encoder and decoder: `quant_conv` also shifts its log-variance half by -2 log(deviation).

    Args:
        vae: changed in place.
        means: (C,) mean of the posterior means.
        deviations: (C,) their standard deviation.
    """
    inward: Any = vae.quant_conv
    outward: Any = vae.post_quant_conv
    count = len(means)
    inward.weight[:count] /= deviations[:, None, None, None]
    inward.bias[:count] = (inward.bias[:count] - means) / deviations
    inward.bias[count:] -= 2 * deviations.log()
    outward.bias += (outward.weight[:, :, 0, 0] * means[None]).sum(dim=1)
    outward.weight *= deviations[None, :, None, None]


def save_pipeline(
    folder: Path,
    *,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    encoders: tuple[Any, Any],
    tokenizer: CLIPTokenizer,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a complete SDXL folder in the hub's format.

    Args:
        folder: made if missing; files in it are replaced.
        vae: stored in `dtype` like every module; load with an explicit dtype.
        unet: the denoiser.
        encoders: the two text encoders in SDXL's order.
        tokenizer: saved twice, as `tokenizer` and `tokenizer_2`.
        dtype: of the stored weights.
    """
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=cast("Any", scheduler()),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    _store_as(folder, dtype)


def _store_as(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite every safetensors file below `folder` in `dtype`, leaving the live modules in float32."""
    from safetensors.torch import load_file, save_file

    for path in sorted(folder.rglob("*.safetensors")):
        tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
    # transformers loads in the type its config names, diffusers in float32: both must name the same, or the plain stock
    # call mixes the two. Where a module was loaded from is nobody's business.
    for path in sorted(folder.rglob("config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        if "dtype" in config:
            config["dtype"] = "float32"
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

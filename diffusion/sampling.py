"""The denoising loop and the decoding: stock's arithmetic in stock's order, so neutral settings give stock's bits.

Ours differ from the loop inside `StableDiffusionXLPipeline.__call__` in what can happen between two steps: stopping,
showing the predicted picture, holding what an edit must keep, and starting late.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import retrieve_timesteps
from torch import Tensor

from diffusion.errors import GuidanceError, Stopped
from diffusion.guide import Conditioning


@dataclass(frozen=True, eq=False)
class Predicted:
    """One finished step."""

    step: int
    """Counted from 1."""
    steps: int
    clean: Tensor
    """(B, C, h, w) the final latents as the model foresees them; the noisy ones where the scheduler does not say."""


def schedule(pipe: Any, steps: int) -> Tensor:
    """Set the scheduler to `steps` and return its timesteps."""
    try:
        retrieve_timesteps(pipe.scheduler, steps, pipe._execution_device)
    except ValueError as error:
        raise GuidanceError(f"the scheduler refuses {steps} steps: {error}") from error
    if hasattr(pipe.scheduler, "set_begin_index"):
        pipe.scheduler.set_begin_index(0)
    return pipe.scheduler.timesteps


@torch.no_grad()
def denoise(
    pipe: Any,
    conditioning: Conditioning,
    latents: Tensor,
    timesteps: Tensor,
    *,
    cfg: float,
    size: tuple[int, int],
    generator: torch.Generator,
    hold: Callable[[Tensor, int], Tensor] | None = None,
    after: Callable[[Predicted], None] | None = None,
    stop: Event | None = None,
    begin: int = 0,
) -> Tensor:
    """Return the final latents.

    Args:
        pipe: a `StableDiffusionXLPipeline` whose scheduler is set to `timesteps`.
        conditioning: what the texts say.
        latents: (B, C, h, w) at the noise level of `timesteps[begin]`.
        timesteps: of the whole schedule.
        cfg: guidance scale; 1 and below leaves out the negative branch.
        size: (height, width) in pixels.
        generator: for schedulers that draw noise in their steps.
        hold: given the latents after a step and the index of the next, returns those to go on with.
        after: called after each step.
        stop: once set, ends the loop before the next step.
        begin: index of the first step to run, which the scheduler has been told.

    Raises:
        Stopped: `stop` was set.
    """
    unet, scheduler, device = pipe.unet, pipe.scheduler, pipe._execution_device
    count = latents.shape[0]
    guided = is_guided(pipe, cfg)
    texts = [conditioning.embeds.expand(count, -1, -1)]
    pooled = [conditioning.pooled.expand(count, -1)]
    if guided:
        texts.insert(0, conditioning.negative.expand(count, -1, -1))
        pooled.insert(0, conditioning.negative_pooled.expand(count, -1))
    embeds = torch.cat(texts)
    ids = pipe._get_add_time_ids(
        size, (0, 0), size, dtype=embeds.dtype, text_encoder_projection_dim=pipe.text_encoder_2.config.projection_dim
    )
    added = {"text_embeds": torch.cat(pooled), "time_ids": ids.to(device).repeat(len(embeds), 1)}
    distilled = None
    if unet.config.time_cond_proj_dim is not None:  # few-step models take the guidance scale as an input
        width = unet.config.time_cond_proj_dim
        distilled = pipe.get_guidance_scale_embedding(torch.tensor(cfg - 1).repeat(count), embedding_dim=width)
        distilled = distilled.to(device=device, dtype=latents.dtype)
    extra = pipe.prepare_extra_step_kwargs(generator, 0.0)

    steps = len(timesteps) - begin
    for index in range(begin, len(timesteps)):
        if stop is not None and stop.is_set():
            raise Stopped(index - begin, steps)
        t = timesteps[index]
        doubled = torch.cat([latents] * 2) if guided else latents
        prediction = unet(
            scheduler.scale_model_input(doubled, t),
            t,
            encoder_hidden_states=embeds,
            timestep_cond=distilled,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        if guided:
            negative, positive = prediction.chunk(2)
            prediction = negative + cfg * (positive - negative)
        dtype = latents.dtype
        stepped = scheduler.step(prediction, t, latents, **extra, return_dict=False)
        latents = stepped[0].to(dtype)
        if hold is not None:
            latents = hold(latents, index + 1)
        if after is not None:
            after(Predicted(index + 1 - begin, steps, stepped[1].to(dtype) if len(stepped) > 1 else latents))
    if stop is not None and stop.is_set():
        raise Stopped(steps, steps)
    return latents


def is_guided(pipe: Any, cfg: float) -> bool:
    """Return whether a rendering at this scale has a negative branch."""
    return cfg > 1 and pipe.unet.config.time_cond_proj_dim is None


def _statistics(vae: Any, latents: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the latents' (mean, deviation) per channel where the VAE has them, for any number of channels."""
    mean, deviation = getattr(vae.config, "latents_mean", None), getattr(vae.config, "latents_std", None)
    if mean is None or deviation is None:
        return None
    one, two = (torch.tensor(v).view(1, -1, 1, 1).to(latents.device, latents.dtype) for v in (mean, deviation))
    return one, two


@torch.no_grad()
def decode(pipe: Any, latents: Tensor) -> Tensor:
    """Return the (B, 3, H, W) picture of final latents, -1 to 1 or a little over."""
    vae = pipe.vae
    dtype = vae.dtype
    try:
        if dtype == torch.float16 and vae.config.force_upcast:  # SDXL's own VAE overflows in half precision
            vae.to(torch.float32)
        latents = latents.to(vae.dtype)
        known = _statistics(vae, latents)
        if known is None:
            latents = latents / vae.config.scaling_factor
        else:
            latents = latents * known[1] / vae.config.scaling_factor + known[0]
        return vae.decode(latents.to(pipe._execution_device), return_dict=False)[0]
    finally:
        if vae.dtype != dtype:
            vae.to(dtype)


@torch.no_grad()
def encode(pipe: Any, pixels: Tensor) -> Tensor:
    """Return the (B, C, h, w) latents of (B, 3, H, W) pixels in -1 to 1: the mode, not a draw."""
    vae = pipe.vae
    dtype = vae.dtype
    try:
        if dtype == torch.float16 and vae.config.force_upcast:
            vae.to(torch.float32)
        latents = vae.encode(pixels.to(pipe._execution_device, vae.dtype)).latent_dist.mode()
        known = _statistics(vae, latents)
        if known is None:
            return latents * vae.config.scaling_factor
        return (latents - known[0]) * vae.config.scaling_factor / known[1]
    finally:
        if vae.dtype != dtype:
            vae.to(dtype)

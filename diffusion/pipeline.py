"""Guided SDXL: the one class through which a picture is rendered or edited, around a stock diffusers pipeline."""

import platform
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import diffusers
import torch
import transformers
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from torch import Tensor

from diffusion import regions, sampling, weights
from diffusion.attention import coarsest_level, regional_attention
from diffusion.edit import Kept, checked_latents, first_step, latent_mask, paste
from diffusion.errors import GuidanceError, Stopped
from diffusion.guide import Conditioning, condition
from diffusion.loading import Precision, check_pipeline, load_pipeline
from diffusion.noise import starting_noise
from diffusion.preview import Previewer
from diffusion.request import EditRequest, RenderRequest
from diffusion.text import TextEncoder


@dataclass(frozen=True, eq=False)
class StepInfo:
    """Progress: one denoising step is done."""

    step: int
    """Counted from 1."""
    steps: int
    preview: Image.Image | None
    """What the picture will roughly be; None unless previews were asked for."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """A picture and how it came about."""

    image: Image.Image
    latents: Tensor
    """(C, h, w) float32 on the CPU: the final latents, for later edits."""
    report: dict[str, Any]
    """What the guidance did, JSON-ready: shares, cut texts, ignored keywords, notes, K/V bytes, steps run."""
    seconds: float


OnStep = Callable[[StepInfo], None]


def _raise_if_set(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Stopped(0, 0)


class GuidedSdxl:
    """An SDXL pipeline that follows keywords and boxes. Renders one picture at a time, from any thread."""

    def __init__(self, pipe: StableDiffusionXLPipeline, folder: Path | None = None) -> None:
        self.pipe: Any = pipe
        self.folder = folder
        check_pipeline(pipe)
        pipe.set_progress_bar_config(disable=True)
        self.encode = TextEncoder(pipe)
        self._previewer = Previewer(pipe)
        self._busy = threading.Lock()

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "auto",
        dtype: Precision | Literal["auto"] = "auto",
    ) -> Self:
        """Load a local folder in diffusers' format.

        Args:
            folder: holds model_index.json and the components.
            device: "auto" is the GPU where there is one, else the CPU.
            dtype: "auto" is float16 on a GPU and float32 on a CPU.

        Raises:
            WeightsError: a folder or file is missing or broken.
            ModelError: it is not an SDXL this package can guide.
        """
        return cls(load_pipeline(Path(folder), device, dtype), Path(folder))

    @property
    def default_size(self) -> tuple[int, int]:
        """Width and height in pixels the model was trained for."""
        sample = self.pipe.default_sample_size
        rows, columns = (sample, sample) if isinstance(sample, int) else sample
        return columns * self.pipe.vae_scale_factor, rows * self.pipe.vae_scale_factor

    @property
    def max_tokens(self) -> int:
        """Tokens a text may have before it is cut."""
        return self.encode.max_tokens

    def tokens(self, text: str) -> int:
        """Return how many tokens `text` has."""
        return self.encode.tokens(text)

    @cached_property
    def cell(self) -> int:
        """Pixels a side of the coarsest cell in which texts act; smaller boxes cannot be told apart everywhere."""
        return self.pipe.vae_scale_factor * 2 ** coarsest_level(self.pipe.unet)

    @cached_property
    def digests(self) -> dict[str, str]:
        """The sha256 of every weight file; reads all of them once."""
        return weights.digests(self.folder) if self.folder is not None else {}

    @property
    def info(self) -> dict[str, Any]:
        """Everything beside the request that a picture's bits depend on, JSON-ready."""
        device = self.pipe._execution_device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
        return {
            "weights": self.digests,
            "versions": {m.__name__: m.__version__ for m in (torch, diffusers, transformers)},
            "threads": torch.get_num_threads(),
            "dtype": str(self.pipe.unet.dtype).removeprefix("torch."),
            "device": device.type,
            "machine": f"{name} {torch.backends.cpu.get_cpu_capability()}",
            "scheduler": type(self.pipe.scheduler).__name__,
        }

    def render(
        self,
        request: RenderRequest,
        on_step: OnStep | None = None,
        stop: threading.Event | None = None,
        previews: bool = False,
    ) -> Rendered:
        """Render `request`.

        Args:
            request: what to draw.
            on_step: called after every step, from the calling thread.
            stop: once set, the rendering ends within one step.
            previews: whether `on_step` gets pictures.

        Raises:
            GuidanceError: the request does not fit this model.
            Stopped: `stop` was set. As after every error, the pipeline is left as it was.
        """
        started = time.perf_counter()
        with self._session(stop):
            conditioning = self._condition(request)
            timesteps = sampling.schedule(self.pipe, request.steps)
            noise, generator = self._noise(request, conditioning)
            latents = noise * self.pipe.scheduler.init_noise_sigma
            final = self._denoise(request, conditioning, latents, timesteps, generator, on_step, stop, previews)
            image = self._image(final)
        return self._rendered(image, final, conditioning.report, started)

    def edit(
        self,
        edited: EditRequest,
        on_step: OnStep | None = None,
        stop: threading.Event | None = None,
        previews: bool = False,
    ) -> Rendered:
        """Render `edited.request` inside the mask; where the mask is 0 every pixel is the parent's.

        Arguments and errors as for `render`.
        """
        started = time.perf_counter()
        request, pipe = edited.request, self.pipe
        with self._session(stop):
            conditioning = self._condition(request)
            timesteps = sampling.schedule(pipe, request.steps)
            noise, generator = self._noise(request, conditioning)
            kept = Kept(
                scheduler=pipe.scheduler,
                timesteps=timesteps,
                parent=self._parent(edited, noise),
                noise=noise,
                inside=latent_mask(edited.mask, pipe.vae_scale_factor).to(noise.device),
                begin=first_step(len(timesteps), edited.strength, pipe.scheduler.order),
            )
            latents = kept.start()
            final = self._denoise(
                request, conditioning, latents, timesteps, generator, on_step, stop, previews, kept=kept
            )
            image = paste(self._image(final), edited.parent_image, edited.mask)
        return self._rendered(image, final, conditioning.report, started)

    def latents_of(self, image: Image.Image) -> Tensor:
        """Return the (C, h, w) float32 latents of a picture that was not rendered here."""
        pixels = self.pipe.image_processor.preprocess(image.convert("RGB"))
        return sampling.encode(self.pipe, pixels)[0].float().cpu()

    @contextmanager
    def _session(self, stop: threading.Event | None) -> Generator[None]:
        """One rendering at a time; whatever happens inside, offloaded models go home."""
        while not self._busy.acquire(timeout=0.1):
            _raise_if_set(stop)
        try:
            _raise_if_set(stop)
            yield
        finally:
            self.pipe.maybe_free_model_hooks()
            self._busy.release()

    def _condition(self, request: RenderRequest) -> Conditioning:
        cell = self.pipe.vae_scale_factor
        if request.width % cell or request.height % cell:
            raise GuidanceError(f"width and height must be divisible by {cell}, got {request.width} x {request.height}")
        with torch.no_grad():
            conditioning = condition(self.encode, request)
        conditioning.report["notes"] = self._notes(request)
        return conditioning

    def _notes(self, request: RenderRequest) -> list[str]:
        notes: list[str] = []
        for region in request.regions:
            sides = (region.box[2] - region.box[0]) * request.width, (region.box[3] - region.box[1]) * request.height
            if min(sides) < self.cell:
                notes.append(
                    f"region {region.name!r} is narrower than one {self.cell} px cell of the coarsest attention"
                )
        if request.cfg <= 1 and any(k.weight < 0 for k in request.keywords):
            notes.append("dislikes act through the negative branch, which a guidance scale of 1 or below leaves out")
        return notes

    def _noise(self, request: RenderRequest, conditioning: Conditioning) -> tuple[Tensor, torch.Generator]:
        cell, device = self.pipe.vae_scale_factor, self.pipe._execution_device
        shape = (1, self.pipe.unet.config.in_channels, request.height // cell, request.width // cell)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        dtype = conditioning.embeds.dtype
        return starting_noise(shape, generator, request.regions, dtype=dtype, device=device), generator

    def _parent(self, edited: EditRequest, noise: Tensor) -> Tensor:
        shape = (noise.shape[1], noise.shape[2], noise.shape[3])
        latents = self.latents_of(edited.parent_image) if edited.parent_latents is None else edited.parent_latents
        return checked_latents(latents, shape).to(noise.device, noise.dtype)

    def _denoise(
        self,
        request: RenderRequest,
        conditioning: Conditioning,
        latents: Tensor,
        timesteps: Tensor,
        generator: torch.Generator,
        on_step: OnStep | None,
        stop: threading.Event | None,
        previews: bool,
        *,
        kept: Kept | None = None,
    ) -> Tensor:
        def after(done: sampling.Predicted) -> None:
            if on_step is None:
                return
            clean = done.clean if kept is None else torch.where(kept.inside, done.clean, kept.parent)
            on_step(StepInfo(done.step, done.steps, self._previewer(clean) if previews else None))

        begin = 0 if kept is None else kept.begin
        conditioning.report["steps"] = len(timesteps) - begin
        with self._regional(request, conditioning):
            return sampling.denoise(
                self.pipe,
                conditioning,
                latents,
                timesteps,
                cfg=request.cfg,
                size=(request.height, request.width),
                generator=generator,
                hold=None if kept is None else kept.hold,
                after=after,
                stop=stop,
                begin=begin,
            )

    @contextmanager
    def _regional(self, request: RenderRequest, conditioning: Conditioning) -> Generator[None]:
        """Install regional attention where there is something for it to do."""
        conditioning.report["kv_bytes"] = 0
        if conditioning.components is None:
            yield
            return
        guidance = request.guidance
        boxes, size = [r.box for r in request.regions], (request.width, request.height)
        cell = self.pipe.vae_scale_factor
        owned = regions.ownership(boxes, *size, guidance.feather, cell)
        hidden = [r.name for r, part in zip(request.regions, owned, strict=False) if part.sum() < 1.0]
        conditioning.report["notes"] += [f"region {name!r} is hidden behind others" for name in hidden]
        maps = regions.pyramid(owned, *size, cell, len(self.pipe.unet.config.block_out_channels))
        guided = sampling.is_guided(self.pipe, request.cfg)
        with regional_attention(
            self.pipe.unet, conditioning.components, maps, base_ratio=guidance.base_ratio, guided=guided
        ) as taken:
            conditioning.report["kv_bytes"] = taken
            yield

    def _image(self, latents: Tensor) -> Image.Image:
        return self.pipe.image_processor.postprocess(sampling.decode(self.pipe, latents), output_type="pil")[0]

    def _rendered(self, image: Image.Image, final: Tensor, report: dict[str, Any], started: float) -> Rendered:
        return Rendered(image, final[0].float().cpu(), report, time.perf_counter() - started)

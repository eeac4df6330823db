"""`generate_image`: turn a recipe into a picture. Nothing else in the project calls the image model.

What the taste does, by category: likes of the recipe's `in_prompt` categories whose weight is at least `WRITTEN_FROM`
are written into the prompts (things to be seen belong to the scene); all other likes, and every like weighted above 1,
act through the projection; dislikes act through the negative branch.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffusion.errors import GuidanceError, ModelError, Stopped, WeightsError
from tools.errors import ConfigError, ToolError
from tools.recipe import Recipe
from tools.taste import Keyword
from tools.types import Category, Layout, Region, at

if TYPE_CHECKING:
    from diffusion.pipeline import Rendered, StepInfo
    from diffusion.request import EditRequest, RenderRequest

WRITTEN_FROM = 0.75
"""A like weaker than this is not written into the prompt: words there have no volume control."""
LOOKS: Final[tuple[Category, ...]] = ("artistic_style", "atmosphere")
"""Categories of how things look rather than what is to be seen; written likes of these also enter the regions."""


class Painter(Protocol):
    """A guided SDXL, large or pocket."""

    @property
    def info(self) -> dict[str, Any]: ...

    @property
    def cell(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    def tokens(self, text: str) -> int: ...

    def render(
        self,
        request: "RenderRequest",
        on_step: "Callable[[StepInfo], None] | None" = None,
        stop: threading.Event | None = None,
        previews: bool = False,
    ) -> "Rendered": ...

    def edit(
        self,
        edited: "EditRequest",
        on_step: "Callable[[StepInfo], None] | None" = None,
        stop: threading.Event | None = None,
        previews: bool = False,
    ) -> "Rendered": ...


class Parent(NamedTuple):
    """The picture an edit starts from."""

    image: Image.Image
    latents: NDArray[np.float32]
    """(C, h, w) final latents."""


class Painted(NamedTuple):
    """A picture, its latents, and what the guidance reports."""

    image: Image.Image
    latents: NDArray[np.float32]
    report: dict[str, Any]
    seconds: float


class StoppedError(Exception):
    """The person asked to stop, and the painting did."""


def painter_from(folder: Path, device: str, dtype: Literal["auto", "float32", "float16", "bfloat16"]) -> Painter:
    """Load an SDXL from a local folder.

    Raises:
        ConfigError: it is missing, incomplete, or not an SDXL.
    """
    from diffusion.pipeline import GuidedSdxl

    try:
        return cast("Painter", GuidedSdxl.load(folder, device=device, dtype=dtype))
    except (WeightsError, ModelError) as error:
        raise ConfigError(str(error)) from error


def request_of(recipe: Recipe) -> "RenderRequest":
    """Translate a recipe into what the core takes."""
    from diffusion import request as core

    layout, likes = recipe.layout, recipe.taste.likes
    written = [k for k in likes if k.category in recipe.in_prompt and k.weight >= WRITTEN_FROM]
    looks = [k for k in written if k.category in LOOKS]
    guided = [k for k in recipe.taste.in_order() if k not in written or k.weight > 1.0]
    strengths, sampling = recipe.strengths, recipe.sampling
    return core.RenderRequest(
        prompt=_joined(layout.enriched_prompt, written),
        background=_joined(layout.background_prompt, written) or recipe.empty_background,
        regions=tuple(
            core.Region(r.name, _region_prompt(r, recipe, looks), r.box.edges, r.seed) for r in layout.regions
        ),
        keywords=tuple(core.Keyword(k.text, k.category, k.weight) for k in guided),
        guidance=core.Guidance(
            mode=strengths.mode,
            alpha=strengths.alpha,
            pooled_strength=strengths.pooled_strength,
            move_padding=strengths.move_padding,
            base_ratio=strengths.base_ratio,
            feather=strengths.feather,
            min_cosine=strengths.min_cosine,
        ),
        steps=sampling.steps,
        cfg=sampling.cfg,
        width=sampling.width,
        height=sampling.height,
        seed=recipe.seed,
        negative_prompt=recipe.negative_prompt,
    )


def paint(
    painter: Painter,
    recipe: Recipe,
    parent: Parent | None = None,
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: threading.Event | None = None,
    previews: bool = False,
) -> Painted:
    """Render a recipe; blocking.

    Args:
        painter: the image model.
        recipe: what to render.
        parent: the picture that is edited; needed exactly where the recipe has an `edit`.
        on_step: told after every denoising step, from this thread.
        stop: ends the painting within one step once set.
        previews: whether `on_step` gets pictures.

    Raises:
        ToolError: the request cannot be rendered as it stands.
        ConfigError: the weights are missing or of a wrong kind.
        StoppedError: `stop` was set.
    """
    if (recipe.edit is None) != (parent is None):
        raise ValueError("a parent is needed exactly where the recipe has an edit")
    try:
        request = request_of(recipe)
        if recipe.edit is None or parent is None:
            done = painter.render(request, on_step, stop, previews)
        else:
            done = painter.edit(_edit_request(recipe, request, parent), on_step, stop, previews)
    except GuidanceError as error:
        raise ToolError(f"this cannot be painted: {error}") from error
    except (WeightsError, ModelError) as error:
        raise ConfigError(str(error)) from error
    except Stopped as error:
        raise StoppedError(str(error)) from error
    return Painted(done.image, done.latents.numpy(), done.report, done.seconds)


def _edit_request(recipe: Recipe, request: "RenderRequest", parent: Parent) -> "EditRequest":
    import torch

    from diffusion.regions import mask_for_boxes
    from diffusion.request import EditRequest

    assert recipe.edit is not None
    boxes = [box.edges for box in recipe.edit.boxes]
    sampling = recipe.sampling
    return EditRequest(
        request=request,
        parent_image=parent.image,
        mask=mask_for_boxes(boxes, sampling.width, sampling.height, recipe.edit.feather),
        parent_latents=torch.from_numpy(parent.latents),
        strength=recipe.edit.strength,
    )


def _region_prompt(region: Region, recipe: Recipe, looks: list[Keyword]) -> str:
    """Return a region's text, with the written likes of how things look, for style and light to agree everywhere.

    A model that learned scenes as a whole puts a subject where its own text says it is: hence the place, if wanted.
    """
    text = f"{region.prompt} {at(region.box.place)}" if recipe.place_in_regions else region.prompt
    return _joined(text, looks)


def _joined(text: str, written: list[Keyword]) -> str:
    return ", ".join(part for part in (text.strip().rstrip("."), *(k.text for k in written)) if part)


def seed_after(seed: int, number: int) -> int:
    """Return the seed of the n-th picture of a conversation: far apart, and the same on every machine."""
    return (seed + 1_000_003 * number) % 2**32


def layout_of_prompt(prompt: str, background: str = "") -> Layout:
    """Return a layout without boxes: guidance by the words alone."""
    return Layout(enriched_prompt=prompt, background_prompt=background)

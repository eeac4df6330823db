"""Everything that decides a picture, as one frozen value: equal recipe, equal picture. Its digest names the file."""

import hashlib
from typing import Literal

from pydantic import Field

from tools.taste import TasteCard
from tools.types import Box, Category, Digest, Fraction, ImageId, Layout, Value

RECIPE_VERSION = 1
"""Raised when an older recipe would no longer give the same picture."""

Mode = Literal["none", "row", "centred"]


class Strengths(Value):
    """How strongly taste and boxes act; resolved numbers, never names of presets."""

    mode: Mode = "centred"
    alpha: float = Field(default=0.6, ge=0.0, le=4.0, description="Turn of the text rows towards the taste.")
    pooled_strength: float = Field(default=0.6, ge=0.0, le=4.0, description="The same for the pooled vector.")
    move_padding: bool = Field(default=True, description="Whether the end and padding rows move too.")
    base_ratio: Fraction = Field(default=0.3, description="Share of the global prompt in regional attention (lambda).")
    feather: float = Field(default=4.0, ge=0.0, le=256.0, description="Soft edge of the boxes, in pixels.")
    min_cosine: float = Field(default=0.5, ge=-1.0, le=1.0, description="A row may not turn further than this.")


class Sampling(Value):
    """How the picture is denoised."""

    sampler: str = Field(default="", max_length=60, description="Scheduler class of the model folder.")
    steps: int = Field(default=20, ge=1, le=200)
    cfg: float = Field(default=4.0, ge=0.0, le=30.0)
    width: int = Field(default=128, ge=64, le=2048, multiple_of=8)
    height: int = Field(default=128, ge=64, le=2048, multiple_of=8)


class Edit(Value):
    """Repaint inside the boxes, keep every pixel outside bit-equal to the parent."""

    boxes: tuple[Box, ...] = Field(min_length=1, max_length=32)
    strength: Fraction = Field(default=1.0, description="1 repaints from pure noise inside the mask.")
    feather: float = Field(default=4.0, ge=0.0, le=256.0, description="Soft edge of the mask, in pixels.")


class ModelFile(Value):
    """One weight file, by content."""

    name: str
    sha256: str


class Recipe(Value):
    """The request, the models and the ancestry of one picture."""

    version: int = RECIPE_VERSION
    layout: Layout
    taste: TasteCard = TasteCard()
    in_prompt: tuple[Category, ...] = Field(default=(), description="Categories whose likes are written in the prompt.")
    empty_background: str = Field(default="", max_length=100, description="Stands in for a background without words.")
    place_in_regions: bool = Field(default=False, description="Whether a region's own prompt says where it lies.")
    strengths: Strengths = Strengths()
    sampling: Sampling = Sampling()
    seed: int = Field(ge=0, lt=2**32)
    negative_prompt: str = Field(default="", max_length=1000)
    parent: Digest | None = Field(default=None, description="Digest of the recipe this one edits.")
    edit: Edit | None = None
    sources: tuple[Digest, ...] = Field(default=(), description="Uploaded pictures whose taste went in, by content.")
    models: tuple[ModelFile, ...] = ()

    @property
    def digest(self) -> str:
        """Sixteen hex digits that name this recipe and its files."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class ImageRecord(Value):
    """A node of the image tree."""

    id: ImageId
    parent: ImageId | None = None
    recipe: Recipe
    path: str = Field(description="PNG, relative to the data folder.")
    latents_path: str = Field(description="Final latents, relative to the data folder.")
    seconds: float = Field(ge=0.0)
    turn: int = Field(ge=0)

    @property
    def phrase(self) -> str:
        """One line for digests: "red circle left; gloomy, halftone"."""
        looks = ", ".join(k.text for k in self.recipe.taste.in_order() if k.weight > 0)
        return "; ".join(part for part in (self.recipe.layout.phrase, looks) if part)

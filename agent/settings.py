"""Every setting, built once and passed down; nothing else reads the environment.

A profile is a set of defaults. Environment variables (`ATTUNE_ALPHA=0.8`, `ATTUNE_IMAGE_MODEL=/models/sdxl`) and
arguments override it.
"""

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tools.errors import ConfigError
from tools.recipe import Mode, Sampling, Strengths
from tools.types import CATEGORIES, Category, Fraction

ROOT = Path(__file__).parents[1]
HOME = Path(platformdirs.user_data_dir("attune", appauthor=False))
MODELS = HOME / "models"


class Settings(BaseSettings):
    """What can be set; the defaults here are those of every profile."""

    model_config = SettingsConfigDict(env_prefix="ATTUNE_", extra="forbid", frozen=True)

    profile: str
    data: Path = HOME
    """Where pictures, conversations and the taste card are kept."""
    pack: str
    """The prompt pack, by model family."""

    chat_model: Path
    """Folder of a Qwen-VL model, in the hub's format; unused when a server is named."""
    chat_server: str | None = None
    """Address of an OpenAI-compatible server that runs the reasoning model."""
    chat_server_model: str = "Qwen/Qwen3-VL-8B-Instruct"
    chat_server_key: SecretStr = SecretStr("none")
    max_new_tokens: int = Field(ge=32)
    """Tokens of a reply of the reasoning model, its thought included."""
    max_thought_tokens: int = Field(ge=8)
    """Where a thought is closed by force; in process only."""
    image_model: Path
    """Folder of an SDXL model, in diffusers' format."""
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    """Threads of the models on a CPU; a replay is only promised to be equal with the same number."""

    width: int
    height: int
    steps: int
    cfg: float
    mode: Mode = "centred"
    alpha: float
    pooled_strength: float
    move_padding: bool = True
    base_ratio: Fraction
    feather: float
    min_cosine: float
    edit_strength: Fraction = 1.0
    """1 repaints an edited place from pure noise."""
    in_prompt: tuple[Category, ...] = ("theme", "visual_elements")
    """Likes of these categories are written into the prompt; the others act through the projection alone."""
    empty_background: str = ""

    place_in_regions: bool = False
    """Whether the prompt of a region also says where it lies."""
    edit_margin: Fraction = 0.02
    """How far an edit reaches beyond its boxes on each side, in shares of the canvas: subjects overstep their boxes."""

    max_rounds: int = Field(default=8, ge=1)
    """Tool calls a turn."""
    max_seconds: float = Field(default=600.0, gt=0)
    """Seconds a turn; no new step begins after that."""
    max_images: int = Field(default=2, ge=1)
    """Pictures a turn: people judge faster than a critic, so one automatic retry."""
    max_regions: int = 5
    max_message_chars: int = 4000
    max_attachments: int = 4
    max_upload_bytes: int = 20_000_000
    max_upload_pixels: int = 40_000_000
    """Above this a picture is refused before decoding."""
    reference_side: int
    """Attachments are scaled down to this many pixels on their long side."""
    styles: int
    atmospheres: int
    themes: int
    elements: int
    """Likes kept in each category of the card; the newest win."""
    remember_taste: bool = True
    """Whether a new conversation starts with the taste card of the last."""

    @property
    def strengths(self) -> Strengths:
        return Strengths(
            mode=self.mode,
            alpha=self.alpha,
            pooled_strength=self.pooled_strength,
            move_padding=self.move_padding,
            base_ratio=self.base_ratio,
            feather=self.feather,
            min_cosine=self.min_cosine,
        )

    @property
    def sampling(self) -> Sampling:
        return Sampling(steps=self.steps, cfg=self.cfg, width=self.width, height=self.height)

    @property
    def limits(self) -> dict[Category, int]:
        """How many likes each category of the card holds."""
        return {
            "artistic_style": self.styles,
            "atmosphere": self.atmospheres,
            "theme": self.themes,
            "visual_elements": self.elements,
        }


class PocketSettings(Settings):
    """The embedded models: no GPU, no network."""

    profile: str = "pocket"
    pack: str = "pocket"
    chat_model: Path = ROOT / "pocket" / "weights" / "vlm"
    max_new_tokens: int = 400
    max_thought_tokens: int = 48
    image_model: Path = ROOT / "pocket" / "weights" / "sdxl"
    width: int = 128
    height: int = 128
    steps: int = 20
    cfg: float = 4.0
    alpha: float = 0.8
    pooled_strength: float = 0.8
    base_ratio: Fraction = 0.2
    feather: float = 4.0
    min_cosine: float = 0.3
    in_prompt: tuple[Category, ...] = CATEGORIES
    """Measured: at this size words hit a wished look more often than the projection does, and keep the subjects."""
    place_in_regions: bool = True
    edit_margin: Fraction = 0.04
    empty_background: str = "plain"
    """The word of this model's training for a ground without anything on it."""
    reference_side: int = 128
    styles: int = 1
    atmospheres: int = 1
    themes: int = 1
    elements: int = 2


class SdxlSettings(Settings):
    """Full-size models from local folders, or a server for the reasoning."""

    profile: str = "sdxl"
    pack: str = "qwen"
    chat_model: Path = MODELS / "Qwen3-VL-8B-Instruct"
    max_new_tokens: int = 2048
    max_thought_tokens: int = 768
    image_model: Path = MODELS / "stable-diffusion-xl-base-1.0"
    width: int = 1024
    height: int = 1024
    steps: int = 30
    cfg: float = 5.0
    alpha: float = 0.6
    pooled_strength: float = 0.6
    base_ratio: Fraction = 0.3
    feather: float = 32.0
    min_cosine: float = 0.5
    reference_side: int = 1024
    styles: int = 3
    atmospheres: int = 3
    themes: int = 3
    elements: int = 4


PROFILES: dict[str, type[Settings]] = {"pocket": PocketSettings, "sdxl": SdxlSettings}


class _Choice(BaseSettings):
    """Reads the profile's name alone."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="ATTUNE_", extra="ignore")
    profile: str = "pocket"


def load_settings(profile: str | None = None, **overrides: Any) -> Settings:
    """Return the settings of a profile.

    Args:
        profile: a key of `PROFILES`; else the environment's, else "pocket".
        overrides: fields of `Settings`; None leaves a field alone.

    Raises:
        ConfigError: an unknown profile or a value out of range.
    """
    name = profile or _Choice().profile
    if name not in PROFILES:
        raise ConfigError(f"there is no profile {name!r}; known are {', '.join(PROFILES)}")
    try:
        return PROFILES[name](**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"setting {where!r}: {first['msg']}, got {first.get('input')!r}") from error


def prepare_libraries(settings: Settings) -> None:
    """Tell the model libraries how to behave: quiet, local files only, so many threads. Effective before they load."""
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "DIFFUSERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        os.environ.setdefault(name, value)
    if settings.threads:
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)

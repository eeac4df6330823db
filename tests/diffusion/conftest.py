"""The tiny SDXL saved to disk and loaded from there, so that every test goes through the loading path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from diffusion.pipeline import GuidedSdxl
from diffusion.request import Guidance, RenderRequest
from tests.diffusion.tiny_sdxl import build, scheduler


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("weights") / "sdxl"
    build().save_pretrained(place, max_shard_size="100KB")
    return place


@pytest.fixture(scope="session")
def loaded(folder: Path) -> GuidedSdxl:
    return GuidedSdxl.load(folder, device="cpu")


@pytest.fixture
def sdxl(loaded: GuidedSdxl) -> GuidedSdxl:
    """The tiny pipeline with its own scheduler again, whatever the test before did."""
    loaded.pipe.scheduler = scheduler()
    return loaded


@pytest.fixture(scope="session")
def stock(folder: Path) -> StableDiffusionXLPipeline:
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def ask() -> Callable[..., RenderRequest]:
    """A small request with every mechanism off; keyword arguments switch on."""

    def make(**changes: Any) -> RenderRequest:
        neutral = Guidance(mode="centred", alpha=0.0, pooled_strength=0.0, base_ratio=0.2, feather=0.0)
        plain: dict[str, Any] = {
            "prompt": "a cat",
            "guidance": neutral,
            "steps": 4,
            "width": 64,
            "height": 64,
            "seed": 3,
        }
        return RenderRequest(**{**plain, **changes})

    return make

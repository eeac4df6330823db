"""Broken and foreign model folders: each says what is wrong and what to do, before anything heavy is read."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion.errors import ModelError, WeightsError
from diffusion.pipeline import GuidedSdxl
from diffusion.request import Guidance, RenderRequest
from diffusion.weights import check, digests
from tests.diffusion.tiny_sdxl import LEFT, LIKED, RIGHT, copy_with


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no image model at .*give the path"):
        GuidedSdxl.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("unet/diffusion_pytorch_model-00002-of-*.safetensors", "lacks .*00002"),
        ("unet/config.json", "config.json is missing"),
        ("text_encoder/model.safetensors", "no .safetensors weights"),
        ("scheduler/scheduler_config.json", "scheduler_config.json is missing"),
        ("tokenizer_2/tokenizer.json", "no tokenizer"),
    ],
)
def test_a_missing_file_is_named(copy: Path, file: str, reason: str) -> None:
    for found in list(copy.glob(file)):
        found.unlink()
    with pytest.raises(WeightsError, match=reason):
        GuidedSdxl.load(copy)


def test_a_cut_off_file(copy: Path) -> None:
    file = copy / "text_encoder" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(WeightsError, match="could not be read"):
        GuidedSdxl.load(copy)


def test_an_unreadable_index(copy: Path) -> None:
    (copy / "model_index.json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="not readable"):
        GuidedSdxl.load(copy)


def test_another_kind_of_model(folder: Path, tmp_path: Path) -> None:
    other = copy_with(folder, tmp_path / "other", "model_index.json", _class_name="StableDiffusionPipeline")
    with pytest.raises(ModelError, match="only SDXL"):
        GuidedSdxl.load(other)


def test_half_precision_files_are_found_by_their_names(copy: Path) -> None:
    assert check(copy) is None
    for part in ("text_encoder", "text_encoder_2"):
        (copy / part / "model.safetensors").rename(copy / part / "model.fp16.safetensors")
    assert check(copy) == "fp16"


def test_digests_are_those_of_the_files(folder: Path) -> None:
    found = digests(folder)
    name = "text_encoder/model.safetensors"
    assert found[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert len(found) == len(list(folder.rglob("*.safetensors")))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_renders_and_the_vae_returns_to_it(
    folder: Path, ask: Callable[..., RenderRequest], dtype: Any
) -> None:
    sdxl = GuidedSdxl.load(folder, device="cpu", dtype=dtype)
    assert sdxl.info["dtype"] == dtype
    made = sdxl.render(ask(regions=(LEFT, RIGHT), keywords=(LIKED,), guidance=Guidance()))
    assert bool(torch.isfinite(made.latents).all())
    assert sdxl.pipe.vae.dtype == sdxl.pipe.unet.dtype

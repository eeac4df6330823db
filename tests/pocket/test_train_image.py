"""The pocket SDXL trains, resumes, exports and loads by the stock call; its VAE's statistics fold away exactly."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch import nn

from pocket.image.export import fold_statistics
from pocket.train.loop import Average, Budget, Run
from pocket.train.muon import orthogonalise
from pocket.train.vae import build


def train(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pocket.train.image", "--smoke", "--threads", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    build().save_pretrained(folder / "vae")
    train("--vae", str(folder), "--out", str(folder / "out"))
    return folder / "out"


def test_the_smoke_run_leaves_a_pipeline_for_the_plain_stock_call(trained: Path) -> None:
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(trained / "sdxl")

    image = pipeline("a red circle", num_inference_steps=2, guidance_scale=3.0, output_type="np").images[0]

    assert image.shape == (128, 128, 3)


def test_training_goes_on_from_the_weights_alone(trained: Path, tmp_path: Path) -> None:
    printed = train("--init", str(trained / "sdxl"), "--out", str(tmp_path))

    assert "unet 5/5" in printed
    assert "text" not in printed, "the text encoders come from the pipeline"
    assert (tmp_path / "sdxl" / "unet" / "diffusion_pytorch_model.safetensors").exists()


def test_folded_statistics_change_no_reconstruction_and_normalise_the_latents() -> None:
    torch.manual_seed(0)
    vae: Any = build().eval()
    pictures = torch.rand(4, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        before = vae.encode(pictures).latent_dist
        drawn = vae.decode(before.mean).sample
        means, deviations = before.mean.mean((0, 2, 3)), before.mean.std((0, 2, 3))

        fold_statistics(vae, means, deviations)
        after = vae.encode(pictures).latent_dist
        drawn_after = vae.decode(after.mean).sample

    torch.testing.assert_close(after.mean.mean((0, 2, 3)), torch.zeros(12), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.mean.std((0, 2, 3)), torch.ones(12), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std * deviations[None, :, None, None], before.std, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(drawn_after, drawn, atol=1e-4, rtol=1e-4)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    turned = orthogonalise(torch.randn(3, 48, 200))

    values = torch.linalg.svdvals(turned)

    assert values.min() > 0.3
    assert values.max() < 1.3


def run_of(folder: Path) -> Run:
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    return Run(
        name="line",
        folder=folder,
        modules={"layer": layer},
        optimisers=[torch.optim.AdamW(layer.parameters(), lr=0.1)],
        budget=Budget(steps=20, learning_rate=0.1, warmup=2),
        average=Average(layer.parameters(), 0.9),
    )


def test_a_run_that_was_stopped_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    def loss_for(run: Run, stop_at: int) -> None:
        def loss(step: int) -> tuple[torch.Tensor, dict[str, float]]:
            run.stopped = step + 1 >= stop_at
            given = torch.full((4, 3), float(step % 5))
            return run.modules["layer"](given).square().mean(), {}

        run.train(loss)

    whole = run_of(tmp_path / "whole")
    loss_for(whole, 20)
    first = run_of(tmp_path / "parts")
    loss_for(first, 7)
    second = run_of(tmp_path / "parts")

    assert second.resume()
    loss_for(second, 20)

    assert (first.step, second.step, whole.step) == (7, 20, 20)
    weights = (r.modules["layer"].get_parameter("weight") for r in (whole, second))
    assert torch.equal(*weights)


def test_a_gradient_that_is_not_finite_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    run = run_of(tmp_path)

    with pytest.raises(FloatingPointError, match="step 0"):
        run.train(lambda _: (run.modules["layer"](torch.full((1, 3), float("inf"))).sum(), {}))

    assert run.checkpoint.exists()

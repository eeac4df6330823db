"""Edits: the rest is kept bit for bit, and re-noising follows the scheduler's own trajectory."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from diffusion.edit import first_step, latent_mask, paste, renoised
from diffusion.errors import GuidanceError, Stopped
from diffusion.pipeline import GuidedSdxl, Rendered, StepInfo
from diffusion.regions import mask_for_boxes
from diffusion.request import EditRequest, RenderRequest
from tests.diffusion.tiny_sdxl import LEFT, RIGHT, scheduler

Ask = Callable[..., RenderRequest]
BOX = (0.3, 0.2, 0.7, 0.6)
MASK = mask_for_boxes([BOX], 64, 64, 4.0)


@pytest.fixture
def parent(sdxl: GuidedSdxl, ask: Ask) -> Rendered:
    return sdxl.render(ask())


def difference(one: Rendered, other: Rendered) -> Any:
    return np.abs(np.asarray(one.image, dtype=int) - np.asarray(other.image, dtype=int)).max(-1)


KINDS = [EulerDiscreteScheduler, DDIMScheduler, DPMSolverMultistepScheduler]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_outside_the_mask_every_bit_is_the_parents(
    sdxl: GuidedSdxl, ask: Ask, parent: Rendered, kind: type[Any], strength: float
) -> None:
    sdxl.pipe.scheduler = scheduler(kind)
    request = ask(prompt="a hen", regions=(LEFT, RIGHT), seed=8)
    edited = sdxl.edit(EditRequest(request, parent.image, MASK, parent.latents, strength))
    changed = difference(edited, parent)
    assert changed[MASK == 0].max() == 0
    assert changed[MASK == 1].mean() > 1
    inside = latent_mask(MASK, 8)[0, 0]
    assert torch.equal(edited.latents[:, ~inside], parent.latents[:, ~inside])
    assert not torch.equal(edited.latents[:, inside], parent.latents[:, inside])


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_of_everything_is_a_rendering(sdxl: GuidedSdxl, ask: Ask, parent: Rendered, kind: type[Any]) -> None:
    """Nothing of the parent leaks in, also where the schedule starts short of pure noise as SDXL's own does."""
    plain = kind.from_config({**scheduler(kind).config, "rescale_betas_zero_snr": False})
    sdxl.pipe.scheduler = plain
    request = ask(prompt="a hen", regions=(LEFT,), seed=8)
    edited = sdxl.edit(EditRequest(request, parent.image, np.ones((64, 64)), parent.latents))
    assert torch.equal(edited.latents, sdxl.render(request).latents)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(*[st.floats(0, 0.95)] * 2), st.tuples(*[st.floats(0.02, 1)] * 2), st.floats(0, 20))
def test_any_box_of_any_picture(
    sdxl: GuidedSdxl, ask: Ask, corner: tuple[float, float], size: tuple[float, float], feather: float
) -> None:
    box = (*corner, min(1.0, corner[0] + size[0]), min(1.0, corner[1] + size[1]))
    mask = mask_for_boxes([box], 72, 40, feather)
    base = sdxl.render(ask(width=72, height=40, steps=1))
    edited = sdxl.edit(EditRequest(ask(prompt="a hen", width=72, height=40, steps=2), base.image, mask, base.latents))
    assert not difference(edited, base)[mask == 0].any()


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, DDIMScheduler])
@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_renoising_is_the_trajectory_of_a_perfect_model(kind: type[Any], prediction: str) -> None:
    """Second route: a model that knows the picture walks the sampler through exactly the re-noised parent.

    From zero terminal SNR on for v-prediction, where the first level holds no trace of the parent (DDIM) or 2**-12 of
    it (Euler). Epsilon cannot start there: from pure noise it would divide by zero.
    """
    zero_snr = prediction == "v_prediction"
    made = scheduler(kind)
    made = kind.from_config({**made.config, "prediction_type": prediction, "rescale_betas_zero_snr": zero_snr})
    made.set_timesteps(20)
    if hasattr(made, "set_begin_index"):
        made.set_begin_index(0)
    generator = torch.Generator().manual_seed(0)
    parent, noise = (torch.randn(1, 12, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    latents = renoised(made, parent, noise, made.timesteps, 0)
    for index, t in enumerate(made.timesteps):
        made.scale_model_input(latents, t)
        alpha = made.alphas_cumprod[int(t)].double()
        signal, spread = alpha.sqrt(), (1 - alpha).sqrt()
        output = signal * noise - spread * parent if prediction == "v_prediction" else noise
        latents = made.step(output, t, latents).prev_sample
        expected = renoised(made, parent, noise, made.timesteps, index + 1)
        scale = float(expected.norm())
        assert float((latents - expected).norm()) < 2e-3 * scale, index
    assert torch.equal(renoised(made, parent, noise, made.timesteps, 20), parent)


def test_zero_terminal_snr_starts_from_the_noise_alone() -> None:
    made = scheduler(DDIMScheduler)
    made.set_timesteps(10)
    parent, noise = torch.full((1, 12, 2, 2), 50.0), torch.randn(1, 12, 2, 2)
    torch.testing.assert_close(renoised(made, parent, noise, made.timesteps, 0), noise)


@pytest.mark.parametrize(
    ("steps", "strength", "order", "begin"), [(20, 1.0, 1, 0), (20, 0.5, 1, 10), (20, 0.01, 1, 19), (40, 0.5, 2, 20)]
)
def test_strength_decides_the_first_step(steps: int, strength: float, order: int, begin: int) -> None:
    assert first_step(steps, strength, order) == begin


def test_a_weak_edit_runs_fewer_steps_and_stays_nearer(sdxl: GuidedSdxl, ask: Ask, parent: Rendered) -> None:
    request = ask(prompt="a hen", steps=8)
    seen: list[StepInfo] = []
    weak = sdxl.edit(EditRequest(request, parent.image, MASK, parent.latents, 0.25), on_step=seen.append)
    assert [(s.step, s.steps) for s in seen] == [(1, 2), (2, 2)]
    assert weak.report["steps"] == 2
    strong = sdxl.edit(EditRequest(request, parent.image, MASK, parent.latents, 1.0))
    near, far = (float((e.latents - parent.latents).norm()) for e in (weak, strong))
    assert near < far


def test_a_picture_from_elsewhere_is_encoded(sdxl: GuidedSdxl, ask: Ask, parent: Rendered) -> None:
    edited = sdxl.edit(EditRequest(ask(prompt="a hen"), parent.image, MASK))
    inside = latent_mask(MASK, 8)[0, 0]
    assert torch.equal(edited.latents[:, ~inside], sdxl.latents_of(parent.image)[:, ~inside])
    assert not difference(edited, parent)[MASK == 0].any()


def test_edits_of_edits(sdxl: GuidedSdxl, ask: Ask, parent: Rendered) -> None:
    first = sdxl.edit(EditRequest(ask(prompt="a hen"), parent.image, MASK, parent.latents))
    corner = mask_for_boxes([(0.8, 0.8, 1.0, 1.0)], 64, 64)
    second = sdxl.edit(EditRequest(ask(prompt="a dog"), first.image, corner, first.latents))
    untouched = (MASK == 0) & (corner == 0)
    assert not difference(second, parent)[untouched].any()
    assert not difference(second, first)[corner == 0].any()


def test_an_equal_edit_is_an_equal_picture(sdxl: GuidedSdxl, ask: Ask, parent: Rendered) -> None:
    asked = EditRequest(ask(prompt="a hen", regions=(LEFT,)), parent.image, MASK, parent.latents)
    assert sdxl.edit(asked).image.tobytes() == sdxl.edit(asked).image.tobytes()


@pytest.mark.parametrize(
    ("latents", "reason"), [(torch.zeros(4, 8, 8), "must be"), (torch.full((12, 8, 8), torch.nan), "NaN")]
)
def test_foreign_latents(sdxl: GuidedSdxl, ask: Ask, parent: Rendered, latents: torch.Tensor, reason: str) -> None:
    with pytest.raises(GuidanceError, match=reason):
        sdxl.edit(EditRequest(ask(), parent.image, MASK, latents))


def test_a_stopped_edit_leaves_nothing_behind(sdxl: GuidedSdxl, ask: Ask, parent: Rendered) -> None:
    asked = EditRequest(ask(prompt="a hen", regions=(LEFT,)), parent.image, MASK, parent.latents)
    whole, before = sdxl.edit(asked).latents, list(sdxl.pipe.unet.attn_processors.values())
    stop = threading.Event()
    with pytest.raises(Stopped):
        sdxl.edit(asked, on_step=lambda _: stop.set(), stop=stop)
    assert all(a is b for a, b in zip(sdxl.pipe.unet.attn_processors.values(), before, strict=True))
    assert torch.equal(sdxl.edit(asked).latents, whole)


def test_previews_of_an_edit_show_the_parent_around_it(sdxl: GuidedSdxl, ask: Ask, parent: Rendered) -> None:
    seen: list[StepInfo] = []
    sdxl.edit(EditRequest(ask(prompt="a hen"), parent.image, MASK, parent.latents), on_step=seen.append, previews=True)
    away = np.abs(np.asarray(seen[0].preview, dtype=int) - np.asarray(parent.image, dtype=int)).mean(-1)
    # The decoder looks at the whole picture, so that what changed inside is seen a little everywhere.
    assert away[56:, 56:].mean() < away[MASK == 1].mean() / 2


def test_a_cell_is_inside_as_soon_as_one_of_its_pixels_is() -> None:
    mask = np.zeros((16, 24), dtype=np.float32)
    mask[7, 8] = 0.001
    assert latent_mask(mask, 8)[0, 0].tolist() == [[False, True, False], [False, False, False]]


def test_paste_blends_between_and_copies_at_zero() -> None:
    new, old = Image.new("RGB", (3, 1), (200, 0, 0)), Image.new("RGB", (3, 1), (100, 0, 0))
    made = np.asarray(paste(new, old, np.array([[0.0, 0.5, 1.0]], dtype=np.float32)))
    assert made[0, :, 0].tolist() == [100, 150, 200]

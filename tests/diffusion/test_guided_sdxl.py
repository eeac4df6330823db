"""The front door: stock's bits at neutral settings, progress, stopping, and nothing left behind."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
)
from PIL import Image

from diffusion.errors import GuidanceError, ModelError, Stopped
from diffusion.pipeline import GuidedSdxl, StepInfo
from diffusion.request import Guidance, Keyword, RenderRequest
from tests.diffusion.tiny_sdxl import LEFT, LIKED, RIGHT, build, scheduler

Ask = Callable[..., RenderRequest]
GUIDED = Guidance(alpha=1.0, pooled_strength=1.0, base_ratio=0.2, feather=8.0)


def by_stock(stock: StableDiffusionXLPipeline, request: RenderRequest, output: str) -> Any:
    return stock(
        request.prompt,
        negative_prompt=request.negative_prompt or None,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg,
        width=request.width,
        height=request.height,
        generator=torch.Generator().manual_seed(request.seed),
        output_type=output,
    ).images[0]  # pyright: ignore[reportAttributeAccessIssue]


def processors(sdxl: GuidedSdxl) -> list[int]:
    return [id(p) for p in sdxl.pipe.unet.attn_processors.values()]


NEUTRAL: list[dict[str, Any]] = [
    {},
    {"cfg": 1.0},
    {"negative_prompt": "hen"},
    {"width": 72, "height": 40},
    {"keywords": (LIKED,)},
    {"keywords": (LIKED, Keyword("hen", "theme", -1.0)), "guidance": Guidance(mode="none")},
    {"regions": (LEFT, RIGHT), "guidance": Guidance(mode="none", base_ratio=1.0)},
    {"prompt": ""},
]


@pytest.mark.parametrize("changes", NEUTRAL, ids=lambda c: "+".join(c) or "plain")
def test_neutral_settings_are_stock_bit_for_bit(
    sdxl: GuidedSdxl, stock: StableDiffusionXLPipeline, ask: Ask, changes: dict[str, Any]
) -> None:
    stock.scheduler = scheduler()
    request = ask(**changes)
    ours = sdxl.render(request)
    assert torch.equal(ours.latents, by_stock(stock, request, "latent"))
    assert np.array_equal(np.asarray(ours.image), np.asarray(by_stock(stock, request, "pil")))


KINDS = [DDIMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler]


@pytest.mark.parametrize("kind", KINDS)
def test_neutral_settings_are_stock_with_other_schedulers(
    sdxl: GuidedSdxl, stock: StableDiffusionXLPipeline, ask: Ask, kind: type[Any]
) -> None:
    sdxl.pipe.scheduler, stock.scheduler = scheduler(kind), scheduler(kind)
    assert torch.equal(sdxl.render(ask()).latents, by_stock(stock, ask(), "latent"))


def test_four_channels_with_a_mean_as_stock_knows_them(ask: Ask) -> None:
    pipe = build(channels=4)
    pipe.vae.register_to_config(latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 1.5, 2.0, 2.5])
    sdxl = GuidedSdxl(pipe)
    ours = sdxl.render(ask())
    assert np.array_equal(np.asarray(ours.image), np.asarray(by_stock(pipe, ask(), "pil")))


def test_a_mean_of_twelve_channels_decodes_and_encodes(ask: Ask) -> None:
    pipe = build()
    pipe.vae.register_to_config(latents_mean=[0.1] * 12, latents_std=[2.0] * 12)
    sdxl = GuidedSdxl(pipe)
    picture = sdxl.render(ask()).image
    raw = pipe.vae.encode(pipe.image_processor.preprocess(picture)).latent_dist.mode()[0]  # pyright: ignore[reportAttributeAccessIssue]
    torch.testing.assert_close(sdxl.latents_of(picture), (raw - 0.1) / 2.0 * 0.7, atol=1e-5, rtol=1e-5)


def test_one_full_region_of_the_same_text_is_stock_to_rounding(
    sdxl: GuidedSdxl, stock: StableDiffusionXLPipeline, ask: Ask
) -> None:
    stock.scheduler = scheduler()
    full = replace(LEFT, prompt="a cat", box=(0.0, 0.0, 1.0, 1.0))
    ours, theirs = sdxl.render(ask(regions=(full,))).latents, by_stock(stock, ask(), "latent")
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4  # 1e-5 a layer, through four steps
    assert not torch.equal(ours, theirs)


def test_disjoint_regions_commute(sdxl: GuidedSdxl, ask: Ask) -> None:
    one, two = (sdxl.render(ask(regions=pair)).latents for pair in ((LEFT, RIGHT), (RIGHT, LEFT)))
    assert float((one - two).norm() / one.norm()) < 1e-4


def test_regions_keywords_dislikes_and_seeds_each_change_the_picture(sdxl: GuidedSdxl, ask: Ask) -> None:
    variants = [
        ask(),
        ask(seed=4),
        ask(guidance=GUIDED, keywords=(LIKED,)),
        ask(guidance=replace(GUIDED, mode="row"), keywords=(LIKED,)),
        ask(guidance=GUIDED, keywords=(Keyword("hen", "theme", -1.0),)),
        ask(regions=(LEFT,)),
        ask(regions=(LEFT,), background="sea"),
        ask(regions=(replace(LEFT, seed=1),)),
    ]
    latents = [sdxl.render(v).latents for v in variants]
    for index, one in enumerate(latents):
        assert all(not torch.equal(one, other) for other in latents[index + 1 :])


def test_an_equal_request_is_an_equal_picture(sdxl: GuidedSdxl, ask: Ask) -> None:
    request = ask(guidance=GUIDED, keywords=(LIKED,), regions=(LEFT, RIGHT))
    one, two = sdxl.render(request), sdxl.render(request)
    assert torch.equal(one.latents, two.latents)
    assert one.image.tobytes() == two.image.tobytes()


def test_the_unguided_half_does_not_see_the_regions(
    sdxl: GuidedSdxl, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At cfg close to 0 of the positive branch nothing but the negative one is left; regions must not show in it."""
    monkeypatch.setattr("diffusion.sampling.is_guided", lambda _pipe, _cfg: True)
    assert torch.equal(
        sdxl.render(ask(cfg=0.0, negative_prompt="hen")).latents,
        sdxl.render(ask(cfg=0.0, negative_prompt="hen", regions=(LEFT, RIGHT))).latents,
    )


def test_progress_and_previews(sdxl: GuidedSdxl, ask: Ask) -> None:
    seen: list[StepInfo] = []
    plain = sdxl.render(ask(), on_step=seen.append)
    assert [(s.step, s.steps, s.preview) for s in seen] == [(n, 4, None) for n in (1, 2, 3, 4)]
    seen.clear()
    watched = sdxl.render(ask(), on_step=seen.append, previews=True)
    assert all(isinstance(s.preview, Image.Image) and s.preview.size == (64, 64) for s in seen)
    assert torch.equal(plain.latents, watched.latents)
    assert np.abs(np.asarray(seen[-1].preview, dtype=int) - np.asarray(watched.image, dtype=int)).max() <= 1


def test_the_linear_preview_of_a_large_vae(sdxl: GuidedSdxl, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdxl._previewer, "small", False)  # pyright: ignore[reportPrivateUsage]
    seen: list[StepInfo] = []
    plain = sdxl.render(ask()).latents
    assert torch.equal(sdxl.render(ask(), on_step=seen.append, previews=True).latents, plain)
    preview = seen[-1].preview
    assert preview is not None
    assert preview.size == (32, 32)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_stop_ends_within_one_step_and_leaves_nothing_behind(sdxl: GuidedSdxl, ask: Ask, at: int) -> None:
    request = ask(guidance=GUIDED, keywords=(LIKED,), regions=(LEFT, RIGHT))
    whole, before = sdxl.render(request).latents, processors(sdxl)
    stop, seen = threading.Event(), list[int]()

    def on_step(info: StepInfo) -> None:
        seen.append(info.step)
        if info.step == at:
            stop.set()

    with pytest.raises(Stopped) as stopped:
        sdxl.render(request, on_step=on_step, stop=stop)
    assert (stopped.value.step, stopped.value.steps, seen[-1]) == (at, 4, at)
    assert processors(sdxl) == before
    assert torch.equal(sdxl.render(request).latents, whole)


def test_a_stop_that_is_already_set_draws_nothing(sdxl: GuidedSdxl, ask: Ask) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        sdxl.render(ask(), stop=stop)


def test_a_failure_in_the_middle_of_a_step_leaves_nothing_behind(
    sdxl: GuidedSdxl, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(guidance=GUIDED, keywords=(LIKED,), regions=(LEFT, RIGHT))
    whole, before = sdxl.render(request).latents, processors(sdxl)
    layer, calls = sdxl.pipe.unet.mid_block.attentions[0].transformer_blocks[1].attn2.to_out[0], list[int]()
    working = layer.forward

    def fails_on_the_second_step(hidden: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError
        return working(hidden)

    monkeypatch.setattr(layer, "forward", fails_on_the_second_step)
    with pytest.raises(MemoryError):
        sdxl.render(request)
    monkeypatch.undo()
    assert processors(sdxl) == before
    assert torch.equal(sdxl.render(request).latents, whole)


def test_a_failure_of_the_listener_is_not_swallowed(sdxl: GuidedSdxl, ask: Ask) -> None:
    before = processors(sdxl)

    def listener(_: StepInfo) -> None:
        raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        sdxl.render(ask(regions=(LEFT,)), on_step=listener)
    assert processors(sdxl) == before


def test_two_threads_take_turns(sdxl: GuidedSdxl, ask: Ask) -> None:
    requests = [ask(regions=(LEFT,)), ask(seed=9)]
    alone = [sdxl.render(r).latents for r in requests]
    results: dict[int, torch.Tensor] = {}
    threads = [
        threading.Thread(target=lambda i=i, r=r: results.update({i: sdxl.render(r).latents}))
        for i, r in enumerate(requests)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[i], alone[i]) for i in (0, 1))


def test_who_waits_for_a_turn_can_still_be_stopped(sdxl: GuidedSdxl, ask: Ask) -> None:
    stop = threading.Event()
    seen: list[type[Exception]] = []

    def wait() -> None:
        try:
            sdxl.render(ask(), stop=stop)
        except Stopped as stopped:
            seen.append(type(stopped))

    def start_another(info: StepInfo) -> None:
        if info.step == 1:
            waiting = threading.Thread(target=wait)
            waiting.start()
            stop.set()
            waiting.join(timeout=20)

    sdxl.render(ask(), on_step=start_another)
    assert seen == [Stopped]


def test_odd_crowded_and_hidden_regions_render_and_are_reported(sdxl: GuidedSdxl, ask: Ask) -> None:
    crowd = [replace(LEFT, name=f"r{i}", box=(i / 20, 0.1, i / 20 + 0.3, 0.9)) for i in range(12)]
    twin = replace(LEFT, name="twin")
    speck = replace(LEFT, name="speck", box=(0.9, 0.9, 0.9001, 0.9001))
    made = sdxl.render(ask(regions=(speck, LEFT, twin, *crowd), width=72, height=40))
    assert bool(torch.isfinite(made.latents).all())
    notes = " ".join(made.report["notes"])
    assert "'speck' is narrower" in notes
    assert "'twin' is hidden" in notes
    assert made.report["kv_bytes"] > 0


def test_what_the_model_says_about_itself(sdxl: GuidedSdxl) -> None:
    assert sdxl.default_size == (64, 64)
    assert sdxl.cell == 16
    assert sdxl.max_tokens == 30
    assert sdxl.tokens("a cat, hen") == 6
    info = sdxl.info
    assert info["dtype"] == "float32"
    assert info["threads"] == torch.get_num_threads()
    assert all(len(digest) == 64 for digest in info["weights"].values())
    assert {name.split("/")[0] for name in info["weights"]} == {"unet", "vae", "text_encoder", "text_encoder_2"}


def test_more_steps_than_the_scheduler_has(sdxl: GuidedSdxl, ask: Ask) -> None:
    sdxl.pipe.scheduler = DDIMScheduler(num_train_timesteps=10)
    with pytest.raises(GuidanceError, match="11 steps"):
        sdxl.render(ask(steps=11))


def test_models_that_are_not_sdxl_are_refused() -> None:
    pipe: Any = build()
    pipe.unet.register_to_config(addition_embed_type=None)
    with pytest.raises(ModelError, match="not SDXL"):
        GuidedSdxl(pipe)
    pipe = build()
    pipe.text_encoder = None
    with pytest.raises(ModelError, match="two text encoders"):
        GuidedSdxl(pipe)
    pipe = build()
    pipe.tokenizer_2.model_max_length = 20
    with pytest.raises(ModelError, match="equal"):
        GuidedSdxl(pipe)

"""The engine against transformers' own `generate`, and everything a folder can lack."""

import json
import shutil
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import xgrammar as xgr
from langchain_core.messages import HumanMessage
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import DynamicCache, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from vlm.engine import Decoding, Engine
from vlm.errors import ContextOverflowError, StoppedError, WeightsError
from vlm.images import about
from vlm.rendering import Rendered
from vlm.writing import written

GREEDY = Decoding(max_new_tokens=24)
SEEN = [about(Image.linear_gradient("L").convert("RGB"), "what is this?")]
SAID = [HumanMessage("what is this?")]


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine.load(folder)


def free(engine: Engine) -> xgr.CompiledGrammar:
    return engine.grammars.reply((), "none", "none", 1)


def generated(engine: Engine, prompt: Rendered) -> list[int]:
    """The second route: transformers' generate with xgrammar's own logits processor."""
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor([prompt.input_ids]),
        "attention_mask": torch.ones(1, len(prompt.input_ids), dtype=torch.long),
        "mm_token_type_ids": torch.tensor([prompt.mm_token_type_ids]),
    }
    if prompt.pixel_values is not None and prompt.image_grid_thw is not None:
        inputs["pixel_values"] = torch.from_numpy(prompt.pixel_values)
        inputs["image_grid_thw"] = torch.from_numpy(prompt.image_grid_thw)
    out = engine.model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=GREEDY.max_new_tokens,
        eos_token_id=engine.stop_ids,
        pad_token_id=engine.stop_ids[0],
        logits_processor=[xgr.contrib.hf.LogitsProcessor(free(engine))],
    )
    return out[0, len(prompt.input_ids) :].tolist()


@pytest.mark.parametrize("messages", [SEEN, SAID, [*SEEN, HumanMessage("and?"), *SEEN]], ids=["image", "text", "two"])
def test_greedy_decoding_agrees_with_generate(engine: Engine, messages: Any) -> None:
    prompt = engine.renderer.render(messages)

    assert list(engine.tokens(prompt, free(engine), GREEDY)) == generated(engine, prompt)


@pytest.mark.parametrize("messages", [SEEN, SAID], ids=["image", "text"])
def test_reading_token_by_token_agrees_with_reading_at_once(engine: Engine, messages: Any) -> None:
    """The cache and the positions against one pass without either."""
    prompt = engine.renderer.render(messages)
    reply = engine.renderer.tokenize("a red circle on the left")
    inputs: dict[str, Any] = {}
    if prompt.pixel_values is not None and prompt.image_grid_thw is not None:
        inputs["pixel_values"] = torch.from_numpy(prompt.pixel_values)
        inputs["image_grid_thw"] = torch.from_numpy(prompt.image_grid_thw)
    with torch.inference_mode():
        at_once = engine.model(
            input_ids=torch.tensor([prompt.input_ids + reply]),
            mm_token_type_ids=torch.tensor([prompt.mm_token_type_ids + [0] * len(reply)]),
            **inputs,
        ).logits[0, len(prompt.input_ids) - 1 :]

    cache = DynamicCache(config=engine.model.config.get_text_config())
    logits, position = engine._read(prompt, cache)  # pyright: ignore[reportPrivateUsage]
    steps = [logits]
    for offset, token in enumerate(reply):
        steps.append(engine._step(token, position + offset, cache))  # pyright: ignore[reportPrivateUsage]

    torch.testing.assert_close(torch.cat(steps), at_once, rtol=1e-4, atol=1e-4)


def test_conversations_do_not_disturb_each_other(engine: Engine) -> None:
    """The model remembers the image offset of its last prompt; two streams at once must not meet in it."""
    prompts = [engine.renderer.render(SEEN), engine.renderer.render(SAID)]
    alone = [list(engine.tokens(prompt, free(engine), GREEDY)) for prompt in prompts]
    streams = [engine.tokens(prompt, free(engine), GREEDY) for prompt in prompts]

    together = list(zip(*streams, strict=False))

    assert len(together) > 4
    assert [list(tokens) for tokens in zip(*together, strict=True)] == [ids[: len(together)] for ids in alone]


def test_qwen2_5_vl_runs_by_the_same_code(tmp_path: Path, folder: Path, engine: Engine) -> None:
    own = engine.model.config
    torch.manual_seed(1)
    config = Qwen2_5_VLConfig(
        text_config={
            **{k: getattr(own.text_config, k) for k in ("vocab_size", "hidden_size", "intermediate_size")},
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 32,
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=own.image_token_id,
        video_token_id=own.video_token_id,
        vision_start_token_id=own.vision_start_token_id,
        vision_end_token_id=own.vision_end_token_id,
    )
    copy = Path(shutil.copytree(folder, tmp_path / "qwen2_5", ignore=shutil.ignore_patterns("*config.json", "*.saf*")))
    older: Any = Qwen2_5_VLForConditionalGeneration(config)
    older.save_pretrained(copy)
    for name in ("tokenizer_config.json", "preprocessor_config.json"):
        shutil.copy(folder / name, copy / name)

    loaded = Engine.load(copy)
    prompt = loaded.renderer.render(SEEN)

    assert loaded.family == "qwen2_5_vl"
    assert list(loaded.tokens(prompt, free(loaded), GREEDY)) == generated(loaded, prompt)


def test_letters_of_several_tokens_come_out_whole(engine: Engine) -> None:
    words = "né à 🙂!"
    tokens = engine.renderer.tokenize(words)
    assert len(tokens) > len(words)  # bytes of their own

    chunks = list(written(engine, [*tokens, engine.stop_ids[0]], None, 5))

    assert "".join(chunk.text for chunk in chunks) == words
    assert not any("\ufffd" in chunk.text for chunk in chunks)
    assert chunks[-1].response_metadata["finish_reason"] == "stop"


def test_sampling_repeats_itself_by_seed_only(engine: Engine) -> None:
    prompt = engine.renderer.render(SEEN)

    def drawn(seed: int, **options: float) -> list[int]:
        decoding = Decoding(max_new_tokens=12, temperature=1.5, seed=seed, **options)
        return list(engine.tokens(prompt, free(engine), decoding))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    # A nucleus this small holds the likeliest token alone.
    assert drawn(1, top_p=1e-6) == list(engine.tokens(prompt, free(engine), Decoding(max_new_tokens=12)))


def test_a_set_event_stops_before_the_next_token(engine: Engine) -> None:
    stop = threading.Event()
    stream = engine.tokens(engine.renderer.render(SEEN), free(engine), GREEDY, [stop])
    assert len(list(islice(stream, 3))) == 3

    stop.set()

    with pytest.raises(StoppedError):
        next(stream)


def test_an_event_set_beforehand_reads_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(engine, "_read", None)

    with pytest.raises(StoppedError):
        next(engine.tokens(engine.renderer.render(SEEN), free(engine), GREEDY, [stop]))


def test_a_reply_never_outgrows_the_context(folder: Path) -> None:
    small = Engine.load(folder, context_length=48)
    prompt = small.renderer.render(SAID)

    written = list(small.tokens(prompt, free(small), Decoding(max_new_tokens=500)))

    assert len(prompt.input_ids) + len(written) <= 48


def test_a_prompt_without_room_for_a_reply_is_a_typed_error(folder: Path) -> None:
    small = Engine.load(folder, context_length=24)

    with pytest.raises(ContextOverflowError) as caught:
        next(small.tokens(small.renderer.render(SEEN), free(small), GREEDY))

    assert caught.value.limit == 24
    assert caught.value.tokens == len(small.renderer.render(SEEN).input_ids)


def test_half_precision_files_run_in_float32_on_a_cpu(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "half"))
    halves = {name: weight.half() for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(halves, copy / "model.safetensors", {"format": "pt"})

    assert Engine.load(copy, device="cpu").model.dtype == torch.float32
    assert Engine.load(copy, device="cpu", dtype="bfloat16").model.dtype == torch.bfloat16


def without_a_weight(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    del weights["model.language_model.norm.weight"]
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def of_another_family(path: Path) -> None:
    (path / "config.json").write_text(json.dumps({"model_type": "llava"}), encoding="utf-8")


@pytest.mark.parametrize(
    "break_it",
    [
        lambda path: (path / "model.safetensors").unlink(),
        lambda path: (path / "model.safetensors").write_bytes(b"\0" * 100),
        lambda path: (path / "config.json").unlink(),
        without_a_weight,
        of_another_family,
    ],
    ids=["no-weights", "broken-weights", "no-config", "one-weight-missing", "other-family"],
)
def test_an_unusable_folder_is_a_typed_error_that_names_it(folder: Path, tmp_path: Path, break_it: Any) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "unusable"))
    break_it(copy)

    with pytest.raises(WeightsError, match="unusable"):
        Engine.load(copy)

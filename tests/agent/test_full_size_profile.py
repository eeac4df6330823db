"""The `sdxl` profile over local folders: tiny random models saved in the hub's formats, loaded by the one code path."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.alone import see
from agent.events import Answer
from agent.session import Studio
from agent.settings import Settings, load_settings
from tests.agent.conftest import turn
from tests.vlm.conftest import save_tiny

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content[:60] }}{% else %}{% for b in m.content %}"
    "{% if b.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ b.text[:60] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Shortened, because the tiny model's context is."""


@pytest.fixture
def full(sdxl_folder: Path, tmp_path: Path) -> Settings:
    vlm = save_tiny(tmp_path / "vlm")
    (vlm / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return load_settings(
        "sdxl",
        data=tmp_path / "data",
        chat_model=vlm,
        image_model=sdxl_folder,
        width=64,
        height=64,
        steps=2,
        reference_side=64,
        max_new_tokens=64,
        max_thought_tokens=8,
        remember_taste=False,
    )


async def test_a_turn_runs_to_a_stated_end(full: Settings, tmp_path: Path) -> None:
    """Random weights say nothing sensible; what is shown is that everything loads, decodes and ends as designed."""
    Image.new("RGB", (80, 60), "navy").save(tmp_path / "mood.png")

    async with Studio.open(full) as studio:
        events = await turn(await studio.session(seed=1), "a cat on the left", [tmp_path / "mood.png"])

    assert isinstance(events[-1], Answer)
    assert events[-1].stop_reason in {"answered", "malformed", "rounds", "images"}


def test_seeing_uses_the_same_model_folder(full: Settings, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    longer = full.model_copy(update={"max_new_tokens": 700})

    card = see(longer, tmp_path / "noise.png")

    assert json.loads(card.model_dump_json())["keywords"] == [k.model_dump() for k in card.keywords]

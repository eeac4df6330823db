"""Every prompt loads, declares what it uses, and says only what its pack may say."""

import re
from pathlib import Path

import pytest

import prompts
from prompts import PACKS, PromptError, load, load_pack

NAMES = sorted(p.relative_to(PACKS).with_suffix("").as_posix() for p in PACKS.rglob("*.md"))
FAMILIES = sorted(p.parent.name for p in PACKS.glob("*/pack.toml"))


def test_the_scan_sees_the_packs() -> None:
    assert FAMILIES == ["pocket", "qwen"]


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_loads_and_fills(name: str) -> None:
    prompt = load(name)

    filled = prompt.fill(**{name: f"<{name}>" for name in prompt.inputs})

    assert all(f"<{name}>" in filled for name in prompt.inputs)
    assert prompt.purpose
    assert re.fullmatch("[0-9a-f]{12}", prompt.digest)


def test_every_pack_has_the_same_prompts_with_the_same_inputs() -> None:
    shapes = [{p.stem: load(f"{family}/{p.stem}").inputs for p in (PACKS / family).glob("*.md")} for family in FAMILIES]

    assert all(shape == shapes[0] for shape in shapes)


def test_inserted_text_is_never_expanded_again() -> None:
    filled = load_pack("pocket").prompt("plan").fill(said="$taste ${base} {0}", taste="none", base="none")

    assert "said: $taste ${base} {0}" in filled


def test_a_wrong_input_is_refused() -> None:
    with pytest.raises(PromptError, match="takes"):
        load_pack("pocket").prompt("plan").fill(said="x")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(PromptError, match="no prompt pack 'llama', only"):
        load_pack("llama")
    with pytest.raises(PromptError, match="no prompt"):
        load_pack("pocket").prompt("sing")


@pytest.mark.parametrize(
    "text",
    [
        '+++\npurpose = "p"\ninputs = ["a"]\n+++\n$b\n',
        '+++\npurpose = "p"\ninputs = []\n+++\ncosts 5$\n',
        "no header\n",
        '+++\npurpose = "p"\n+++\nx\n',
    ],
    ids=["undeclared", "stray-dollar", "no-header", "no-inputs"],
)
def test_a_faulty_file_fails_at_load(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(prompts, "PACKS", tmp_path)
    load.cache_clear()

    with pytest.raises(PromptError):
        load("faulty")

"""Scripted conversations: what they write, how they end, and that they repeat themselves."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from agent.png import read_png
from agent.scenario import load_scenario
from agent.script import run_scenario
from agent.settings import Settings
from tests.agent.conftest import ScriptedModels
from tests.agent.scripted import ScriptedChat, call, plan, taste
from tools.errors import ConfigError

CIRCLE = ("red circle", (60, 320, 420, 680))
BLUE = ("blue circle", (60, 320, 420, 680))


def scenario(folder: Path, **content: Any) -> Path:
    path = folder / "talk.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def played(path: Path, out: Path, settings: Settings, chat: ScriptedChat) -> int:
    return asyncio.run(
        run_scenario(
            path,
            out,
            lambda _, data: settings.model_copy(update={"data": data}),
            lambda _: None,
            models=lambda s: ScriptedModels(chat, s),
        )
    )


def two_turns() -> ScriptedChat:
    return ScriptedChat(
        replies=[
            call("extract_preferences", image="ref1"),
            call("plan_layout", base="new"),
            call("generate_image", base="new", keep=False),
            "@1 is ready.",
            call("plan_layout", base="@1"),
            call("generate_image", base="@1", keep=True),
            "@2 is ready.",
        ],
        documents=[taste(atmosphere=["gloomy"]), plan(CIRCLE), plan(BLUE)],
    )


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "mood.png")
    turns = [{"say": "a red circle in this feel", "attach": ["mood.png"]}, {"say": "make it blue"}]
    return scenario(tmp_path, title="Two <turns>", seed=3, turns=turns)


def test_a_run_writes_lines_pictures_transcript_and_page(talk: Path, tmp_path: Path, settings: Settings) -> None:
    out = tmp_path / "out"

    code = played(talk, out, settings, two_turns())

    first, second = (json.loads(line) for line in (out / "turns.jsonl").read_text(encoding="utf-8").splitlines())
    assert code == 0
    assert first["tools"] == ["extract_preferences", "plan_layout", "generate_image", "critique"]
    assert (first["answer"], first["head"], first["stop_reason"]) == ("@1 is ready.", "@1", "answered")
    assert [k["text"] for k in first["taste"]["keywords"]] == ["gloomy"]
    assert second["layout"]["regions"][0]["name"] == "blue circle"
    assert [c["passed"] for c in second["critique"]["checks"]] == [True, True]
    assert sorted(p.name for p in out.glob("*.png")) == ["attached-ref1.png", "image-01.png", "image-02.png"]
    assert "![@2](image-02.png)" in (out / "transcript.md").read_text(encoding="utf-8")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "Two &lt;turns&gt;" in page
    assert page.count("data:image/png;base64,") == 3
    assert "image-01.png" not in page


def test_a_run_twice_gives_the_same_pictures_byte_for_byte(talk: Path, tmp_path: Path, settings: Settings) -> None:
    for name in ("one", "two"):
        assert played(talk, tmp_path / name, settings, two_turns()) == 0

    for picture in ("image-01.png", "image-02.png"):
        assert (tmp_path / "one" / picture).read_bytes() == (tmp_path / "two" / picture).read_bytes()


def test_a_picture_carries_its_recipe_and_its_ancestors(talk: Path, tmp_path: Path, settings: Settings) -> None:
    played(talk, tmp_path / "out", settings, two_turns())

    _, first = read_png(tmp_path / "out" / "image-01.png")
    _, second = read_png(tmp_path / "out" / "image-02.png")

    assert second.ancestors == (first.recipe,)
    assert second.recipe.edit is not None
    assert len(first.recipe.sources) == 1
    assert first.recipe.models


def test_a_turn_without_an_answer_is_exit_code_one(talk: Path, tmp_path: Path, settings: Settings) -> None:
    chat = ScriptedChat(replies=[call("recall_image", image="@1")] * 8 + ["Sorry."])

    code = played(talk, tmp_path / "out", settings, chat)

    lines = [json.loads(line) for line in (tmp_path / "out" / "turns.jsonl").read_text(encoding="utf-8").splitlines()]
    assert code == 1
    assert [line["stop_reason"] for line in lines] == ["rounds", "answered"]


def test_an_empty_turn_is_reported_as_failed(tmp_path: Path, settings: Settings) -> None:
    path = scenario(tmp_path, turns=[{"say": ""}, {"say": "hello"}])

    code = played(path, tmp_path / "out", settings, ScriptedChat(replies=["Hello."]))

    first, second = (
        json.loads(line) for line in (tmp_path / "out" / "turns.jsonl").read_text(encoding="utf-8").splitlines()
    )
    assert code == 1
    assert "Say what you would like" in first["error"]
    assert second["answer"] == "Hello."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"turns": [{"sya": "hello"}]}, "did you mean 'say'"),
        ({"turn": [{"say": "hello"}]}, "turns: Field required"),
        ({"turns": [{"say": "hello"}], "sede": 3}, "did you mean 'seed'"),
        ({"turns": []}, "turns"),
        ({"turns": [{"say": "hello", "attach": ["none.png"]}]}, "turn 1 attaches"),
    ],
)
def test_a_faulty_scenario_says_where(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_scenario(scenario(tmp_path, **content))


def test_no_scenario_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_scenario(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("turns: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not YAML"):
        load_scenario(tmp_path / "bad.yaml")

"""`attune chat`, typed at: what it prints, saves and remembers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from agent.settings import Settings
from agent.terminal import chat as talk
from tests.agent.conftest import ScriptedModels
from tests.agent.scripted import ScriptedChat, call, plan, taste
from tools.errors import ConfigError


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def type_in(*lines: str) -> None:
        waiting = iter(lines)

        def answer(_: str) -> str:
            line = next(waiting, None)
            if line is None:
                raise EOFError
            return line

        monkeypatch.setattr("builtins.input", answer)

    return type_in


async def test_a_talk_saves_its_pictures_and_can_be_resumed(
    settings: Settings,
    chat: ScriptedChat,
    typed: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", (32, 32), "navy").save(tmp_path / "mood.png")
    chat.replies += [
        call("extract_preferences", image="ref1"),
        call("plan_layout", base="new"),
        call("generate_image", base="new", keep=False),
        "@1 is ready.",
    ]
    chat.documents += [taste(atmosphere=["gloomy"]), plan(("red circle", (60, 320, 420, 680)))]
    models = ScriptedModels(chat, settings)
    typed(f"a red circle like {tmp_path / 'mood.png'}")
    await talk(settings, tmp_path / "pictures", models=models)

    shown = capsys.readouterr().out
    assert "@1 is ready." in shown
    assert "extract_preferences: ref1 read: gloomy" in shown
    (picture,) = (tmp_path / "pictures").iterdir()
    assert picture.name.startswith("01-")
    assert "seed" in shown

    chat.replies.append("You are welcome.")
    typed("", "thanks", "/quit", "never said")
    await talk(settings, tmp_path / "pictures", resume=True, models=models)

    again = capsys.readouterr().out
    assert "attune: @1 is ready." in again
    assert "Say what you would like to see" in again
    assert "You are welcome." in again


async def test_missing_models_end_the_talk(settings: Settings, typed: Callable[..., None], tmp_path: Path) -> None:
    typed("a red circle")

    with pytest.raises(ConfigError, match="ATTUNE_CHAT_MODEL"):
        await talk(settings, tmp_path)

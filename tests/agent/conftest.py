"""A studio with a scripted chat model and a real, tiny, random SDXL."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.events import Answer, Event
from agent.models import load_painter
from agent.session import File, Session, Studio
from agent.settings import Settings, load_settings
from tests.agent.scripted import ScriptedChat
from tests.diffusion.tiny_sdxl import build
from tools.paint import Painter
from tools.reasoner import Reasoner


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("weights") / "sdxl"
    build().save_pretrained(place)
    return place


@pytest.fixture
def settings(sdxl_folder: Path, tmp_path: Path) -> Settings:
    return load_settings(
        "pocket",
        data=tmp_path / "data",
        image_model=sdxl_folder,
        chat_model=tmp_path / "no-such-model",
        width=64,
        height=64,
        steps=3,
        reference_side=64,
        remember_taste=False,
    )


_PAINTERS: dict[Path, Painter] = {}


@dataclass
class ScriptedModels:
    """The scripted reasoning model beside the real painter, which loads once a test run."""

    chat: ScriptedChat
    settings: Settings

    async def reasoner(self) -> Reasoner:
        return Reasoner(self.chat)

    async def painter(self) -> Painter:
        folder = self.settings.image_model
        if folder not in _PAINTERS:
            _PAINTERS[folder] = load_painter(self.settings)
        return _PAINTERS[folder]


@pytest.fixture
def chat() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture
async def studio(settings: Settings, chat: ScriptedChat) -> AsyncIterator[Studio]:
    async with Studio.open(settings, ScriptedModels(chat, settings)) as opened:
        yield opened


@pytest.fixture
async def session(studio: Studio) -> Session:
    return await studio.session("talk", seed=7)


async def turn(session: Session, text: str, images: Sequence[File] = ()) -> list[Event]:
    """Take one turn and return all its events."""
    return [event async for event in session.send(text, images)]


def only(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    """Return the events of one type."""
    return [event for event in events if isinstance(event, kind)]


def answer(events: Sequence[Event]) -> Answer:
    """Return the answer that closes a turn."""
    assert isinstance(events[-1], Answer), events[-1]
    return events[-1]


Script = Callable[..., None]

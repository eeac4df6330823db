"""The two models, loaded when first needed and shared by all conversations of a process."""

import asyncio
from typing import Protocol

from agent.settings import Settings, prepare_libraries
from tools.errors import ConfigError
from tools.paint import Painter, painter_from
from tools.reasoner import Reasoner


class Models(Protocol):
    """Where a run gets its models from."""

    async def reasoner(self) -> Reasoner: ...

    async def painter(self) -> Painter: ...


class LocalModels:
    """The models that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._reasoner: Reasoner | None = None
        self._painter: Painter | None = None
        self._lock = asyncio.Lock()

    async def reasoner(self) -> Reasoner:
        async with self._lock:
            if self._reasoner is None:
                self._reasoner = await asyncio.to_thread(load_reasoner, self.settings)
            return self._reasoner

    async def painter(self) -> Painter:
        async with self._lock:
            if self._painter is None:
                self._painter = await asyncio.to_thread(load_painter, self.settings)
            return self._painter


def load_reasoner(settings: Settings) -> Reasoner:
    """Load the reasoning model, or reach its server.

    Raises:
        ConfigError: the folder or the server is not there.
    """
    prepare_libraries(settings)
    from vlm import ServerError, WeightsError, load_chat_model

    try:
        if settings.chat_server:
            chat = load_chat_model(
                base_url=settings.chat_server,
                model=settings.chat_server_model,
                api_key=settings.chat_server_key.get_secret_value(),
                max_new_tokens=settings.max_new_tokens,
            )
        else:
            chat = load_chat_model(
                folder=settings.chat_model,
                device=settings.device,
                dtype=settings.dtype,
                max_new_tokens=settings.max_new_tokens,
                max_thought_tokens=settings.max_thought_tokens,
            )
    except (WeightsError, ServerError) as error:
        raise ConfigError(f"{error} (setting ATTUNE_CHAT_MODEL or ATTUNE_CHAT_SERVER)") from error
    return Reasoner(chat)


def load_painter(settings: Settings) -> Painter:
    """Load the image model.

    Raises:
        ConfigError: the folder is missing, incomplete, or not an SDXL.
    """
    prepare_libraries(settings)
    try:
        return painter_from(settings.image_model, settings.device, settings.dtype)
    except ConfigError as error:
        raise ConfigError(f"{error} (setting ATTUNE_IMAGE_MODEL)") from error

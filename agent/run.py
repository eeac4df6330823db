"""What one turn is given and never saves: models, store, limits, the message, and the way to report."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.events import Event
from agent.images import ImageStore
from agent.models import Models
from agent.settings import Settings
from prompts import Pack


@dataclass(frozen=True)
class Incoming:
    """A person's message as it arrived."""

    text: str
    files: tuple[tuple[str, bytes], ...] = ()
    """Name and content of each attachment."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One turn's surroundings."""

    settings: Settings
    pack: Pack
    models: Models
    store: ImageStore
    message: Incoming
    emit: Callable[[Event], None]
    """Safe to call from any thread."""
    previews: bool = False
    """Whether progress comes with pictures."""
    stop: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long the turn has taken so far."""
        return time.monotonic() - self.started

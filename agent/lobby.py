"""Who is in which conversation: for doors that serve several visitors without a login, across restarts."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

from agent import words
from agent.session import Session, Studio


class Lobby:
    """The visitors of one studio.

    A visitor is told apart by a name of theirs (a cookie's value); the conversations they began carry it, so that they
    are found again after a restart.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._sessions: dict[str, Session] = {}
        """One object a conversation, whoever is in it: it keeps turns apart."""
        self._current: dict[str, str] = {}
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._models: asyncio.Future[Any] | None = None

    async def enter(self, visitor: str) -> Session | None:
        """Return the conversation to go on with: the one they are in, else their last; None begins with a new one."""
        known = await self.studio.conversations()
        last = next((name for name in known if name.startswith(f"{visitor}-")), None)
        name = self._current.setdefault(visitor, last or _begun_by(visitor))
        return await self._session(name) if name in known else None

    async def session(self, visitor: str) -> Session:
        """Return the conversation a visitor is in; it starts to exist now."""
        return await self._session(self._current.setdefault(visitor, _begun_by(visitor)))

    def leave(self, visitor: str) -> None:
        """Let the visitor's next message begin a new conversation."""
        self._current[visitor] = _begun_by(visitor)

    async def reopen(self, visitor: str, name: str) -> Session | None:
        """Go on with an earlier conversation; None if there is none of that name."""
        if name not in await self.studio.conversations():
            return None
        self._current[visitor] = name
        return await self._session(name)

    def take(self, session: Session, turn: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a turn that goes on whatever becomes of the page that began it."""
        task = asyncio.create_task(turn)
        running = self._turns.get(session.id)
        if running is None or running.done():  # else this one will be refused at once
            self._turns[session.id] = task
        return task

    async def idle(self, session: Session) -> bool:
        """Wait for the end of the turn another page began; say whether there was one."""
        running = self._turns.get(session.id)
        if running is None or running.done():
            return False
        await asyncio.wait([running])
        return True

    async def earlier(self, most: int = 6) -> list[tuple[str, str]]:
        """Return names and titles of the conversations that were active last."""
        names = (await self.studio.conversations())[:most]
        titles = [(name, words.title(await (await self._session(name)).state())) for name in names]
        return [(name, title) for name, title in titles if title]

    def warm(self) -> None:
        """Begin to load the models, once; what fails is told when it is needed."""
        if self._models is None:
            models = self.studio.models
            self._models = asyncio.gather(models.reasoner(), models.painter(), return_exceptions=True)

    @property
    def loading(self) -> bool:
        """Whether the models are still on their way."""
        return self._models is None or not self._models.done()

    async def _session(self, name: str) -> Session:
        return self._sessions.get(name) or self._sessions.setdefault(name, await self.studio.session(name))


def _begun_by(visitor: str) -> str:
    return f"{visitor}-{secrets.token_hex(4)}"

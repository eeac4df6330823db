"""The one door to the agent, for the web page, the terminal and scripted runs.

    async with Studio.open(load_settings()) as studio:
        session = await studio.session()
        async for event in session.send("a red circle on the left", [Path("mood.png")]):
            ...

A conversation takes one turn at a time. Stopping takes effect within one denoising step and loses nothing.
"""

import asyncio
import secrets
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent.events import Event, Failed
from agent.graph import build
from agent.images import ImageStore
from agent.memory import TasteStore, conversations, open_checkpointer, prune
from agent.models import LocalModels, Models
from agent.run import Incoming, Run
from agent.settings import Settings
from agent.state import State
from prompts import load_pack
from tools.errors import ConfigError, InputError
from tools.taste import TasteCard

File = str | Path | tuple[str, bytes]
"""An attachment: a path, or a name and its content."""


class Studio:
    """What the conversations of one process share: models, pictures, memory."""

    def __init__(self, settings: Settings, models: Models, saver: AsyncSqliteSaver) -> None:
        self.settings = settings
        self.models = models
        self.saver = saver
        self.store = ImageStore(settings.data)
        self.taste = TasteStore(settings.data)
        self.pack = load_pack(settings.pack)
        self.graph = build(saver)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, models: Models | None = None) -> AsyncGenerator["Studio"]:
        """Open the data folder of the settings; models load when first needed."""
        async with open_checkpointer(settings.data) as saver:
            yield cls(settings, models or LocalModels(settings), saver)

    async def session(self, conversation: str | None = None, seed: int | None = None) -> "Session":
        """Continue a conversation, or begin one.

        Args:
            conversation: its id; a new one gets an id of its own.
            seed: what a new conversation's pictures follow from; random if not given.
        """
        name = conversation or uuid.uuid4().hex[:12]
        session = Session(self, name)
        if not await session.exists():
            first: dict[str, Any] = {"seed": secrets.randbelow(2**32) if seed is None else seed}
            if self.settings.remember_taste:
                first["card"] = await asyncio.to_thread(self.taste.read)
            await self.graph.aupdate_state(session.config, first, as_node="deliver")
        return session

    async def conversations(self) -> list[str]:
        """Return the ids of all conversations, newest first."""
        return await conversations(self.saver)


class Session:
    """One conversation."""

    def __init__(self, studio: Studio, conversation: str) -> None:
        self.studio = studio
        self.id = conversation
        limit = 6 * studio.settings.max_rounds + 20
        self.config: RunnableConfig = {"configurable": {"thread_id": conversation}, "recursion_limit": limit}
        self._turn = asyncio.Lock()
        self._run: Run | None = None

    async def send(self, text: str, images: Sequence[File] = (), *, previews: bool = False) -> AsyncGenerator[Event]:
        """Take one turn; yield what happens as it happens, the `Answer` or a `Failed` last.

        Leaving the iteration early, or cancelling it, stops the turn.

        Args:
            text: what the person says.
            images: what they attach.
            previews: whether progress comes with pictures.
        """
        if self._turn.locked():
            yield Failed("busy", "I am still at work on the last message; stop it or wait.")
            return
        async with self._turn:
            loop, queue = asyncio.get_running_loop(), asyncio.Queue[Event | None]()
            try:
                files = tuple([await asyncio.to_thread(_read, file) for file in images])
            except InputError as error:
                yield Failed("input", str(error))
                return
            run = Run(
                settings=self.studio.settings,
                pack=self.studio.pack,
                models=self.studio.models,
                store=self.studio.store,
                message=Incoming(text, files),
                emit=lambda event: _put(loop, queue, event),
                previews=previews,
            )
            self._run = run
            task = asyncio.create_task(self._take_turn(run))
            task.add_done_callback(lambda _: queue.put_nowait(None))
            try:
                while (event := await queue.get()) is not None:
                    yield event
                await task
            finally:
                self._run = None
                if not task.done():
                    run.stop.set()
                    await asyncio.wait([task])

    def stop(self) -> None:
        """End the running turn within one denoising step; what was made is kept."""
        if self._run is not None:
            self._run.stop.set()

    async def state(self) -> State:
        """Return what the conversation remembers."""
        values = (await self.studio.graph.aget_state(self.config)).values
        return State(**values)

    async def exists(self) -> bool:
        """Say whether the conversation has begun."""
        return await self.studio.saver.aget_tuple(self.config) is not None

    def path(self, relative: str) -> Path:
        """Return where a stored picture lies."""
        return self.studio.store.path(relative)

    async def branch(self, image: str) -> "Session":
        """Begin another conversation from one of the pictures; this one stays as it is.

        Raises:
            InputError: there is no such picture.
        """
        state = await self._with_head(image)
        other = Session(self.studio, uuid.uuid4().hex[:12])
        await self.studio.graph.aupdate_state(other.config, vars(state), as_node="deliver")
        return other

    async def recall(self, image: str) -> State:
        """Make a picture the current one, without a turn.

        Raises:
            InputError: there is no such picture, or a turn is running.
        """
        state = await self._with_head(image)
        return await self._change({"head": state.head, "layout": state.layout})

    async def change_taste(self, change: Callable[[TasteCard], TasteCard]) -> State:
        """Edit the taste card, without a turn: `session.change_taste(lambda card: card.toggle("gloomy"))`.

        Raises:
            InputError: a turn is running.
        """
        state = await self._change({"card": change((await self.state()).card)})
        await self._remember(state)
        return state

    async def _with_head(self, image: str) -> State:
        state = await self.state()
        record = state.image(image)
        if record is None:
            raise InputError(f"there is no picture {image}; this conversation has {len(state.images)}")
        return replace(state, head=record.id, layout=record.recipe.layout)

    async def _change(self, values: dict[str, Any]) -> State:
        if self._turn.locked():
            raise InputError("a turn is running; stop it or wait")
        async with self._turn:
            await self.studio.graph.aupdate_state(self.config, values, as_node="deliver")
            await prune(self.studio.saver, self.id)
            return await self.state()

    async def _take_turn(self, run: Run) -> None:
        before, failed = await self.state(), None
        try:
            graph: Any = self.studio.graph
            await graph.ainvoke({"seed": before.seed}, self.config, context=run)
        except InputError as error:
            failed = Failed("input", str(error))
        except ConfigError as error:
            failed = Failed("config", str(error))
        else:
            await self._remember(await self.state())
        await prune(self.studio.saver, self.id)
        # Last, because a listener may close the studio on hearing it.
        if failed is not None:
            run.emit(failed)

    async def _remember(self, state: State) -> None:
        if self.studio.settings.remember_taste:
            await asyncio.to_thread(self.studio.taste.write, state.card)


def _put(loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[Event | None], event: Event) -> None:
    loop.call_soon_threadsafe(queue.put_nowait, event)


def _read(file: File) -> tuple[str, bytes]:
    if isinstance(file, tuple):
        return file
    path = Path(file)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error

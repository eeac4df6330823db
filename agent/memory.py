"""What outlives a process: conversations in SQLite, and the person's taste in a file they can read, copy and delete."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pydantic import ValidationError

from agent.state import Line, Reference, Turn
from tools.errors import ConfigError
from tools.recipe import ImageRecord
from tools.taste import TasteCard
from tools.types import Critique, Layout

DATABASE = "conversations.sqlite"
CARD = "taste.json"
SAVED = (TasteCard, Layout, ImageRecord, Critique, Reference, Line, Turn)
"""The types of ours that a checkpoint may bring back; anything else in the file stays plain data."""


@asynccontextmanager
async def open_checkpointer(data: Path) -> AsyncGenerator[AsyncSqliteSaver]:
    """Open the conversations of a data folder."""
    try:
        await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the data folder {str(data)!r} cannot be made: {error.strerror}") from error
    async with aiosqlite.connect(data / DATABASE) as connection:
        # Two processes may share a data folder; the second waits for the first one's write.
        await connection.execute("PRAGMA busy_timeout = 10000")
        saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=SAVED))
        await saver.setup()
        yield saver


async def conversations(saver: AsyncSqliteSaver) -> list[str]:
    """Return the ids of all conversations, the one that was active last first."""
    query = "SELECT thread_id FROM checkpoints GROUP BY thread_id ORDER BY MAX(checkpoint_id) DESC"
    async with saver.lock, saver.conn.execute(query) as rows:
        return [str(row[0]) async for row in rows]


async def prune(saver: AsyncSqliteSaver, conversation: str) -> None:
    """Keep only the newest checkpoint of a conversation: steps of turns that are over are never gone back to."""
    keep = "SELECT MAX(checkpoint_id) FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ''"
    async with saver.lock:
        for table in ("checkpoints", "writes"):
            await saver.conn.execute(
                f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < ({keep})", (conversation, conversation)
            )
        await saver.conn.commit()


class TasteStore:
    """The person's taste card across conversations: one readable JSON file."""

    def __init__(self, data: Path) -> None:
        self.path = data / CARD

    def read(self) -> TasteCard:
        """Return the stored card, or an empty one.

        Raises:
            ConfigError: the file was edited into something that is no card.
        """
        try:
            return TasteCard.model_validate_json(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return TasteCard()
        except (ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(f"{str(self.path)!r} is not a taste card any more; mend or delete it") from error

    def write(self, card: TasteCard) -> None:
        """Store a card."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=self.path.parent, suffix=".partial")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(card.model_dump_json(indent=2) + "\n")
        Path(partial).replace(self.path)

    def delete(self) -> bool:
        """Forget the taste; say whether there was one."""
        existed = self.path.exists()
        self.path.unlink(missing_ok=True)
        return existed

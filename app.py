"""The web page: Chainlit's events on one side, `agent.session` on the other, and nothing else."""

import asyncio
import logging
import secrets
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, cast

import chainlit as cl
from chainlit import server
from chainlit.utils import utc_now
from fastapi import Request, Response

from agent import words
from agent.display import Card, TurnDisplay, history
from agent.lobby import Lobby
from agent.session import Session, Studio
from agent.settings import load_settings

COOKIE = "attune_browser"  # tells browsers apart, so that a page opened again goes on where it was
ONLY_OURS = "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
server.sio.eio.cors_allowed_origins = None  # its own pages only: there is no login that would keep other sites out
UPLOADS = Path(tempfile.mkdtemp(prefix="attune-"))
# Chainlit's own folder for them lies in the checkout, and any server that ends deletes it for all of them.
server.FILES_DIRECTORY = vars(sys.modules["chainlit.config"])["FILES_DIRECTORY"] = UPLOADS
stack = AsyncExitStack()
cl.on_app_shutdown(stack.aclose)
lobby: Lobby  # what the pages of this process share


@server.app.middleware("http")
async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let the page load nothing from the network; give a new browser its cookie."""
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = ONLY_OURS
    if COOKIE not in request.cookies and response.headers.get("content-type", "").startswith("text/html"):
        response.set_cookie(COOKIE, secrets.token_hex(8), max_age=10**8, httponly=True, samesite="strict")
    return response


@cl.on_app_startup
async def open_lobby() -> None:
    """Open the data folder."""
    global lobby
    lobby = Lobby(await stack.enter_async_context(Studio.open(load_settings())))


def visitor() -> str:
    """Name the browser behind the current event."""
    cookies = SimpleCookie((cl.context.session.environ or {}).get("HTTP_COOKIE", ""))
    return cookies[COOKIE].value if COOKIE in cookies else cl.context.session.id


@cl.set_starters
async def starters(_user: Any) -> list[cl.Starter]:
    """Offer first sentences."""
    return [cl.Starter(label=text, message=text) for text in words.STARTERS]


@cl.on_chat_start
async def start() -> None:
    """Go on with the conversation of this browser; else offer the earlier ones."""
    lobby.warm()
    if talk := await lobby.enter(visitor()):
        await show_history(talk)
    elif known := await lobby.earlier():
        offers = [cl.Action(name="reopen", payload={"name": name}, label=title) for name, title in known]
        await cl.Message(words.WELCOME, actions=offers).send()


@cl.action_callback("reopen")  # pyright: ignore[reportUntypedFunctionDecorator]
async def reopen(action: cl.Action) -> None:
    """Go on with the earlier conversation that was chosen."""
    if talk := await lobby.reopen(visitor(), str(action.payload.get("name"))):
        await show_history(talk)


@cl.on_chat_end
async def end() -> None:
    """Leave the conversation where "New conversation" was pressed; a page that was only closed goes on later."""
    await asyncio.sleep(0.01)  # the button's event may be handled just after this one
    if getattr(cl.context.session, "to_clear", False):
        lobby.leave(visitor())


@cl.on_stop
async def stop() -> None:
    """End the running turn, whichever message began it; it says so itself, so Chainlit's own words go."""
    (await lobby.session(visitor())).stop()
    for message in [m for m in cl.chat_context.get() if m.content == "Task manually stopped."]:
        await message.remove()


@cl.on_message
async def on_message(message: cl.Message) -> None:
    """Take the turn in a task of its own: Chainlit's Stop cancels this one, but a stopped turn has an end to show."""
    talk = await lobby.session(visitor())
    turn = lobby.take(talk, take_turn(talk, message))
    with suppress(asyncio.CancelledError):
        await asyncio.shield(turn)
    await turn


async def take_turn(talk: Session, message: cl.Message) -> None:
    """Send the message and draw what happens; a fault ends the turn, not the conversation."""
    display, drawn = TurnDisplay(lobby.loading), dict[str, Any]()
    try:
        files = [(e.name, await asyncio.to_thread(Path(e.path).read_bytes)) for e in message.elements if e.path]
        async with aclosing(talk.send(message.content, files, previews=True)) as happening:
            async for event in happening:
                for card in display.cards(event):
                    await draw(card, drawn)
    except Exception as error:
        logging.getLogger("attune").exception("a turn failed")
        for card in display.fault(error):
            await draw(card, drawn)


async def show_history(talk: Session) -> None:
    """Draw the conversation so far, in place of whatever the page shows."""
    await cl.context.emitter.resume_thread(cast("Any", {"id": talk.id, "steps": [], "elements": []}))
    for card in history(await talk.state(), talk):
        await draw(card, {})
    if await lobby.idle(talk):
        await show_history(talk)


async def draw(card: Card, drawn: dict[str, Any]) -> None:
    """Put a card on the page, or in the place of the card of its key."""
    item: Any = drawn.get(card.key)
    if card.kind in ("thought", "tool"):
        kind = "llm" if card.kind == "thought" else "tool"
        item = item or cl.Step(card.title, kind, parent_id=getattr(cl.context.current_run, "id", None))
        item.start = item.start or utc_now()
        item.output, item.is_error, item.end = card.text, not card.ok, utc_now() if card.done else None
    else:
        item = item or cl.Message("", type="user_message" if card.kind == "said" else "assistant_message")
        item.content, item.is_error = card.text, card.kind == "error"
        item.elements = [cl.Image(id=f"{item.id}-{n}", **i) for n, i in enumerate(card.images)]
    await (item.update() if card.key in drawn else item.send())
    drawn[card.key] = item

"""The web page as a browser meets it: the real server, a real tiny SDXL, and a fixed rule in place of the reasoning."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import socketio
from PIL import Image
from socketio.exceptions import ConnectionError as RefusedError

from tests import loopback_brain
from tests.diffusion.tiny_sdxl import build

ROOT = Path(__file__).parents[1]
PATIENCE = 300.0
"""Seconds to wait for anything: a loaded machine is slow, and a wait that is met ends at once."""
COOKIE = "attune_browser"


@contextmanager
def serving(settings: dict[str, str]) -> Generator[str]:
    """Run the page's own server; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "chainlit", "run", str(ROOT / "app.py"), "--headless", "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        address, started = f"http://127.0.0.1:{port}", time.monotonic()
        try:
            while not _answers(address):
                assert server.poll() is None, server.stdout and server.stdout.read()
                assert time.monotonic() - started < PATIENCE
                time.sleep(0.1)
            yield address
        finally:
            server.terminate()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    place = tmp_path_factory.mktemp("page")
    build().save_pretrained(place / "sdxl")
    with loopback_brain.running() as brain:
        yield {
            "ATTUNE_CHAT_SERVER": brain,
            "ATTUNE_IMAGE_MODEL": str(place / "sdxl"),
            "ATTUNE_DATA": str(place / "data"),
            "ATTUNE_WIDTH": "64",
            "ATTUNE_HEIGHT": "64",
            "ATTUNE_STEPS": "30",
        }


@pytest.fixture(scope="module")
def address(settings: dict[str, str]) -> Generator[str]:
    with serving(settings) as running:
        yield running


@dataclass
class Page:
    """What a browser would show, and how it would act."""

    address: str
    client: socketio.AsyncClient
    http: httpx.AsyncClient
    session: str
    items: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Messages and steps by id."""
    images: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    actions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    sketches: int = 0
    busy: bool = False

    def listen(self) -> None:
        def put(item: dict[str, Any]) -> None:
            self.items[item["id"]] = item

        def image(element: dict[str, Any]) -> None:
            self.sketches += (element["url"] or "").startswith("data:image/jpeg")
            self.images[element["id"]] = element

        def resume(_: dict[str, Any]) -> None:
            self.items, self.images = {}, {}

        def work(busy: bool) -> None:
            self.busy = busy

        handlers: dict[str, Callable[..., Any]] = {
            "new_message": put,
            "update_message": put,
            "element": image,
            "action": self.actions.append,
            "resume_thread": resume,
            "delete_message": lambda item: self.items.pop(item["id"], None),
            "task_start": lambda _: work(True),
            "task_end": lambda _: work(False),
        }
        for event, handler in handlers.items():
            self.client.on(event, handler)

    async def until(self, met: Callable[[], Any]) -> None:
        started = time.monotonic()
        while not met():
            assert time.monotonic() - started < PATIENCE, [i.get("output") for i in self.items.values()]
            await asyncio.sleep(0.01)

    async def say(self, text: str, files: list[str] | None = None) -> None:
        """Send a message and wait for its turn to end."""
        await self.begin(text, files)
        await self.until(lambda: not self.busy)

    async def begin(self, text: str, files: list[str] | None = None) -> None:
        message = {"id": str(uuid.uuid4()), "createdAt": "2026-01-01T00:00:00Z", "type": "user_message"}
        message |= {"name": "User", "output": text}
        self.busy = True
        await self.client.emit(
            "client_message", {"message": message, "fileReferences": [{"id": f} for f in files or []]}
        )

    async def upload(self, name: str, data: bytes, mime: str) -> httpx.Response:
        where = f"{self.address}/project/file?session_id={self.session}"
        return await self.http.post(where, files={"file": (name, data, mime)})

    async def fetch(self) -> httpx.Response:
        """Load the newest picture."""
        where = f"{self.address}/project/file/{list(self.images.values())[-1]['chainlitKey']}"
        return await self.http.get(where, params={"session_id": self.session})

    def texts(self, kind: str) -> list[str]:
        """What messages or steps of a type say, in order."""
        return [i["output"] for i in self.items.values() if i["type"] == kind]

    @property
    def answer(self) -> str:
        return self.texts("assistant_message")[-1]


@asynccontextmanager
async def opened(address: str, browser: str, origin: str = "") -> AsyncGenerator[Page]:
    """Open the page in a browser that has that cookie."""
    session, client = str(uuid.uuid4()), socketio.AsyncClient(reconnection=False)
    async with httpx.AsyncClient(cookies={COOKIE: browser}) as http:
        page = Page(address, client, http, session)
        page.listen()
        auth = {"sessionId": session, "clientType": "webapp", "userEnv": "{}"}
        headers = {"Cookie": f"{COOKIE}={browser}"} | ({"Origin": origin} if origin else {})
        await client.connect(
            address,
            headers=headers,
            auth=auth,
            transports=["websocket"],
            socketio_path="/ws/socket.io",
            wait_timeout=60,
        )
        page.busy = True
        await client.emit("connection_successful")
        await page.until(lambda: any(i["name"] == "on_chat_start" and i["end"] for i in page.items.values()))
        await page.until(lambda: not page.busy)
        yield page
        await client.disconnect()


def png(tmp_path: Path) -> bytes:
    Image.new("RGB", (40, 40), "navy").save(tmp_path / "mood.png")
    return (tmp_path / "mood.png").read_bytes()


async def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    async with httpx.AsyncClient() as http:
        page = await http.get(address)
        again = await http.get(address, cookies={COOKIE: "known"})

    assert "fonts.googleapis.com/css" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "Set-Cookie" not in again.headers


async def test_other_sites_may_not_talk_to_it(address: str) -> None:
    with pytest.raises(RefusedError):
        async with opened(address, "stranger", origin="http://elsewhere.example"):
            pass


async def test_a_turn_shows_thoughts_tools_progress_and_the_picture(address: str) -> None:
    async with opened(address, "painter") as page:
        await page.say("draw a red circle and a blue square")

        tools = {i["name"]: i["output"] for i in page.items.values() if i["type"] == "tool"}
        (picture,) = [i for i in page.items.values() if i["output"].startswith("**@1**")]
        (image,) = page.images.values()
        file = await page.fetch()
    assert "A new picture; I plan it first." in page.texts("llm")
    assert page.texts("llm")[-1] == "That is done."
    assert "- red circle: left" in tools["Plan the layout"]
    assert "✓ blue square right" in tools["Check the picture"]
    assert "seed " in picture["output"]
    assert page.sketches == 30
    assert image["forId"] == picture["id"]
    assert file.content.startswith(b"\x89PNG")
    assert page.answer == "There it is."
    assert all(i["end"] for i in page.items.values())


async def test_pictures_are_attached_and_what_is_none_is_told(address: str, tmp_path: Path) -> None:
    async with opened(address, "shower") as page:
        fine = await page.upload("mood.png", png(tmp_path), "image/png")
        lie = await page.upload("notes.png", b"just words", "image/png")
        document = await page.upload("notes.txt", b"just words", "text/plain")
        await page.say("", [lie.json()["id"]])
        refused = page.answer
        await page.say("", [fine.json()["id"]])

    assert document.status_code == 400
    assert "'notes.png' is not a picture" in refused
    assert "ref1 read: halftone, gloomy" in "".join(page.texts("tool"))
    assert page.answer == "There it is."


async def test_stop_ends_the_painting_and_the_conversation_goes_on(address: str) -> None:
    async with opened(address, "hasty") as page:
        await page.begin("draw a red circle and a blue square")
        await page.until(lambda: page.sketches)
        await page.client.emit("stop")
        await page.until(lambda: not page.busy)
        stopped, sketches = page.answer, page.sketches
        await page.say("hello")

    assert stopped == "Stopped, as you asked."
    assert "Task manually stopped." not in page.texts("assistant_message")
    assert sketches < 30
    assert any(text.startswith("Stopped. Painting") for text in page.texts("assistant_message"))
    assert page.answer == "Tell me what to draw."


async def test_a_second_message_is_refused_while_the_first_is_at_work(address: str) -> None:
    async with opened(address, "eager") as page:
        await page.begin("draw a red circle and a blue square")
        await page.until(lambda: page.sketches)
        await page.begin("draw another")
        await page.until(lambda: any("still at work" in text for text in page.texts("assistant_message")))
        await page.until(lambda: "There it is." in page.texts("assistant_message"))

    assert len(page.images) == 1


async def test_the_page_answers_others_while_it_paints(address: str) -> None:
    async with opened(address, "slow") as page:
        await page.begin("draw a red circle and a blue square")
        await page.until(lambda: page.sketches)
        before = page.sketches
        assert (await page.http.get(f"{address}/health")).is_success
        during = page.sketches
        await page.until(lambda: page.answer == "There it is.")

    assert before <= during < page.sketches


async def test_a_new_conversation_is_empty_and_offers_the_old_one(address: str) -> None:
    async with opened(address, "wanderer") as page:
        await page.say("hello there")
        await page.client.emit("clear_session")
        await asyncio.sleep(0.2)  # leave it time to be sent
    async with opened(address, "wanderer") as page:
        assert page.texts("user_message") == []
        (offer,) = [a for a in page.actions if a["label"] == "hello there"]
        await page.http.post(f"{address}/project/action", json={"sessionId": page.session, "action": offer})
        await page.until(lambda: "Tell me what to draw." in page.texts("assistant_message"))

        assert page.texts("user_message") == ["hello there"]


async def test_a_conversation_goes_on_in_another_process(address: str, settings: dict[str, str]) -> None:
    async with opened(address, "keeper") as page:
        await page.say("draw a red circle and a blue square")
    with serving(settings) as later:
        async with opened(later, "keeper") as page:
            shown, pictures = page.texts("assistant_message"), len(page.images)
            await page.say("go back to @1")
            file = await page.fetch()

    assert (shown[0][:6], shown[1], pictures) == ("**@1**", "There it is.", 1)
    assert page.answer == "@1 is back."
    assert file.content.startswith(b"\x89PNG")


async def test_a_server_that_ended_took_no_picture_of_another_with_it(address: str) -> None:
    """Chainlit deletes its folder of served files when it ends; each of our servers has one of its own."""
    async with opened(address, "keeper") as page:
        file = await page.fetch()

    assert file.content.startswith(b"\x89PNG")

"""OpenAICompatibleChat against a real HTTP server on loopback that answers as vLLM does."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Iterator
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.tools import tool
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from vlm.errors import ContextOverflowError, MalformedOutputError, ServerError, StoppedError
from vlm.images import about
from vlm.messages import thought_of
from vlm.server import OpenAICompatibleChat

ASKED: list[BaseMessage] = [about(Image.new("RGB", (4, 4), "red"), "Is it red?")]
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


@tool
def draw(base: str) -> str:
    """Draw a picture."""
    return base


class Card(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(max_length=6)


class Server(ThreadingHTTPServer):
    """Plays prepared replies in order and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[tuple[int, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def will(self, message: dict[str, Any] | None = None, *, finish: str = "stop", **choice: Any) -> None:
        body = {"role": "assistant", "content": "", **(message or {})}
        self.replies.append((200, completion({"message": body, "finish_reason": finish, **choice})))

    def will_wait(self, seconds: float) -> None:
        self.replies.append((200, seconds))

    def will_stream(self, *deltas: dict[str, Any]) -> None:
        parts = [completion({"delta": delta, "finish_reason": None}) for delta in deltas]
        parts.append(completion({"delta": {}, "finish_reason": "stop"}))
        self.replies.append((200, parts))

    def will_fail(self, status: int, message: str) -> None:
        # The client tries a failed server once more.
        self.replies += [(status, {"error": {"message": message, "type": "error", "code": status}})] * 2


def completion(choice: dict[str, Any]) -> dict[str, Any]:
    kind = "chat.completion.chunk" if "delta" in choice else "chat.completion"
    whole = {"id": "1", "object": kind, "created": 0, "model": "qwen", "choices": [{"index": 0, **choice}]}
    return whole if "delta" in choice else {**whole, "usage": USAGE}


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, reply = self.server.replies.pop(0)
        if isinstance(reply, float):
            time.sleep(reply)
            return
        self.send_response(status)
        if isinstance(reply, list):
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for part in reply:
                self.wfile.write(f"data: {json.dumps(part)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")
            return
        body = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
        self.send_header("Content-Type", "text/html" if isinstance(reply, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def chat(server: Server) -> OpenAICompatibleChat:
    return OpenAICompatibleChat.connect(f"http://127.0.0.1:{server.server_port}/v1", "qwen", max_new_tokens=50)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_the_thought_is_kept(server: Server, chat: OpenAICompatibleChat, name: str) -> None:
    server.will({"content": "Yes.", name: "It is red."})
    server.will({"content": "Yes.", name: "It is red."})

    for reply in (chat.invoke(ASKED), await chat.ainvoke(ASKED)):
        assert (reply.content, thought_of(reply)) == ("Yes.", "It is red.")
        assert reply.usage_metadata is not None
        assert reply.usage_metadata["input_tokens"] == 5


def test_a_thought_left_in_the_content_is_told_apart(server: Server, chat: OpenAICompatibleChat) -> None:
    server.will({"content": "<think>\nIt is red.\n</think>\n\nYes."})

    reply = chat.invoke(ASKED)

    assert (reply.content, thought_of(reply)) == ("Yes.", "It is red.")


async def test_thought_and_answer_stream_in_chunks_of_their_own(server: Server, chat: OpenAICompatibleChat) -> None:
    deltas = [{"role": "assistant", "content": ""}, {"reasoning_content": "It "}, {"reasoning_content": "is red."}]
    server.will_stream(*deltas, {"content": "Y"}, {"content": "es."})

    chunks = [chunk async for chunk in chat.astream(ASKED)]
    whole: AIMessageChunk = reduce(add, chunks)

    assert [thought_of(chunk) for chunk in chunks if thought_of(chunk)] == ["It ", "is red."]
    assert (whole.content, thought_of(whole)) == ("Yes.", "It is red.")


def test_the_request_carries_image_tools_and_limits(server: Server, chat: OpenAICompatibleChat) -> None:
    call = {"id": "7", "type": "function", "function": {"name": "draw", "arguments": '{"base": "new"}'}}
    server.will({"tool_calls": [call]}, finish="tool_calls")

    reply = chat.bind_tools([draw], tool_choice="any").invoke(ASKED)

    assert [(c["name"], c["args"]) for c in reply.tool_calls] == [("draw", {"base": "new"})]
    (asked,) = server.asked
    assert asked["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert asked["tools"][0]["function"]["name"] == "draw"
    assert asked["tool_choice"] == "required"
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("qwen", 50, 0.0)


async def test_structured_output_is_the_servers_and_still_checked(server: Server, chat: OpenAICompatibleChat) -> None:
    server.will({"content": '{"word": "calm"}'})

    assert chat.with_structured_output(Card).invoke(ASKED) == Card(word="calm")

    form = server.asked[0]["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["properties"]["word"]["maxLength"] == 6


async def test_a_malformed_document_gets_one_repair_turn(server: Server, chat: OpenAICompatibleChat) -> None:
    server.will({"content": "sorry"})
    server.will({"content": '{"word": "calm"}'})

    assert await chat.with_structured_output(Card).ainvoke(ASKED) == Card(word="calm")

    assert [message["role"] for message in server.asked[1]["messages"]] == ["user", "assistant", "user"]
    server.will({"content": "sorry"})
    with pytest.raises(MalformedOutputError):
        await chat.with_structured_output(Card, repair=False).ainvoke(ASKED)


def test_a_document_cut_off_is_malformed(server: Server, chat: OpenAICompatibleChat) -> None:
    server.will({"content": '{"wor'}, finish="length")

    with pytest.raises(MalformedOutputError, match="cut off"):
        chat.with_structured_output(Card, repair=False).invoke(ASKED)


async def test_the_probability_of_yes_comes_from_logprobs(server: Server, chat: OpenAICompatibleChat) -> None:
    listed = [("Yes", 0.5), (" yes", 0.1), ("No", 0.2), ("Maybe", 0.2)]
    top = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in listed]
    logprobs = {"content": [{"token": "Yes", "logprob": top[0]["logprob"], "bytes": None, "top_logprobs": top}]}
    server.will({"content": "Yes"}, finish="length", logprobs=logprobs)
    server.will({"content": "Yes"}, finish="length", logprobs=logprobs)

    # (0.5 + 0.1) / (0.5 + 0.1 + 0.2)
    assert chat.yes_probability(ASKED) == pytest.approx(0.75)
    assert await chat.ayes_probability(ASKED) == pytest.approx(0.75)
    assert (server.asked[0]["max_tokens"], server.asked[0]["logprobs"]) == (1, True)


def test_a_server_without_logprobs_is_said_to_be_one(server: Server, chat: OpenAICompatibleChat) -> None:
    server.will({"content": "Yes"})

    with pytest.raises(MalformedOutputError, match="logprob"):
        chat.yes_probability(ASKED)


async def test_a_server_that_is_not_there_is_a_typed_error() -> None:
    nobody = OpenAICompatibleChat.connect("http://127.0.0.1:9/v1", "qwen", max_retries=0, timeout=2.0)

    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9"):
        await nobody.ainvoke(ASKED)
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9"):
        list(nobody.stream(ASKED))


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_server_that_fails_is_a_typed_error(server: Server, chat: OpenAICompatibleChat, status: int) -> None:
    server.will_fail(status, "no such luck")

    with pytest.raises(ServerError, match="no such luck"):
        chat.invoke(ASKED)


def test_something_else_on_the_port_is_a_typed_error(server: Server, chat: OpenAICompatibleChat) -> None:
    server.replies += [(200, "<html>a router's login page</html>")] * 2

    with pytest.raises(ServerError):
        chat.invoke(ASKED)


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "prompt is too long",
    ],
    ids=["vllm", "sglang", "openai"],
)
def test_too_long_a_conversation_is_a_typed_error(server: Server, chat: OpenAICompatibleChat, words: str) -> None:
    server.will_fail(400, words)

    with pytest.raises(ContextOverflowError):
        chat.invoke(ASKED)


def test_a_known_limit_is_kept_without_asking(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    small = OpenAICompatibleChat.connect(url, "qwen", context_length=100)

    with pytest.raises(ContextOverflowError) as caught:
        small.invoke([HumanMessage("word " * 500)])

    assert caught.value.limit == 100
    assert not server.asked


def test_the_estimate_of_tokens_errs_above() -> None:
    chat = OpenAICompatibleChat.connect("http://127.0.0.1:9/v1", "qwen")
    words = chat.count_tokens([HumanMessage("a plain sentence of seven English words")])

    assert words > 7
    assert chat.count_tokens([HumanMessage("hi")], [draw]) > chat.count_tokens([HumanMessage("hi")])
    assert chat.count_tokens(ASKED) > 1000


async def test_a_set_event_stops_a_stream(server: Server, chat: OpenAICompatibleChat) -> None:
    stop, seen = threading.Event(), 0
    server.will_stream(*[{"content": "x"}] * 50)

    async def watch() -> None:
        nonlocal seen
        async for _ in chat.astream(ASKED, {"configurable": {"stop_event": stop}}):
            seen += 1
            stop.set()

    with pytest.raises(StoppedError):
        await watch()

    assert seen == 1
    with pytest.raises(StoppedError):
        await chat.ainvoke(ASKED, {"configurable": {"stop_event": stop}})


async def test_a_set_event_does_not_wait_for_a_slow_server(server: Server, chat: OpenAICompatibleChat) -> None:
    for ask in (chat.ainvoke, chat.ayes_probability):
        stop = threading.Event()
        server.will_wait(3.0)
        asyncio.get_running_loop().call_later(0.1, stop.set)
        started = time.perf_counter()

        with pytest.raises(StoppedError):
            await ask(ASKED, {"configurable": {"stop_event": stop}})

        assert time.perf_counter() - started < 2.0


def test_the_arguments_of_the_model_in_process_are_understood(server: Server, chat: OpenAICompatibleChat) -> None:
    server.will({"content": "Yes."})

    chat.invoke(ASKED, max_new_tokens=7, think=False, max_thought_tokens=3)

    assert server.asked[0]["max_tokens"] == 7
    assert "think" not in server.asked[0]

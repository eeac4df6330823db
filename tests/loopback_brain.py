"""A server on loopback that decides by a fixed rule: for testing doors, where what the reasoning says is no matter."""

import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REGIONS = [
    {"name": "red circle", "prompt": "a red circle", "box": [60, 320, 420, 680]},
    {"name": "blue square", "prompt": "a blue square", "box": [580, 320, 940, 680]},
]


class Brain(BaseHTTPRequestHandler):
    """Plans, paints and answers; reads any picture as gloomy."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            thought, reply = decision(text_of(asked["messages"][-1]))
            deltas = [{"role": "assistant", "content": ""}]
            deltas += [{"reasoning_content": f"{word} "} for word in thought.split()] + reply
            chunks = [{"delta": delta, "finish_reason": None} for delta in deltas]
            self._stream([*chunks, {"delta": {}, "finish_reason": "stop"}])
        elif "response_format" in asked:
            self._reply({"content": json.dumps(document(asked["response_format"]["json_schema"]))})
        else:
            yes = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.4}]
            first = {"token": "Yes", "logprob": -0.1, "bytes": None, "top_logprobs": yes}
            self._reply({"content": "Yes"}, logprobs={"content": [first]})

    def _reply(self, message: dict[str, Any], **choice: Any) -> None:
        whole = {"message": {"role": "assistant", **message}, "finish_reason": "stop", **choice}
        body = json.dumps({**ENVELOPE, "object": "chat.completion", "choices": [{"index": 0, **whole}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, choices: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for choice in choices:
            part = {**ENVELOPE, "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
            self.wfile.write(f"data: {json.dumps(part)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


ENVELOPE = {"id": "1", "created": 0, "model": "brain"}


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def decision(shown: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a thought, and the deltas of an answer or of a tool call."""
    done = shown.rpartition("done: ")[2]
    said = re.findall(r"said: (.*)", shown)[-1]
    if "check" in done or "error" in done or ("read:" in done and "draw" not in said):
        return "That is done.", [{"content": "There "}, {"content": "it is."}]
    if back := re.search(r"back to (@\d+)", said):
        if "head now" in done:
            return "I went back.", [{"content": f"{back[1]} is back."}]
        return "They want an earlier one.", tool("recall_image", image=back[1])
    if "plan ready" in done:
        return "I paint it.", tool("generate_image", base="new", keep=False)
    if (attached := re.search(r"(ref\d+) new", shown)) and "read:" not in done:
        return "A picture! I look at it.", tool("extract_preferences", image=attached[1])
    if "draw" in said:
        return "A new picture; I plan it first.", tool("plan_layout", base="new")
    return "No picture is asked for.", [{"content": "Tell me what to draw."}]


def tool(name: str, **arguments: Any) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": function}]}]


def document(schema: dict[str, Any]) -> dict[str, Any]:
    if "regions" in schema["schema"]["properties"]:
        return {"regions": REGIONS, "background": "seaside", "prompt": "a red circle, a blue square"}
    return {"artistic_style": ["halftone"], "atmosphere": ["gloomy"], "theme": [], "visual_elements": []}


@contextmanager
def running() -> Generator[str]:
    """Serve on a free port; yields the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Brain) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()

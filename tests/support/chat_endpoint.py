"""A chat completions server on the loopback, which says what a test wants it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


class Endpoint:
    """A chat completions server on the loopback that remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Answer = lambda body: (200, reply("CORRECT"))
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(body)
                endpoint.headers.append(dict(self.headers))
                status, sent = endpoint.answer(body) if self.path == "/v1/chat/completions" else (404, "no such place")
                payload = sent.encode() if isinstance(sent, str) else json.dumps(sent).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self) -> list[str]:
        """What the user's turns said."""
        return [request["messages"][1]["content"] for request in self.requests]


def reply(text: str, prompt_tokens: int | None = None, completion_tokens: int | None = None) -> dict[str, Any]:
    """Return a completion that says `text`, and how many tokens were used if they are given."""
    said: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    if prompt_tokens is not None:
        said["usage"] = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return said


@contextmanager
def serving() -> Iterator[Endpoint]:
    """Serve for the length of the block."""
    served = Endpoint()
    yield served
    served.server.shutdown()
    served.server.server_close()

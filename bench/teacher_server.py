"""A teacher for benchmarks: a program behind a chat completions endpoint on the loopback.

It is no language model: it reads which tasks the prompt says were failed, and writes another of the same kind with its
domain's own program, or of any kind where none is shown. So it knows as much as a teacher can of what a task is, and
nothing of why one is hard. Counted as tokens are words.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from agent0.domains import Domain, get_domain
from agent0.domains.arithmetic_grammar import expression_of
from agent0.domains.word_problems import TEMPLATES

FAILED = re.compile(r"^- (.*?) Answers: ", re.MULTILINE)


@contextmanager
def teaching(domain: str, address: str) -> Iterator[None]:
    """Serve a teacher of a domain at an address of the loopback for the length of the block."""
    taught = get_domain(domain)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            payload = json.dumps(completion(taught, body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", urlsplit(address).port or 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def completion(domain: Domain, body: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a request, the same whenever it is asked."""
    rng = random.Random(body["seed"])
    asked = " ".join(message["content"] for message in body["messages"])
    wanted = {kind(question) for question in FAILED.findall(asked)} - {""}
    said = f"<question>{write(domain, wanted, rng)}</question>"
    usage = {"prompt_tokens": len(asked.split()), "completion_tokens": len(said.split())}
    return {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "usage": usage}


def write(domain: Domain, wanted: set[str], rng: random.Random) -> str:
    """Return a question of one of the wanted kinds that is not reserved for evaluation."""
    assert domain.draw is not None
    while True:
        task = domain.draw(rng)
        if not domain.held_out(task.question) and (not wanted or kind(task.question) in wanted):
            return task.question


def kind(question: str) -> str:
    """Return what kind of task a question is: its template, or how many operands of how many digits; '' if unknown."""
    expression = expression_of(question)
    if expression is not None:
        operands = re.findall(r"\d+", expression)
        return f"{len(operands)}x{max(map(len, operands))}"
    return next((template.name for template in TEMPLATES if template.read(question)), "")

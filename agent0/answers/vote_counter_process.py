"""The process that counts votes: `python -m agent0.answers.vote_counter_process`, asked and answering in lines of JSON.

It holds a grader of its own, whose workers can be killed, and counts two votes for each of them: one is compared while
the other is read. It ends at the end of its input, and so with whoever started it.
"""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent0.answers.grader import Grader
from agent0.answers.vote import vote
from agent0.errors import explain

VOTES_PER_WORKER = 2


def serve(requests: Any, replies: Any) -> None:
    """Count votes until the input ends.

    Args:
        requests: binary stream of lines `{"number", "answers"}`.
        replies: binary stream for lines `{"number", "vote"}` or `{"number", "error"}`, in the order in which they are
            reached.
    """
    writing = threading.Lock()

    def count(line: bytes, grader: Grader) -> None:
        request = json.loads(line)
        reply: dict[str, object] = {"number": request["number"]}
        try:
            reply["vote"] = vote(request["answers"], grader).model_dump()
        except Exception as error:  # whatever it is, somebody waits for this vote and must be told
            reply["error"] = explain(error)
        with writing:
            replies.write(json.dumps(reply).encode() + b"\n")
            replies.flush()

    threads = ThreadPoolExecutor(VOTES_PER_WORKER * len(os.sched_getaffinity(0)))
    with Grader() as grader:
        for line in requests:
            threads.submit(count, line, grader)
        threads.shutdown(cancel_futures=True)


def main() -> None:
    """Serve on standard input and output."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what prints is no reply
    serve(os.fdopen(0, "rb", closefd=False), replies)


if __name__ == "__main__":
    main()

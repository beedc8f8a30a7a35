r"""Finding the final answer in a model's text: the last `\boxed{...}`, by counting braces.

Answers given in prose, or by an `Answer:` line, are the business of the benchmarks that ask for them
(`agent0.evaluation`).
"""

from __future__ import annotations

import re

# A box opens with \boxed{ or \fbox{ (doubled backslashes come from models that write JSON). An escaped
# character, \{ and \} among them, is typeset and opens or closes nothing.
_TOKEN = re.compile(r"(\\{1,4}(?:boxed|fbox)\s{0,8}\{)|\\.|\{|\}", re.DOTALL)
_OPENS = re.compile(r"\\{1,4}(?:boxed|fbox)")


def extract_boxed(text: str) -> str | None:
    r"""Return the stripped content of the last box of `text`, or None where there is none.

    The last box is the one that starts last, so of nested boxes the innermost counts. A box that never closes
    (a truncated text) is no box, and neither is one that holds only whitespace: `\boxed{}` is the instruction
    echoed. One pass over the text, so time is linear in its length.
    """
    first = _OPENS.search(text)
    if first is None:
        return None
    open_groups: list[int] = []  # where the content of each open box starts; -1 for a plain brace
    best_start, best = -1, None
    for match in _TOKEN.finditer(text, first.start()):
        token = match.group()
        if match.group(1) is not None:
            open_groups.append(match.end())
        elif token == "{":
            open_groups.append(-1)
        elif token == "}" and open_groups:
            start = open_groups.pop()
            if start > best_start and (content := text[start : match.start()].strip()):
                best_start, best = start, content
    return best

"""What a program's uncaught exception looks like: Python's own report, kept short, and what a model can do about it.

A refusal of the sandbox surfaces deep in a library that never expected it; its report shows the program's own frames,
the error, and one sentence on what to do instead. Everything else is reported as Python does.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from types import TracebackType

_MAX_FRAMES, _KEPT_FRAMES = 1100, 100  # more than Python's own recursion limit allows; from either end
_MAX_REPORT, _KEPT_OF_LONG = 20_000, 20  # characters of a report that shows all its calls; calls from either end else
_MAX_LINE = 2000
_HERE = __file__.removesuffix("error_report.py")
_NETWORK = "There is no network here: work with what the program itself holds."
_SYSTEM = "The sandbox refuses that: no other processes, no installing; do it in this program, with threads if need be."
_NOTEBOOK = (
    "Lines that begin with ! or % are of notebooks, not of Python: leave them out; nothing can be installed here."
)
_STDIN = "Read standard input with sys.stdin, input() or open(0)."
_FILES = "Only the working folder can be read and written: use a relative path, or tempfile."
_NESTED = "The program's text is nested too deeply for Python: write it in smaller expressions."
_SOCKET_MODULES = ("socket.py", "selector_events.py", "base_events.py")


def show(error: BaseException, program: str) -> None:
    """Print an uncaught exception of the file `program` on standard error, without the sandbox's own frames."""
    frames = error.__traceback__
    while frames is not None and _file(frames) != program:
        frames = frames.tb_next
    _drop_ours(frames)
    error.__traceback__ = frames
    try:
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(type(error), error, frames)
            return
        refusal = _refusal(error)
        if refusal in (_NETWORK, _SYSTEM):
            _keep_own(frames, program)
        errors = [error] if refusal in (_NETWORK, _SYSTEM) else _chain(error)
        left_out = sum(_shorten(one, _MAX_FRAMES, _KEPT_FRAMES) for one in errors)
        text = _format(error, chain=len(errors) > 1)
        if len(text) > _MAX_REPORT:
            left_out += sum(_shorten(one, 2 * _KEPT_OF_LONG, _KEPT_OF_LONG) for one in errors)
            text = _format(error, chain=len(errors) > 1)
        sys.stderr.write(text)
        if left_out:
            print(f"[{left_out} calls in the middle are not shown.]", file=sys.stderr)
        if refusal:
            print(f"[{refusal}]", file=sys.stderr)
    except BaseException as second:
        # The report itself ran out of memory, or the program's own hook failed; the name at least is known.
        os.write(2, f"{type(error).__name__} (and {type(second).__name__} while it was reported)\n".encode())


def _file(frames: TracebackType) -> str:
    return frames.tb_frame.f_code.co_filename


def _drop_ours(frames: TracebackType | None) -> None:
    """Take the sandbox's frames out of a traceback that begins with a program's: it prints values and has locks."""
    while frames is not None:
        following = frames.tb_next
        while following is not None and _file(following).startswith(_HERE):
            following = following.tb_next
        if following is not frames.tb_next:  # setting it takes as long as the traceback is
            frames.tb_next = following
        frames = following


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and those that led to it."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(found) < _KEPT_FRAMES:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _refusal(error: BaseException) -> str:
    """What to do instead, where the sandbox's walls are behind the error; else ''."""
    if isinstance(error, SyntaxError):
        return _NOTEBOOK if (error.text or "").lstrip().startswith(("!", "%")) else ""
    if isinstance(error, RecursionError) and error.__traceback__ is None:
        return _NESTED
    for one in _chain(error):
        if not isinstance(one, OSError):
            continue
        if type(one).__name__ == "gaierror":
            return _NETWORK
        if one.filename is None and one.errno == errno.EPERM:
            return _NETWORK if _raised_in(one) in _SOCKET_MODULES else _SYSTEM
        if one.filename == "/dev/stdin":
            return _STDIN
        if str(one.filename).startswith("/") and one.errno in (errno.EACCES, errno.EROFS):
            return _FILES
    return ""


def _raised_in(error: BaseException) -> str:
    """Name of the file whose code raised an exception."""
    frames, name = error.__traceback__, ""
    while frames is not None:
        name = _file(frames)
        frames = frames.tb_next
    return name.rpartition("/")[2]


def _keep_own(frames: TracebackType | None, program: str) -> None:
    """Take the frames of other files off the end of a traceback."""
    last = frames
    while frames is not None:
        if _file(frames) == program:
            last = frames
        frames = frames.tb_next
    if last is not None:
        last.tb_next = None


def _format(error: BaseException, chain: bool) -> str:
    report = traceback.TracebackException(type(error), error, error.__traceback__)
    lines = "".join(report.format(chain=chain)).splitlines(keepends=True)
    return "".join(_cut(line) for line in lines)


def _shorten(error: BaseException, most: int, kept: int) -> int:
    """Cut the middle out of a traceback of more than `most` calls, and say how many it had; 0: it is whole."""
    frames: list[TracebackType] = []
    current = error.__traceback__
    while current is not None:
        frames.append(current)
        current = current.tb_next
    if len(frames) <= most:
        return 0
    frames[kept - 1].tb_next = frames[-kept]
    return len(frames) - 2 * kept


def _cut(line: str) -> str:
    if len(line) <= _MAX_LINE:
        return line
    return f"{line[: _MAX_LINE // 2]} … {line[-_MAX_LINE // 2 :]}"

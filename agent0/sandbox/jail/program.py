"""Running one program's text in a forked interpreter so that it behaves as `python -c` would.

Differences from a fresh interpreter, all meant: the last expression's value is printed where nothing was printed;
modules preloaded by the fork server are already imported; the string hash seed is the same in every run, so sets print
in the same order. Interpreter teardown is not run: atexit functions, threads and finalisers of the program's own names
are, modules are not taken apart.
"""

from __future__ import annotations

import _multiprocessing  # type: ignore[import-not-found]
import ast
import atexit
import functools
import gc
import io
import linecache
import mmap
import os
import resource
import site
import sys
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, NoReturn

from . import error_report, semaphore, wire

NAME = "<program>"
_GUARD, _LAST = "<guard>", "<last>"  # global names that no program can write
# Relative on purpose: the working directory is the run's own scratch folder, and these are set before it is known.
_ENVIRONMENT = {"HOME": ".", "TMPDIR": ".", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class _Stdout(io.FileIO):
    """File descriptor 1, counting what is written to it."""

    written = 0

    def write(self, data: Any, /) -> int:
        count = super().write(data)
        self.written += count or 0
        return count


class Interpreter:
    """The interpreter as every program finds it; made once in the fork server, so a child has little left to do."""

    def __init__(self) -> None:
        self._raw = _Stdout(1, "w", closefd=False)
        self._stdout = io.TextIOWrapper(io.BufferedWriter(self._raw), encoding="utf-8", line_buffering=True)
        sys.stdout = self._stdout
        setattr(sys, "__stdout__", self._stdout)  # noqa: B010  (declared final)
        self._main = ModuleType("__main__")
        sys.modules["__main__"] = self._main
        sys.argv = [""]
        sys.path.insert(0, "")  # the working directory, which is the scratch folder
        sys.dont_write_bytecode = True
        os.environ.clear()
        os.environ.update(_ENVIRONMENT)
        for add in (site.setquit, site.sethelper, site.setcopyright):  # exit, quit, help and their like
            add()
        sys.set_int_max_str_digits(0)  # a guard for servers; a program's time is limited anyway
        setattr(_multiprocessing, "SemLock", semaphore.SemLock)  # noqa: B010  (its class is final)
        _compile(b"'warm'\n2 + 3")  # first use fills caches that the children then share
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{__package__}.")]:
            del sys.modules[name]  # a program's own module of that name is found instead

    def start(self, source: bytes) -> None:
        """In a child: what has to be done anew in each."""
        lines = source.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[NAME] = (len(source), None, lines, NAME)
        for name in ("numpy.random", "sympy.core.random"):  # `random` itself seeds anew after every fork
            module: Any = sys.modules.get(name)
            if module is not None:
                module.seed()
        gc.enable()

    @property
    def names(self) -> dict[str, Any]:
        """The program's global names."""
        return self._main.__dict__

    def show(self, value: object) -> None:
        """Print the value of the last expression where nothing was printed."""
        _flush(self._stdout)
        if self._raw.written == 0 and value is not None:
            print(repr(value), file=self._stdout)

    def flush(self) -> None:
        """Send off what was printed."""
        for stream in (sys.stdout, sys.stderr, self._stdout):
            _flush(stream)


class Guard:
    """Runs a program and its ending: a context manager that is compiled into the program, around its statements.

    So what catches the program's errors is its own first frame, and that frame needs no caller; see `program`.
    """

    def __init__(self, interpreter: Interpreter, source: bytes, status: int, note: mmap.mmap) -> None:
        self._interpreter = interpreter
        self._source = source
        self._status = status  # the status pipe
        self._note = note  # where the fork server looks for why the program ended
        self._leave = os._exit  # the program may put anything in its place

    def program(self) -> object:
        """An object whose text is what runs the program, which ends the process: to be the code of a SystemExit.

        Python turns that code into text when the whole stack is unwound, so above the program there is no frame.
        """
        self._interpreter.start(self._source)
        os.write(self._status, wire.STARTED)
        os.close(self._status)
        names = self._interpreter.names
        try:
            code = _compile(self._source)
        except BaseException as error:
            self._end(error)
        names[_GUARD] = self
        return type("Program", (), {"__str__": staticmethod(functools.partial(exec, code, names))})()

    def __enter__(self) -> None:
        del self._interpreter.names[_GUARD]

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._end(error or self._shown(sys._getframe(1)))

    def _shown(self, frame: FrameType) -> BaseException | None:
        """Print the value of the last expression; returns what this raised, as if `frame` had done it."""
        try:
            self._interpreter.show(self._interpreter.names.pop(_LAST, None))
        except BaseException as error:
            return error.with_traceback(TracebackType(error.__traceback__, frame, frame.f_lasti, frame.f_lineno))
        return None

    def _end(self, error: BaseException | None) -> NoReturn:
        code = 1
        try:
            code = self._finish(self._exit_code(error))
        finally:
            try:
                self._interpreter.flush()
            finally:
                self._leave(code)

    def _exit_code(self, error: BaseException | None) -> int:
        """The exit code of a program that ended so; an uncaught exception is reported."""
        if error is None:
            return 0
        if isinstance(error, SystemExit):
            return _exit_code(error)
        if isinstance(error, MemoryError):
            self._note[0] = wire.OUT_OF_MEMORY
        error_report.show(error, NAME)
        return 1

    def _finish(self, code: int) -> int:
        """What Python does at exit: wait for threads, run atexit functions, finalise the program's own names."""
        try:
            threading: Any = sys.modules.get("threading")
            if threading is not None:
                threading._shutdown()  # also ends the workers of an open thread pool, as the interpreter does
            atexit._run_exitfuncs()
            self._interpreter.names.clear()
        except SystemExit as exit_request:
            return _exit_code(exit_request)
        except BaseException as error:
            uncaught = self._exit_code(error)
            return code or uncaught
        return code


def _compile(source: bytes) -> CodeType:
    try:
        tree = ast.parse(source, NAME)
    except MemoryError:
        if 2048 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > resource.getrlimit(resource.RLIMIT_AS)[0] > 0:
            raise
        # The parser says so too when its stack, which has a fixed depth, is full.
        raise RecursionError("maximum depth exceeded while parsing") from None
    return compile(_guarded(tree), NAME, "exec")


def _guarded(tree: ast.Module) -> ast.Module:
    """A program with its guard around it, and its last value kept under a name, if it ends with an expression."""
    body = tree.body
    if not body:
        body.append(ast.Pass(lineno=1, col_offset=0))
    last = body[-1]
    if isinstance(last, ast.Expr):
        body[-1] = ast.copy_location(ast.Assign([_name(_LAST, last, ast.Store())], last.value), last)
    first = next((place for place, statement in enumerate(body) if not _leads(statement, place)), len(body))
    inner = body[first:] or [ast.copy_location(ast.Pass(), last)]
    # The line of the ending is that of the last statement.
    guarded = ast.copy_location(ast.With([ast.withitem(_name(_GUARD, last, ast.Load()))], inner), last)
    tree.body = [*body[:first], guarded]
    return tree


def _name(name: str, where: ast.stmt, use: ast.expr_context) -> ast.expr:
    return ast.copy_location(ast.Name(name, use), where)


def _leads(statement: ast.stmt, place: int) -> bool:
    """Whether a statement has its meaning at the head of a program only: its docstring, and `from __future__`."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return docstring and place == 0


def _exit_code(exit_request: SystemExit) -> int:
    code = exit_request.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _flush(stream: Any) -> None:
    """Flush a stream that the program may have closed, replaced or deleted."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return

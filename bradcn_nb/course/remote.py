"""The trusted side of the channel: what a student's code answered, as plain values."""

import builtins
import contextlib
import inspect
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bradcn_nb.course import wire
from bradcn_nb.course.answers import Answers
from bradcn_nb.course.sandbox import Limits, Protection, Sandbox

SPARE = 4.0  # seconds after which a process that does not stop by itself is ended
PASSED_ON = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
}


class Dead(BaseException):
    """The confined process is gone; says why. No Exception: a check must not catch it."""


class TimeUp(BaseException):
    """The student's code did not end in time."""


class Missing(AssertionError):
    """The student has no such function."""


class Broken(Exception):
    """The grader's own part failed: nothing that the student did."""


class Worker:
    """A sandbox that answers requests; `until` is the end of all its time (time.monotonic)."""

    def __init__(
        self,
        protection: Protection,
        limits: Limits,
        until: float,
        files: Mapping[str, Any],
        hidden: Sequence[Path] = (),
        slot: int = 0,
    ) -> None:
        self.limits, self.number = limits, 0
        self.until = time.monotonic() + 60  # of the start, which is not the student's time
        self.sandbox = Sandbox(protection, limits, hidden, slot)
        try:
            self.ask("start", 60, files=dict(files))
        except (Dead, TimeUp) as error:
            said = self.sandbox.errors()
            self.close()
            raise Broken(f"the sandbox did not start: {said or error}") from None
        self.sandbox.sweep()
        self.until = until

    def ask(self, do: str, wait: float, **request: Any) -> dict:
        """Return the answer to a request; raises Dead or TimeUp, and then no other can follow."""
        self.number += 1
        deadline = min(time.monotonic() + wait, self.until + SPARE)
        channel = self.sandbox.channel
        try:
            wire.send(channel, {"do": do, "number": self.number, **request}, deadline)
            reply = wire.receive(channel, deadline)
        except TimeoutError:
            raise TimeUp(self.sandbox.why or "it took too long") from None
        except (EOFError, OSError, wire.WireError):
            raise Dead(self.sandbox.why or "the process died") from None
        if not isinstance(reply, dict) or reply.get("number") not in (self.number, -1):
            raise Dead("the process answered what it was not asked")
        return reply

    def close(self) -> None:
        """End the process and what it started."""
        self.sandbox.close()

    @contextlib.contextmanager
    def question(self):
        """Give the student's functions for one check; the process is a copy of its own."""
        until = time.monotonic() + self.limits.question
        reply = self.ask("question", 10, seconds=self.limits.question)
        if "ok" not in reply:
            raise Dead("no process for the question")
        mine = RemoteAnswers(self, until)
        yield mine
        if not mine.ended:
            # The copy ends without an answer, the worker says so.
            self.ask("end", max(until - time.monotonic(), 0) + 2 * SPARE)
        self.sandbox.sweep()


class RemoteAnswers(Answers):
    """The functions of a student in another process, with the interface of `Answers`."""

    def __init__(self, worker: Worker, until: float) -> None:
        self._worker, self._until = worker, until
        self.ended = self.stopped = False

    def __getattr__(self, name: str) -> Any:
        """Return the student's `name`; raises Missing where there is none."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._ask("look", name=name)
        if found.get("kind") == "missing":
            raise Missing(f"there is no {name} in the notebook any more")
        if found.get("kind") == "value":
            return _plain(found.get("value"))

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._value("call", name=name, args=args, kwargs=kwargs)

        return call

    def run(self, driver: Callable[..., Any], **values: Any) -> Any:
        """Return `driver(mine, **values)`: its text is sent and runs beside the student's names."""
        source = textwrap.dedent(inspect.getsource(driver))
        return self._value("run", source=source, name=driver.__name__, values=values)

    def _value(self, do: str, **request: Any) -> Any:
        left = max(self._until - time.monotonic(), 0.01)
        reply = self._ask(do, seconds=left, **request)
        if "error" in reply:
            raise _failure(reply)
        return _plain(reply.get("value"))

    def _ask(self, do: str, **request: Any) -> dict:
        if self.ended:
            raise Dead("the process died")
        left = max(self._until - time.monotonic(), 0.01)
        reply = self._worker.ask(do, left + 2 * SPARE, **request)
        if reply["number"] == -1:  # from the worker: its copy is gone
            self.ended = True
            raise TimeUp("time") if reply.get("error") == "TimeUp" else Dead("the process died")
        if reply.get("error") == "TimeUp":
            self.stopped = True  # by itself: the process lives
            raise TimeUp("it took too long")
        return reply


def _plain(value: Any) -> Any:
    """Return `value` unless there is one in it of a type that cannot be sent: AssertionError."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, wire.Other):
            kind = f"a {part.name}" if part.name else "an object"
            raise AssertionError(
                f"your function returned {kind}; numbers, text, arrays, tensors, and lists, tuples "
                "or dicts of these can be tested"
            )
        if isinstance(part, (list, tuple)):
            parts.extend(part)
        elif isinstance(part, dict):
            parts.extend(part.values())
    return value


def _failure(reply: Mapping[str, Any]) -> Exception:
    """The student's error as one of Python's own, with the marks `student` and `code`.

    Only names of Python's own errors are believed; any other is a RuntimeError.
    """
    kinds = reply.get("kinds")
    known = [name for name in kinds if name in PASSED_ON] if isinstance(kinds, list) else []
    base = PASSED_ON[known[0]] if known else RuntimeError
    if issubclass(base, (UnicodeError, OSError, ExceptionGroup)):
        base = ValueError if issubclass(base, UnicodeError) else RuntimeError
    if reply.get("error") == "WireError":
        return AssertionError("what your function returned is far too large or nested too deeply")
    error = base(str(reply.get("text", ""))[:600])
    error.student = True
    error.code = str(reply.get("code", ""))[:200]
    return error

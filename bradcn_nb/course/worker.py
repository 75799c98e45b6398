"""The confined process: runs a student's cells, then their functions, and knows no test.

Nothing that it says is trusted: `remote`, outside, reads plain values and compares them itself.
"""

import contextlib
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bradcn_nb.course import confine, wire
from bradcn_nb.course.answers import Answers

CALLS = 1e9  # seconds to wait for the next request: the other side has the clock
TEXT = 600  # characters of an error's text


class TimeUp(BaseException):
    """The cell or question has used its time; no Exception, so that few catch it by mistake."""


class TooMuchOutput(Exception):
    """The cell printed more than is allowed."""


class Counted(io.TextIOBase):
    """Takes what is printed, keeps nothing, and counts it."""

    encoding = "utf-8"

    def __init__(self, most: int) -> None:
        self.left = self.most = most

    def write(self, text: str) -> int:
        """Count `text`; raises TooMuchOutput once the cell has printed too much."""
        self.left -= len(text)
        if self.left < 0:
            raise TooMuchOutput(f"more than {self.most >> 20} MB of output")
        return len(text)

    def writable(self) -> bool:
        """Whether one can write: yes."""
        return True


def main() -> None:
    """Confine this process as its argument says, then serve until the other side is gone."""
    plan = json.loads(sys.argv[-1])
    confine.enter(plan)
    channel = socket.socket(fileno=plan["channel"])
    channel.set_inheritable(False)
    Worker(channel, plan).serve()
    os._exit(0)


class Worker:
    """The shell with the student's names, and the requests it answers."""

    def __init__(self, channel: socket.socket, plan: dict) -> None:
        self.channel, self.plan, self.owner = channel, plan, os.getpid()
        self.output = Counted(plan["output"])
        self.number = 0

    def serve(self) -> None:
        """Answer requests, one after the other, until the channel closes."""
        while True:
            try:
                request = wire.receive(self.channel, time.monotonic() + CALLS)
            except (EOFError, OSError, wire.WireError):
                return
            self.number = request.pop("number")
            reply = getattr(self, f"on_{request.pop('do')}")(**request)
            if os.getpid() != self.owner:  # a copy that the student's code forked
                os._exit(0)
            if reply is not None:
                self.reply(reply)

    def reply(self, reply: dict) -> None:
        """Send `reply`, or the reason why it cannot be sent."""
        deadline = time.monotonic() + CALLS
        try:
            wire.send(self.channel, {"number": self.number, **reply}, deadline)
        except (wire.WireError, RecursionError) as error:
            failed = {"number": self.number, "error": "WireError", "text": str(error)}
            wire.send(self.channel, failed, deadline)

    def on_start(self, files: dict[str, Any]) -> dict:
        """Write the files that lie beside the notebook; make the shell."""
        for name, data in files.items():
            path = Path(self.plan["work"], name)
            with contextlib.suppress(OSError):  # no room, or a name that cannot be here
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.tobytes())
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.ast_node_interactivity = "none"  # nobody sees it
        shell = self.shell = InteractiveShell.instance(config=config)
        for name in ("showtraceback", "showsyntaxerror", "enable_gui"):
            setattr(shell, name, lambda *args, **kwargs: None)
        shell.enable_matplotlib = lambda *args, **kwargs: (None, "agg")
        sys.path.insert(0, self.plan["work"])  # as in a notebook: modules that lie beside it
        shell.display_pub.publish = lambda *args, **kwargs: None
        shell.system = shell.system_raw
        nowhere = os.open(os.devnull, os.O_WRONLY)
        sys.stdout = sys.stderr = self.output
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        signal.signal(signal.SIGALRM, _time_up)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return {"ready": True}

    def on_cell(self, source: str, seconds: float) -> dict:
        """Run a cell as a notebook does; say how it ended."""
        with self.limited(seconds):
            result = self.shell.run_cell(source, store_history=False)
            error = result.error_before_exec or result.error_in_exec
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot:
            pyplot.close("all")
        self.sweep()
        threads = len(os.listdir("/proc/self/task"))
        return {"threads": threads, **(_described(error) if error is not None else {"ok": True})}

    def on_look(self, name: str) -> dict:
        """Say whether the student has a function `name`."""
        if name not in self.shell.user_ns:
            return {"kind": "missing"}
        value = self.shell.user_ns[name]
        return {"kind": "function"} if callable(value) else {"kind": "value", "value": value}

    def on_call(self, name: str, args: tuple, kwargs: dict, seconds: float) -> dict:
        """Call a function of the student's."""
        return self.tried(lambda: self.shell.user_ns[name](*args, **kwargs), seconds)

    def on_run(self, source: str, name: str, values: dict, seconds: float) -> dict:
        """Run a driver, given as text, beside the student's names."""

        def driven() -> Any:
            own: dict[str, Any] = {"__name__": "driver"}
            code = compile("from __future__ import annotations\n" + source, "<driver>", "exec")
            exec(code, own)
            return own[name](Answers(self.shell.user_ns), **values)

        return self.tried(driven, seconds)

    def tried(self, function: Callable[[], Any], seconds: float) -> dict:
        """Return what `function` returned, or how it failed."""
        error = None
        try:
            with self.limited(seconds):
                value = function()
        except BaseException as caught:  # a student's code may raise anything
            error = caught
        return _described(error) if error is not None else {"value": value}

    @contextlib.contextmanager
    def limited(self, seconds: float):
        """Raise TimeUp inside after `seconds`, TooMuchOutput after too much of it."""
        self.output.left = self.output.most
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again, if somebody catches it
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def on_question(self, seconds: float) -> dict | None:
        """Answer the requests of one question in a copy of this process, which ends with them.

        So a function that dies, hangs or spoils what others use harms its own question alone.
        """
        child = _forked()
        if not child:
            self.owner = os.getpid()
            for name, function in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
                if name in sys.modules:  # their other threads are not in the copy
                    with contextlib.suppress(Exception):
                        getattr(sys.modules[name], function)(1)
            return {"ok": True}
        until, ended, status = time.monotonic() + seconds + 2, 0, 0
        while not ended:
            time.sleep(0.005)
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and time.monotonic() > until:
                ended, status = child, -1
                with contextlib.suppress(OSError):  # where that is forbidden, it is done outside
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
        self.sweep()
        code = "TimeUp" if status < 0 else "Died"
        if status == 0:
            return {"ended": True, "number": -1}
        return {"error": code, "text": "", "number": -1}

    def on_end(self) -> None:
        """End the copy that answered a question."""
        os._exit(0)

    def sweep(self) -> None:
        """End whatever processes the student's code has started."""
        if self.plan["alone"] and os.getpid() == self.owner:
            with contextlib.suppress(OSError):
                os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _forked() -> int:
    """Fork; wait a little where killed processes still count against the limit."""
    for _ in range(200):
        with contextlib.suppress(BlockingIOError):
            return os.fork()
        time.sleep(0.01)
    return os.fork()


def _time_up(*_: Any) -> None:
    raise TimeUp


def _described(error: BaseException) -> dict:
    """What can be said of an error: its type, those it derives from, its text, the line."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    try:
        text = str(error)[:TEXT]
    except BaseException:
        text = ""
    line, trace = 0, error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith("<ipython-input"):
            line, where = trace.tb_lineno, name
        trace = trace.tb_next
    code = ""
    if line:
        import linecache

        code = linecache.getline(where, line).strip()[:200]
    return {"error": kinds[0], "kinds": kinds, "text": text, "code": code}


def probe() -> None:
    """Try to get out of the sandbox; print what could be reached, as JSON.

    The plan's `probe` names a file that must not be read and a folder that must not be written.
    """
    plan = json.loads(sys.argv[-1])
    confine.enter(plan)
    channel = socket.socket(fileno=plan["channel"])
    request = wire.receive(channel, time.monotonic() + 10)
    reached = []
    try:
        import fractions  # noqa: F401

        import traitlets  # noqa: F401
    except ImportError:
        reached.append("nothing: Python lies where an unprivileged user may not read")
    with contextlib.suppress(OSError):
        Path(request["secret"]).read_bytes()
        reached.append("files")
    with contextlib.suppress(OSError):
        Path(request["folder"], "written").write_text("x")
        reached.append("writing")
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
        reached.append("network")
    with contextlib.suppress(OSError):
        os.kill(request["grader"], 0)
        reached.append("processes")
    if os.getuid() == 0 or os.geteuid() == 0:
        reached.append("root")
    Path(plan["work"], "own").write_text("x")
    wire.send(channel, {"reached": reached, "user": os.getuid()}, time.monotonic() + 10)
    os._exit(0)

"""One submission: its notebook runs in the sandbox, the checks run here, on plain values.

What kills or stalls the process costs its own cell or question: the process is started again, the
notebook replayed without that cell.
"""

import importlib
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bradcn_nb.course.notes import beyond_the_master, other_seed
from bradcn_nb.course.remote import Broken, Dead, Missing, TimeUp, Worker
from bradcn_nb.course.results import Answer, Grade
from bradcn_nb.course.sandbox import Limits, Protection
from bradcn_nb.course.submissions import Assignment, Submission, beside, essays, runnable

RESTARTS = 5
FOR_CELLS = 0.75  # of all the time; the rest is for the checks
LONGEST = 400  # characters of a check's message


def hidden_tests(folder: Path, assignment: str) -> ModuleType:
    """Import the hidden tests of an assignment from `folder`/hidden_tests, once a process."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(f"hidden_tests.{assignment.partition('_')[2]}")


class Notebook:
    """A submission's notebook in a sandbox, started again as often as it takes, within bounds."""

    def __init__(
        self, cells: Mapping[int, str], start: Callable[[], Worker], limits: Limits, until: float
    ) -> None:
        self.cells, self.start, self.limits, self.until = cells, start, limits, until
        self.worker: Worker | None = None
        self.left_out: set[int] = set()
        self.said: dict[int, str] = {}
        self.notes: list[str] = []
        self.restarts = self._now = 0

    def run(self) -> None:
        """Run all cells, again without the one that ended the process; then those out of order."""
        self.close()
        while True:
            self.worker = self.start()
            try:
                todo = [n for n in self.cells if n not in self.left_out]
                waiting = [n for n in todo if self._cell(n) == "NameError"]
                while waiting:  # a later cell may have defined the name
                    still = [n for n in waiting if self._cell(n) == "NameError"]
                    if len(still) == len(waiting):
                        return
                    self.notes.append(
                        "cells stand in another order than they need: they ran in the right one"
                    )
                    waiting = still
                return
            except (Dead, TimeUp) as error:
                why = str(error) if isinstance(error, Dead) else "it did not end in time"
                bad = self._now
                self.said[bad] = f"ended the whole process ({why}), and was left out"
                self.left_out.add(bad)
                self.close()
                self.restarts += 1
                if self.restarts > RESTARTS:
                    self.notes.append(f"more than {RESTARTS} cells ended the process")
                    self.left_out |= {n for n in self.cells if n >= bad}

    def _cell(self, number: int) -> str:
        """Run a cell; return the type of its error, "" for none."""
        self._now = number
        left = self.until - time.monotonic()
        if left <= 0:
            self.said[number] = "did not run: the time for the notebook was over"
            self.left_out.add(number)
            return ""
        seconds = min(self.limits.cell, left)
        reply = self.worker.ask("cell", seconds + 4, source=self.cells[number], seconds=seconds)
        self.worker.sandbox.sweep()
        error, threads = str(reply.get("error", "")), reply.get("threads")
        if isinstance(threads, int) and threads > self.limits.processes / 2:
            raise Dead("it left too many threads")  # no question could have a process
        self.said.pop(number, None)
        if error == "TimeUp":
            self.said[number] = f"did not end within {seconds:.0f} s, and was stopped"
            self.left_out.add(number)  # a replay need not wait for it again
        elif error:
            name = error if error.isidentifier() else "error"
            self.said[number] = f"{name[:40]}: {reply.get('text', '')}".strip()[:300]
        return error

    def close(self) -> None:
        """End the sandbox."""
        if self.worker:
            self.worker.close()
            self.worker = None


def grade(
    submission: Submission,
    assignment: Assignment | None,
    tests: ModuleType | None,
    protection: Protection,
    limits: Limits,
    root: Path,
    hidden: Sequence[Path] = (),
    slot: int = 0,
) -> Grade:
    """Return the grade of a submission; raises Broken if the sandbox itself fails."""
    began = time.monotonic()
    result = Grade(
        submission.student,
        submission.assignment,
        str(submission.path.relative_to(root)),
        notes=list(submission.notes),
        protection=protection.name,
    )
    if assignment is None or submission.problem:
        result.notes.insert(0, f"not graded: the file {submission.problem}")
        if assignment:
            result.answers = {q: Answer(0, of, "unread") for q, of in assignment.questions.items()}
            result.essays = dict.fromkeys(assignment.essays, "")
            result.essay_points = dict(assignment.essays)
        return result
    result.essay_points = dict(assignment.essays)
    result.essays = essays(submission.cells, assignment.essays)
    numbers = runnable(submission.cells, assignment)
    sources = [cell.source for cell in submission.cells if cell.kind == "code"]
    seed = getattr(sys.modules.get("hidden_tests"), "SEED", None)
    found = other_seed(sources, seed), beyond_the_master(sources, assignment.package)
    result.notes += filter(None, found)
    files = {
        name: np.frombuffer(data, np.uint8)
        for name, data in (beside(submission.path, root) | _font_list()).items()
    }
    until = began + limits.whole

    def start() -> Worker:
        return Worker(protection, limits, until, files, hidden, slot)

    cells = {n: submission.cells[n].source for n in numbers}
    notebook = Notebook(cells, start, limits, began + FOR_CELLS * limits.whole)
    try:
        notebook.run()
        notebook.until = until
        for question, of in assignment.questions.items():
            result.answers[question] = _question(notebook, tests, question, of, until)
    finally:
        notebook.close()
    result.cells = [f"cell {n + 1} {said}" for n, said in sorted(notebook.said.items())]
    result.notes += list(dict.fromkeys(notebook.notes))
    result.seconds = round(time.monotonic() - began, 1)
    return result


def _question(
    notebook: Notebook, tests: ModuleType, question: str, of: float, until: float
) -> Answer:
    if time.monotonic() > until:
        return Answer(0, of, "time", "the time for the whole notebook was over")
    check = getattr(tests, f"check_{question}", None)
    if check is None:
        raise Broken(f"{tests.__name__} has no check_{question}")
    try:
        if notebook.worker is None:
            notebook.run()
        with notebook.worker.question() as mine:
            return _checked(check, mine, of, notebook)
    except (Dead, TimeUp) as error:  # outside of the check: the copy could not start or end
        notebook.close()
        notebook.restarts += 1
        return Answer(0, of, "died" if isinstance(error, Dead) else "time", private=str(error))


def _checked(check: Callable, mine: Any, of: float, notebook: Notebook) -> Answer:
    """Run a check and judge how it failed; lets pass what means that the process is lost."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    try:
        with np.errstate(all="ignore"), _alarm(notebook.limits.question + 10):
            check(mine)
    except (Dead, TimeUp) as error:
        if not (mine.ended or mine.stopped):
            raise
        return Answer(0, of, "died" if isinstance(error, Dead) else "time", private=str(error))
    except Exception as error:
        private = f"{type(error).__name__}: {error}"[:LONGEST]
        if getattr(error, "student", False):
            if isinstance(error, NotImplementedError):
                return Answer(0, of, "undone", private=private)
            # Not its text, which may hold the hidden test's values; of lines, those handed in.
            text = "\n".join(notebook.cells.values())
            lines = {line.strip()[:200] for line in text.split("\n")}
            where = f", in the line `{error.code}`" if error.code and error.code in lines else ""
            where = type(error).__name__ + where
            return Answer(0, of, "error", where, private)
        if isinstance(error, Missing):
            return Answer(0, of, "missing")
        if isinstance(error, AssertionError):
            text = str(error).strip()
            fit = text and "\n" not in text and len(text) <= LONGEST
            return Answer(0, of, "wrong", text if fit else "", private)
        private = traceback.format_exc(limit=-2)[-LONGEST:]
        return Answer(0, of, "unusable", type(error).__name__, private)
    return Answer(of, of, "right")


class _alarm:
    """Raise TimeUp here after `seconds`: a check may take a stranger's huge values apart."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds if threading.current_thread() is threading.main_thread() else 0

    def __enter__(self) -> None:
        if self.seconds:
            self.before = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        if self.seconds:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)

    def _ring(self, *_: object) -> None:
        raise TimeUp("the check did not end in time")


def _font_list() -> dict[str, bytes]:
    """Matplotlib's list of fonts: without it every sandbox would make it again, for seconds."""
    import matplotlib
    from matplotlib import font_manager

    name = f"fontlist-v{font_manager.FontManager.__version__}.json"
    path = Path(matplotlib.get_cachedir(), name)
    return {f".matplotlib/{name}": path.read_bytes()} if path.is_file() else {}

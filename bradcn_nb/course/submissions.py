"""What was handed in: found in the folders of nbgrader, Moodle or Canvas, read whatever its state.

Questions and points come from the masters alone; of a submission only cells are taken.
"""

import ast
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from bradcn_nb.course.masters import read_master
from bradcn_nb.course.notes import from_package
from bradcn_nb.errors import DataError

LARGEST = 100 << 20  # bytes of a notebook
BESIDE, FILES = 30 << 20, 500  # bytes and number of the files beside it
ESSAY_LENGTH = 30_000  # characters; a spreadsheet's cell holds 32767
TEST = re.compile(r"^# Test of (\w+): [\d.]+ points?\s*$", re.MULTILINE)
ESSAY = re.compile(r"^\*\*Your answer \((\w+), [\d.]+ points?\)\*\*\s*$", re.MULTILINE)
SEVERAL = "notebooks were handed in"
MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)
STUBS = re.compile(r"YOUR ANSWER HERE|^### (?:BEGIN|END) SOLUTION$", re.MULTILINE)
MOODLE = re.compile(r"_\d+_assignsubmission_.*$")
CANVAS = re.compile(r"_(?:LATE_)?\d+_\d+_.*$")


@dataclass(frozen=True)
class Cell:
    """A cell: `kind` is "code", "markdown" or "raw", `grade_id` is nbgrader's name of it, or ""."""

    kind: str
    source: str
    grade_id: str = ""


@dataclass(frozen=True)
class Assignment:
    """A master: questions with points, those a person marks, set-up cells, imports of ours."""

    name: str
    questions: Mapping[str, float]
    essays: Mapping[str, float]
    setup: frozenset[str]
    package: frozenset[str] = frozenset()


@dataclass
class Submission:
    """A notebook that somebody handed in; `problem` says why it cannot be read."""

    student: str
    assignment: str
    path: Path
    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str = ""


def read_assignments(folder: Path) -> dict[str, Assignment]:
    """Return the assignments whose masters lie in `folder`, or in what `course build` wrote there.

    Raises DataError where there are none, or where their hidden tests are missing.
    """
    kinds, paths = ("[0-9]*.py", "[0-9]*.ipynb", "instructor/[0-9]*.ipynb"), dict[str, Path]()
    for path in (path for kind in kinds for path in sorted(folder.glob(kind))):
        tests = folder / "hidden_tests" / f"{path.stem.partition('_')[2]}.py"
        if tests.is_file():
            paths.setdefault(path.stem, path)
    if not paths:
        raise DataError(f"{folder}: no masters (N_name.py or .ipynb) with hidden_tests/ here")
    return {name: _assignment(path) for name, path in sorted(paths.items())}


def _assignment(path: Path) -> Assignment:
    notebook = read_master(path) if path.suffix == ".py" else nbformat.read(path, 4)
    questions, essays, setup = {}, {}, set()
    for cell in notebook.cells:
        held = cell.metadata.get("nbgrader", {})
        if held.get("grade"):
            found = essays if held["solution"] else questions
            found[held["grade_id"].removeprefix("test-")] = float(held["points"])
        elif "setup" in cell.metadata.get("tags", ()):
            setup.add(cell.source.strip())
    package = from_package(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return Assignment(path.stem, questions, essays, frozenset(setup), package)


def read_cells(path: Path) -> list[Cell]:
    """Return the cells of a notebook of format 3 or 4; raises DataError for anything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            kind = os.fstat(handle)
            if not stat.S_ISREG(kind.st_mode) or kind.st_size > LARGEST:
                raise DataError("is no plain file, or larger than 100 MB")
            data = file.read(LARGEST)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from None
    if not data.strip():
        raise DataError("is empty")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("is no whole notebook: damaged, or cut off at its end") from None
    if isinstance(found, dict) and isinstance(found.get("worksheets"), list):  # format 3
        sheets = [sheet for sheet in found["worksheets"] if isinstance(sheet, dict)]
        found = {
            "cells": [c for s in sheets if isinstance(s.get("cells"), list) for c in s["cells"]]
        }
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        raise DataError("is JSON, but no notebook")
    return [cell for cell in map(_cell, found["cells"]) if cell]


def _cell(held: Any) -> Cell | None:
    if not isinstance(held, dict) or not isinstance(held.get("cell_type"), str):
        return None
    source = held.get("source", held.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return None
    # A stray half of a surrogate pair could neither be sent nor written.
    source = source.encode("utf-8", "replace").decode()
    metadata = held.get("metadata")
    named = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = named.get("grade_id") if isinstance(named, dict) else None
    # Not more of the metadata: what is nested deeply could neither be sent nor compared.
    return Cell(held["cell_type"], source, name if isinstance(name, str) else "")


def runnable(cells: list[Cell], assignment: Assignment) -> list[int]:
    """Return the numbers of the code cells to run: neither set-up, nor tests, nor idle copies.

    An untouched copy of an answer's cell, left beside the answer, would undo it. A set-up cell to
    which something was added is run, and a test's that defines an answer: two cells were merged.
    """
    names = set(assignment.questions)
    states = [_defined(cell.source, names) if cell.kind == "code" else {} for cell in cells]
    done = {name for state in states for name, written in state.items() if written}
    chosen = []
    for number, (cell, state) in enumerate(zip(cells, states, strict=True)):
        test = TEST.search(cell.source) or cell.grade_id.startswith("test-")
        if cell.kind != "code" or not cell.source.strip() or (test and not any(state.values())):
            continue
        if cell.source.strip() in assignment.setup:
            continue
        if state and not any(state.values()) and set(state) <= done:
            continue
        chosen.append(number)
    return chosen


def _defined(source: str, names: set[str]) -> dict[str, bool]:
    """The questions that a cell defines, and whether more stands there than NotImplementedError."""
    try:
        tree = ast.parse(MAGIC.sub("", source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            only = len(body) == 1 and isinstance(body[0], ast.Raise)
            raised = body[0].exc if only else None
            raised = raised.func if isinstance(raised, ast.Call) else raised
            open_ = isinstance(raised, ast.Name) and raised.id.startswith("NotImplemented")
            found[node.name] = not open_
    return found


def essays(cells: list[Cell], questions: Mapping[str, float]) -> dict[str, str]:
    """Return each essay's text, "" where it is unanswered or its cell is gone."""
    found = dict.fromkeys(questions, "")
    for cell in cells:
        named = ESSAY.search(cell.source)
        name = cell.grade_id if cell.grade_id in found else named[1] if named else ""
        if name in found and cell.kind != "code":
            text = STUBS.sub("", ESSAY.sub("", cell.source)).strip()
            found[name] = f"{found[name]}\n\n{text}".strip()[:ESSAY_LENGTH]
    return found


def find(root: Path, assignments: Mapping[str, Assignment]) -> list[Submission]:
    """Return the submissions below `root`, read; raises DataError where there is none.

    Student and assignment come from folders and names (nbgrader's STUDENT/1_lens/x.ipynb,
    STUDENT_1_lens.ipynb, Moodle's and Canvas's), the assignment else from the functions that are
    defined.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    found: dict[tuple[str, str], list[Submission]] = {}
    for path in sorted(_notebooks(root)):
        one = _read(path, root, assignments)
        found.setdefault((one.student, one.assignment), []).append(one)
    if not found:
        raise DataError(f"{root}: no .ipynb here; name the folder that holds the submissions")
    return [_chosen(ones) for ones in found.values()]


def _chosen(ones: list[Submission]) -> Submission:
    """Of one student's notebooks the one to grade."""
    *others, best = sorted(ones, key=lambda one: (not one.problem, _fit(one)))
    if others:
        names = ", ".join(one.path.name for one in others[:5])
        best.notes.append(f"{len(ones)} {SEVERAL}; not graded: {names}")
    return best


def without_notebook(root: Path) -> list[str]:
    """Return the names of the folders in `root` below which there is no notebook."""
    folders = (one for one in sorted(root.iterdir()) if one.is_dir())
    shown = (one for one in folders if not one.name.startswith((".", "__")))
    return [one.name for one in shown if one.is_symlink() or not any(True for _ in _notebooks(one))]


def _fit(submission: Submission) -> tuple[bool, float]:
    name = submission.path.stem == submission.assignment
    return name, submission.path.lstat().st_mtime


def _notebooks(root: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(root):  # follows no links
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            if name.lower().endswith(".ipynb") and not name.startswith("."):
                yield Path(place, name)


def _read(path: Path, root: Path, assignments: Mapping[str, Assignment]) -> Submission:
    parts = path.relative_to(root).parts
    words = "/".join(parts)
    named = [name for name in assignments if re.search(rf"(?<![^\W_]){name}(?![^\W_])", words)]
    student = _student(parts, named)
    named = named or [name for name in assignments if name == root.name]
    submission = Submission(student, named[-1] if named else "", path)
    try:
        if path.is_symlink():
            raise DataError("is a link; the notebook itself has to be handed in")
        submission.cells = read_cells(path)
    except DataError as error:
        submission.problem = str(error)
    defines = set(re.findall(r"^def (\w+)", "\n".join(c.source for c in submission.cells), re.M))
    shared = {name: len(defines & set(one.questions)) for name, one in assignments.items()}
    best = max(shared, key=lambda name: shared[name])
    if submission.assignment and not shared[submission.assignment] and shared[best] > 1:
        submission.notes.append(
            f"the name says {submission.assignment}, the functions are {best}'s"
        )
        submission.assignment = best
    elif not submission.assignment and shared[best]:
        submission.assignment = best
        submission.notes.append(f"recognised as {best} by its functions")
    elif not submission.assignment and not submission.problem:
        submission.problem = "belongs to no assignment: neither its name nor its functions do"
    return submission


def _student(parts: tuple[str, ...], named: list[str]) -> str:
    """The first folder below the root, but for an assignment's; else the file's name without it."""
    folders = [part for part in parts[:-1] if part not in named]
    if folders:
        return MOODLE.sub("", folders[0]) or folders[0]
    stem = CANVAS.sub("", MOODLE.sub("", Path(parts[-1]).stem))
    for name in named:
        stem = re.sub(rf"[-_ .]*{name}[-_ .]*", "_", stem)
    return stem.strip("-_ .") or Path(parts[-1]).stem


def beside(path: Path, root: Path) -> dict[str, bytes]:
    """Return the plain files beside a notebook, up to 30 MB and 500; none in `root` itself."""
    found: dict[str, bytes] = {}
    if path.parent == root or path.parent.is_symlink():
        return found
    left = BESIDE
    for one in sorted(path.parent.iterdir()):
        ours = one.suffix == ".ipynb" or one.name.startswith(".")
        if ours or len(found) == FILES:
            continue
        try:
            kind = one.lstat()
            if stat.S_ISREG(kind.st_mode) and kind.st_size <= left:
                with open(os.open(one, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                    found[one.name] = file.read(left)
                left -= len(found[one.name])
        except OSError:  # not to be read, or gone
            continue
    return found

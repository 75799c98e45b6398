"""The masters of the assignments: how their .py becomes a notebook in nbgrader's format.

In the .py (jupytext's percent format) a cell says with one word of metadata what it is:

    # %% answer="attention"              a function to write, between BEGIN and END SOLUTION
    # %% test="attention" points=4       what the student sees of its test; the rest is hidden
    # %% [markdown] essay="why" points=3   a question that a person marks
"""

from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from bradcn_nb.errors import DataError

ASSIGNMENTS = ("1_lens", "2_attention", "3_depth", "4_training", "5_evidence")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
HIDDEN = """
### BEGIN HIDDEN TESTS
from hidden_tests import check

check("{assignment}", "{question}", globals())
### END HIDDEN TESTS"""


def masters_folder() -> Path:
    """Return the folder of the masters; raises DataError outside of a checkout."""
    folder = Path(__file__).resolve().parents[2] / "book" / "assignments"
    if not folder.is_dir():
        raise DataError(
            f"{folder}: the assignments' masters are not in the wheel; clone the repository"
        )
    return folder


def read_master(path: Path) -> NotebookNode:
    """Read a master's .py as a notebook with nbgrader's metadata; raises DataError for bad cells.

    Every test gets the line by which it is known when metadata are lost, and its hidden half.
    """
    notebook = jupytext.read(path)
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"{path.stem}-{number:03d}"
        kinds = [kind for kind in ("answer", "test", "essay") if kind in cell.metadata]
        if not kinds:
            continue
        (kind,), question = kinds, cell.metadata.pop(kinds[0])
        points = cell.metadata.pop("points", 0)
        if kind != "answer" and not points > 0:
            raise DataError(f"{path}: {kind} {question} has no points")
        if kind == "answer":
            _wants_region(cell, path, question)
            cell.source = f"# Answer: {question}\n{cell.source}"
        elif kind == "test":
            cell.source = f"# Test of {question}: {points} points\n{cell.source}" + HIDDEN.format(
                assignment=path.stem, question=question
            )
        else:
            _wants_region(cell, path, question)
            cell.source = f"**Your answer ({question}, {points} points)**\n\n{cell.source}"
        marked(cell, kind, question, points)
        if (grade_id := cell.metadata["nbgrader"]["grade_id"]) in seen:
            raise DataError(f"{path}: two cells are {kind} {question}")
        seen.add(grade_id)
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def marked(cell: NotebookNode, kind: str, question: str, points: float = 0) -> NotebookNode:
    """Give a cell nbgrader's metadata, in place; `kind` is answer, test or essay.

    Source: nbgrader's cell metadata, schema 3.
    """
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": f"test-{question}" if kind == "test" else question,
        "solution": kind != "test",
        "grade": kind != "answer",
        "locked": kind == "test",
        "task": False,
        **({"points": points} if kind != "answer" else {}),
    }
    return cell


def _wants_region(cell: NotebookNode, path: Path, question: str) -> None:
    if not cell.source.count("### BEGIN SOLUTION") == cell.source.count("### END SOLUTION") == 1:
        raise DataError(f"{path}: {question} needs one BEGIN SOLUTION and one END SOLUTION")

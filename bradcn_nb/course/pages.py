"""The guide's pages that are made from the assignments: common mistakes, and rubrics."""

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

from bradcn_nb.course.masters import ASSIGNMENTS, read_master

MISTAKES = """# Common mistakes

*For instructors.* These are the wrong answers by which the tests of the assignments were tried:
each loses exactly the points of its question, and nothing else. Whoever meets one of them in an
exercise class knows which misunderstanding stands behind it. At least two other right styles keep
their points: loops, other libraries, lists in place of tuples.
"""
RUBRICS = """# Rubrics and sample answers

*For instructors.* Each assignment has one or two questions that a person marks. One of them is
open: its answer is not in the book. Here is what points are given for, and three answers with the
points that they get.
"""


def title(assignment: str, folder: Path) -> str:
    """Return an assignment's title, as the first line of its master has it."""
    first = read_master(folder / f"{assignment}.py").cells[0].source
    return next(line[2:] for line in first.splitlines() if line.startswith("# "))


def answers_of(assignment: str, folder: Path) -> ModuleType:
    """Return the module of wrong and of other right answers to an assignment."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(f"answers.{assignment.partition('_')[2]}")


def mistakes_page(folder: Path) -> str:
    """Return the page of common mistakes: the wrong answers' sentences, by question."""
    parts = [MISTAKES]
    for assignment in ASSIGNMENTS:
        parts.append(f"\n## {title(assignment, folder)}\n")
        for question, wrong in answers_of(assignment, folder).WRONG.items():
            parts.append(f"\n### `{question}`\n\n")
            parts += [f"- {_sentence(answer.__doc__)}\n" for answer in wrong]
    return "".join(parts)


def _sentence(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).split())


def rubrics_page(folder: Path) -> str:
    """Return the page of rubrics: those of the assignments, their headings one level lower."""
    parts = [RUBRICS]
    for assignment in ASSIGNMENTS:
        text = (folder / "rubrics" / f"{assignment.partition('_')[2]}.md").read_text("utf-8")
        body = [line for line in text.splitlines() if not line.startswith("# ")]
        lines = [f"#{line}" if line.startswith("##") else line for line in body]
        parts.append(f"\n## {title(assignment, folder)}\n\n" + "\n".join(lines).strip() + "\n")
    return "".join(parts)


def pages(folder: Path) -> dict[Path, str]:
    """Return what the generated pages hold, by their path; `folder` has the masters."""
    course = folder.parent / "course"
    return {
        course / "mistakes.md": mistakes_page(folder),
        course / "rubrics.md": rubrics_page(folder),
    }

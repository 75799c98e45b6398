"""What grading writes for people: tables that a spreadsheet opens, the essays and their marks."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bradcn_nb.course import report
from bradcn_nb.course.gradebook import ESSAYS, Row, read_table
from bradcn_nb.course.results import Grade
from bradcn_nb.course.submissions import Assignment, Submission, essays
from bradcn_nb.errors import DataError
from bradcn_nb.files import write_atomically

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def safe(value: Any) -> str:
    """Text for a cell of a table; what a spreadsheet would take for a formula is quoted."""
    text = str(value).encode("utf-8", "replace").decode()
    return f"'{text}" if text.startswith(FORMULA) else text


def printable(text: str) -> str:
    """Text for a terminal: what would move its cursor, or break the line, is a question mark."""
    return "".join(one if one.isprintable() else "?" for one in text)


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows as a CSV file, whole or not at all; raises OSError."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["student", "assignment", "points"])
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8", "replace"))


def write_essays(
    path: Path, submissions: Sequence[Submission], assignments: Mapping[str, Assignment]
) -> str:
    """Write all essays to `path`, a CSV file, and beside it as a page; return what to say of it.

    Points and comments that a person has filled in stay with their text. Where they fit no text
    any more, the old table is kept under another name. Raises DataError if it cannot be read: they
    would be lost.
    """
    marks, written = _marks(path), []
    held = sorted(submissions, key=lambda one: (one.student.casefold(), one.assignment))
    grades = [
        Grade(
            one.student,
            one.assignment,
            "",
            essays=essays(one.cells, assignments[one.assignment].essays),
            essay_points=dict(assignments[one.assignment].essays),
        )
        for one in held
        if one.assignment in assignments
    ]
    for one in grades:
        for question, text in one.essays.items():
            row = {"student": safe(one.student), "assignment": one.assignment}
            row |= {"question": question, "text": safe(text)}
            old = marks.pop(_key(row), None)
            row |= {"of": f"{one.essay_points[question]:g}"}
            row |= {"points": "" if text else "0", "comment": "" if text else "unanswered"}
            if old:
                row |= {"points": old["points"], "comment": old["comment"]}
            written.append(row)
    lost = [row for row in marks.values() if row["text"].strip()]
    said = ""
    if lost:
        number = 1
        while (kept := path.with_name(f"{path.stem}.old{number}.csv")).exists():
            number += 1
        write_atomically(kept, path.read_bytes())
        said = f"{kept}: {len(lost)} marks fit no essay any more, and stay in this copy"
    if written:
        write_rows(path, written)
        page = report.essays_html(grades).encode("utf-8", "replace")
        write_atomically(path.with_suffix(".html"), page)
    return said


def _marks(path: Path) -> dict[tuple[str, ...], Row]:
    if not path.exists():
        return {}
    try:
        return {_key(row): row for row in read_table(path, *ESSAYS) if _is_marked(row)}
    except DataError as error:
        raise DataError(f"{error}; mend or move it: its marks would be lost") from None


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    """What an essay's row is known by, whatever a spreadsheet has made of its line ends."""
    names = ("student", "assignment", "question", "text")
    return tuple(" ".join(row[name].split()).lstrip("'") for name in names)


def _is_marked(row: Mapping[str, str]) -> bool:
    return bool(row["points"].strip() or row["comment"].strip())

"""Grades in the gradebook of Moodle or Canvas: the file that it exports, with points filled in."""

import csv
import io
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from bradcn_nb.errors import DataError
from bradcn_nb.files import write_atomically

Row = dict[str, str]
NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")
GRADES = ("student", "assignment", "points")
ESSAYS = ("student", "assignment", "question", "text", "of", "points", "comment")


def read_table(path: Path, *columns: str) -> list[Row]:
    """Return a CSV file's rows by the names of its columns; raises DataError for none or a bad one.

    Comma or semicolon, with or without the mark that Excel puts first. `columns` must be there.
    """
    try:
        text = path.read_text("utf-8-sig")
        delimiter = csv.Sniffer().sniff(text.partition("\n")[0], delimiters=",;\t").delimiter
        # Not the sniffer's dialect: without a quote in the heading it lets none stand in a text.
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
        rows = list(reader)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is not a table in UTF-8 ({error}); export it as CSV") from None
    if not rows or any(None in row for row in rows):
        raise DataError(f"{path}: has no rows under its heading, or rows longer than it")
    if lacks := [name for name in columns if name not in rows[0]]:
        raise DataError(f"{path}: has no column {lacks[0]!r}, so `course grade` did not write it")
    return rows


def with_essays(grades: list[Row], essays: list[Row]) -> tuple[list[Row], int]:
    """Return the grades with the points of marked essays added, and how many are not marked.

    `essays` is what `course grade` writes beside the grades; a person fills its column `points`.
    Raises DataError for points that are no number, or more than the essay gives.
    """
    added: dict[tuple[str, str], float] = {}
    unmarked = 0
    for row in essays:
        if not row["points"].strip():
            unmarked += 1
            continue
        who = f"{row['student']}, {row['assignment']}, {row['question']}"
        try:
            points, of = (float(row[name].replace(",", ".")) for name in ("points", "of"))
        except ValueError:
            raise DataError(f"{who}: {row['points']!r} are no points") from None
        if not 0 <= points <= of:
            raise DataError(f"{who}: {points:g} points of {row['of']}")
        key = row["student"], row["assignment"]
        added[key] = added.get(key, 0) + points
    if odd := [row["points"] for row in grades if not NUMBER.fullmatch(row["points"])]:
        raise DataError(f"the grades' table: {odd[0]!r} are no points")
    summed = [
        {**row, "points": f"{float(row['points']) + added.get(key, 0):g}"}
        for row in grades
        for key in [(row["student"], row["assignment"])]
    ]
    return summed, unmarked


def fill(book: list[Row], grades: list[Row], key: str | None = None) -> tuple[list[Row], list[str]]:
    """Return the gradebook with points, and the students who are not in it.

    * `book`: what Moodle or Canvas exports. A student is known by any column that is the name of
      the submission's folder, else by the letters of a name ("Schmidt, Karl" or two columns are
      `schmidtkarl`), or by the column `key` alone;
    * `grades`: rows with `student`, `assignment` and `points`, as `course grade` writes them.

    A column whose name begins with the assignment's is filled (Canvas: "1_lens (123)", Moodle:
    "Assignment: 1_lens (Real)"), and made where there is none. Everything else stays. Raises
    DataError for an unknown `key`, or when two rows of the gradebook fit a student.
    """
    if key and key not in book[0]:
        raise DataError(f"the gradebook has no column {key!r}; it has {', '.join(book[0])}")
    filled, strangers = [dict(row) for row in book], []
    columns = {name: _column(book[0], name) for name in {row["assignment"] for row in grades}}
    for row in filled:
        row |= {name: row.get(name, "") for name in columns.values()}
    for grade in grades:
        name = grade["student"].casefold()
        fits = [row for row in filled if name in _identifiers(row, key)]
        if not (fits or key) and _letters(name):
            fits = [row for row in filled if _letters(name) in _names(row)]
        if len(fits) > 1:
            raise DataError(f"{len(fits)} rows of the gradebook fit {grade['student']}; use --key")
        if not fits:
            strangers.append(grade["student"])
            continue
        fits[0][columns[grade["assignment"]]] = grade["points"]
    return filled, sorted(set(strangers))


def _identifiers(row: Mapping[str, str], key: str | None) -> set[str]:
    values = [row[key]] if key else row.values()
    return {value.strip().casefold() for value in values if value}


def _names(row: Mapping[str, str]) -> set[str]:
    """What the platforms may make of a row's name in the name of a file."""
    values = [_letters(value) for value in row.values()]
    turned = [_letters("".join(reversed(value.split(",")))) for value in row.values()]
    two = [x + y for a, b in pairwise(values) if a and b for x, y in ((a, b), (b, a))]
    return {*values, *turned, *two}


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _column(heading: Mapping[str, str], assignment: str) -> str:
    begins = re.compile(rf"(.*: )?{re.escape(assignment)}(?![^\W_])", re.IGNORECASE)
    fits = [name for name in heading if begins.match(name)]
    return fits[0] if fits else assignment


def write_table(path: Path, rows: list[Row]) -> None:
    """Write rows as a CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8"))

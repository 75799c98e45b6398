"""A student's report, as a page and as text: what failed, how to think about it, no hidden test."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bradcn_nb.course.results import Answer, Grade
from bradcn_nb.files import write_atomically

Marks = Mapping[str, tuple[str, str]]  # an essay's name -> points and comment of a person

ADVICE = {
    "right": "",
    "wrong": "Take the smallest input that you can do on paper, such as two numbers or a map of "
    "2 x 2, do it on paper, and print what your function makes of each step.",
    "nothing": "A function whose last line computes a value does not yet hand it over; "
    "`return` does.",
    "undone": "The function still raises NotImplementedError. Even one that is right in the simple "
    "case only is a start: the visible test says what is missing.",
    "missing": "The test looks for the function by its name. Give it the name that the assignment "
    "gave it, in a cell of its own, and do not delete the cell.",
    "error": "On inputs that you have not seen the function stopped with an error. Think of what "
    "may differ: another shape, a batch of one, a number where you had an array, a zero.",
    "name": "A name was not there. Perhaps the cell that gives it stopped (a list of such cells is "
    "at the end), was deleted, or calls it otherwise.",
    "memory": "All memory that a notebook may have was used up. Look for a list that grows without "
    "end, also in a cell above, or for an array with an axis too many.",
    "time": "The function did not end in time. Look for a loop whose end is never reached, or for "
    "one over pixels that an operation on whole arrays could replace.",
    "died": "The function ended the whole process. It may have used all memory, called `exit`, or "
    "gone wrong inside of a library.",
    "unusable": "The test could not work with what the function returned. Compare its type and "
    "shape with what the function's docstring promises.",
    "unread": "Open the notebook, run it from top to bottom, save it, download it as .ipynb "
    "(in Colab: File, Download, Download .ipynb), and hand that file in.",
}
STYLE = """:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:1.6rem 0 .2rem}
.right{border-left:4px solid #2a7f3f}.open{border-left:4px solid #555}
.not{border-left:4px solid #b3261e}section{padding-left:.8rem}p{margin:.3rem 0}
code{overflow-wrap:anywhere}"""


def kind(answer: Answer) -> str:
    """Return the key of ADVICE for an answer."""
    if answer.status == "wrong" and "returned nothing" in answer.message:
        return "nothing"
    if answer.status == "error":
        return {"NameError": "name", "MemoryError": "memory"}.get(
            answer.message.partition(",")[0], "error"
        )
    return answer.status


def what(answer: Answer) -> str:
    """Say in a sentence how an answer fared."""
    said = {
        "right": "Right.",
        "wrong": answer.message or "The result is not the right one.",
        "undone": "Not written yet.",
        "missing": "There is no function of this name.",
        "error": f"It stopped with {answer.message}.",
        "time": answer.message or "It took too long.",
        "died": "It ended the process that it ran in.",
        "unusable": "What it returned could not be tested.",
        "unread": "The notebook could not be read.",
    }[answer.status]
    said = said[:1].upper() + said[1:]
    return said if said.endswith((".", "?", "!")) else said + "."


def _sections(grade: Grade, marks: Marks) -> list[tuple[str, str, list[str]]]:
    """Heading, class and sentences of each question and essay; each advice once."""
    found, told = [], {""}
    for name, answer in grade.answers.items():
        advice = ADVICE[kind(answer)]
        lines = [what(answer), *({advice} - told)]
        told.add(advice)
        style = "right" if answer.status == "right" else "not"
        found.append((f"{name}: {answer.points:g} of {answer.of:g}", style, lines))
    for name, text in grade.essays.items():
        of = grade.essay_points.get(name, 0)
        points, comment = marks.get(name, ("", ""))
        line = comment or ("A person reads and marks this." if text else "Unanswered.")
        heading = f"{points} of {of:g}" if points else f"{of:g} points, not marked yet"
        style = "open" if text else "not"
        found.append((f"{name}: {heading}", style, [line] if text or not points else []))
    return found


def _sum(grade: Grade, marks: Marks) -> list[str]:
    """The points by tests; those for essays, once all are marked."""
    lines = [f"{grade.points:g} of {grade.of:g} points by tests"]
    if grade.essays and all(marks.get(name, ("",))[0] for name in grade.essays):
        got = sum(float(marks[name][0]) for name in grade.essays)
        of = sum(grade.essay_points.values())
        lines.append(f"{got:g} of {of:g} points for essays")
        lines.append(f"{grade.points + got:g} of {grade.of + of:g} points in all")
    return lines


def _cells(grade: Grade) -> list[str]:
    if not grade.cells:
        return []
    return [
        "Cells that stopped, from top to bottom (one error often brings others after it; "
        "`Restart and run all` before handing in shows them):",
        *grade.cells,
    ]


def as_text(grade: Grade, marks: Marks | None = None) -> str:
    """Return the report as plain text, with the marks of essays if there are any."""
    marks = marks or {}
    lines = [f"{grade.assignment or 'unknown assignment'}, {grade.student}", ""]
    lines += [*_sum(grade, marks), *grade.notes]
    if not grade.answers:
        lines += ["", ADVICE["unread"]]
    for heading, _, sentences in _sections(grade, marks):
        lines += ["", heading, *(f"  {line}" for line in sentences)]
    if cells := _cells(grade):
        lines += ["", cells[0], *(f"  {line}" for line in cells[1:])]
    return "\n".join(lines) + "\n"


def _say(text: str) -> str:
    """Escape, and set what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def as_html(grade: Grade, marks: Marks | None = None) -> str:
    """Return the report as one page that loads nothing; what came from a student is escaped."""
    say, marks = _say, marks or {}
    title = html.escape(f"{grade.assignment or 'unknown assignment'}, {grade.student}")
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        f"<style>{STYLE}</style><h1>{title}</h1>",
        *(f"<p><strong>{line}</strong></p>" for line in _sum(grade, marks)),
        *(f"<p>{say(note)}</p>" for note in grade.notes),
    ]
    if not grade.answers:
        parts.append(f"<p>{say(ADVICE['unread'])}</p>")
    for heading, style, sentences in _sections(grade, marks):
        text = "".join(f"<p>{say(line)}</p>" for line in sentences)
        parts.append(f'<section class="{style}"><h2>{say(heading)}</h2>{text}</section>')
    if cells := _cells(grade):
        listed = "".join(f"<li><code>{html.escape(line)}</code></li>" for line in cells[1:])
        parts.append(f"<h2>Cells</h2><p>{say(cells[0])}</p><ul>{listed}</ul>")
    return "\n".join(parts) + "\n"


def with_marks(state: Path, reports: Path, essays: Sequence[Mapping[str, str]]) -> int:
    """Write a person's marks and comments into the reports; return how many reports have some.

    `state` and `reports` are what grading wrote; `essays` are the rows of its table of essays.
    """
    changed = 0
    for path in sorted(state.glob("*.json")):
        grade = Grade.from_json(json.loads(path.read_text("utf-8"))["grade"])
        who = (grade.student, f"'{grade.student}")  # quoted where it could be a formula
        marks = {
            row["question"]: (row["points"].strip().replace(",", "."), row["comment"].strip())
            for row in essays
            if row["student"] in who and row["assignment"] == grade.assignment
        }
        stem = grade.assignment or "unknown"
        page = reports / path.stem.removesuffix(f" {stem}") / f"{stem}.html"
        if any(points for points, _ in marks.values()) and page.is_file():
            write_atomically(page, as_html(grade, marks).encode("utf-8", "replace"))
            text = as_text(grade, marks).encode("utf-8", "replace")
            write_atomically(page.with_suffix(".txt"), text)
            changed += 1
    return changed


def essays_html(grades: list[Grade]) -> str:
    """Return one page with all essays, by question, for the person who marks."""
    say = html.escape
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Essays</title>',
        f"<style>{STYLE} body{{max-width:64rem}} pre{{white-space:pre-wrap;font:inherit}}</style>",
        "<h1>Essays to mark</h1>",
    ]
    in_order = sorted(grades, key=lambda grade: grade.assignment)
    questions = dict.fromkeys((g.assignment, name) for g in in_order for name in g.essays)
    for assignment, name in questions:
        parts.append(f"<h2>{say(assignment)}, {say(name)}</h2>")
        for grade in grades:
            if grade.assignment != assignment or name not in grade.essays:
                continue
            of, text = grade.essay_points.get(name, 0), grade.essays[name]
            style = "open" if text else "not"
            body = f"<pre>{say(text)}</pre>" if text else "<p>Unanswered.</p>"
            who = f"<p><strong>{say(grade.student)}</strong> (of {of:g})</p>"
            parts.append(f'<section class="{style}">{who}{body}</section>')
    return "\n".join(parts) + "\n"

"""Many submissions: several at once, each result kept as soon as it is there, the table after it.

Beside grades.csv: `grades.state/` (what is graded already), `grades.reports/` (for students),
`grades.essays.csv` and `.html` (for the person who marks).
"""

import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bradcn_nb.course import kernel, report
from bradcn_nb.course.grade import grade, hidden_tests
from bradcn_nb.course.remote import Broken
from bradcn_nb.course.results import Grade
from bradcn_nb.course.sandbox import Limits, Protection
from bradcn_nb.course.submissions import Assignment, Submission, beside, find, read_assignments
from bradcn_nb.course.tables import printable, safe, write_essays, write_rows
from bradcn_nb.errors import DataError
from bradcn_nb.files import file_digest, write_atomically

VERSION = 2  # of the grader's judgement: another one grades all again


@dataclass(frozen=True)
class Job:
    """All that the grading of any submission needs to know."""

    root: Path
    masters: Path
    out: Path
    protection: Protection
    limits: Limits

    @property
    def hidden(self) -> tuple[Path, ...]:
        """Folders that no student's code may see."""
        return (self.root, self.masters, self.place("state"), self.place("reports"))

    def place(self, name: str) -> Path:
        """Return a file or folder beside the table: grades.csv -> grades.NAME."""
        return self.out.with_name(f"{self.out.stem}.{name}")


_slot = 0


def _begin(counter: Any, scratch: str, first: int) -> None:
    """Set up a process of the pool."""
    global _slot
    with counter.get_lock():
        _slot = counter.value
        counter.value += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and ends this one
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != first:  # gone before it was waited for
        os._exit(1)
    tempfile.tempdir = scratch


def _one(job: Job, submission: Submission, assignment: Assignment | None) -> Grade:
    tests = hidden_tests(job.masters, assignment.name) if assignment else None
    return grade(
        submission, assignment, tests, job.protection, job.limits, job.root, job.hidden, _slot
    )


def grade_all(job: Job, jobs: int = 1, again: bool = False, progress: bool = True) -> list[Grade]:
    """Grade all submissions below `job.root`, write the table and all that belongs to it.

    What is graded and has not changed is kept, unless `again`. Raises DataError where there is
    nothing to grade, KeyboardInterrupt with a sentence; what is graded by then is kept.
    """
    assignments = read_assignments(job.masters)
    submissions = find(job.root, assignments)
    if said := write_essays(job.place("essays.csv"), submissions, assignments):
        print(said, file=sys.stderr)
    tests = _digest(sorted((job.masters / "hidden_tests").rglob("*.py")))
    done: dict[int, Grade] = {}
    digests = []
    for number, one in enumerate(submissions):
        digests.append(_state(one, job, f"{tests} {assignments.get(one.assignment)}"))
        kept = None if again else _kept(job, one, digests[-1])
        if kept:
            done[number] = kept
    _write(job, done.values())
    todo = [number for number in range(len(submissions)) if number not in done]
    bar = tqdm(total=len(submissions), initial=len(done), desc="grade", disable=not progress)
    broken: list[str] = []
    with bar, tempfile.TemporaryDirectory(prefix="bradcn-grade-") as scratch:
        os.chmod(scratch, 0o711)
        try:
            for number, result in _results(job, submissions, assignments, todo, jobs, scratch):
                done[number] = result
                _keep(job, submissions[number], digests[number], result)
                _write(job, [done[n] for n in sorted(done)])
                bar.update()
                bar.set_postfix_str(
                    f"{printable(result.student)} {result.points:g}/{result.of:g}"[:40]
                )
        except KeyboardInterrupt:
            for number in set(todo) & set(done):  # the last may be half written
                _keep(job, submissions[number], digests[number], done[number])
            _write(job, [done[n] for n in sorted(done)])
            stopped = f"{job.out}: stopped with {len(done)} of {len(submissions)} graded; the "
            raise KeyboardInterrupt(stopped + "same command goes on") from None
    broken = [printable(submissions[n].path.name) for n in todo if n not in done]
    if broken:
        raise DataError(
            f"{job.out}: {len(broken)} could not be graded ({', '.join(broken[:5])}): the grader's "
            "own part failed, see above; the same command tries them again"
        )
    return [done[n] for n in sorted(done)]


def _results(
    job: Job,
    submissions: Sequence[Submission],
    assignments: dict[str, Assignment],
    todo: Sequence[int],
    jobs: int,
    scratch: str,
) -> Iterator[tuple[int, Grade]]:
    """Grade those of `todo`; after a process of the pool has died, the rest one by one."""
    context = multiprocessing.get_context("spawn")
    counter, left = context.Value("i", 0), list(todo)
    rounds = [left] if left else []
    while rounds:
        batch = rounds.pop(0)
        pool = ProcessPoolExecutor(
            min(jobs, len(batch)), context, _begin, (counter, scratch, os.getpid())
        )
        try:
            waiting = {
                pool.submit(
                    _one, job, submissions[n], assignments.get(submissions[n].assignment)
                ): n
                for n in batch
            }
            for future in as_completed(waiting):
                number = waiting[future]
                try:
                    yield number, future.result()
                    left.remove(number)
                except BrokenProcessPool:
                    if len(batch) > 1:
                        rounds = [[n] for n in left]
                        break
                    _say(submissions[number], "its process died")
                except Exception as error:  # whatever it is, it costs no other submission
                    kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
                    _say(submissions[number], f"{kind}{error}")
                    left.remove(number)
        except BaseException:
            for child in multiprocessing.active_children():
                child.kill()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _say(one: Submission, what: str) -> None:
    tqdm.write(f"{printable(str(one.path))}: {printable(what)}", file=sys.stderr)


def _digest(paths: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.name} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _state(one: Submission, job: Job, tests: str) -> str:
    """A digest of all that the grade depends on."""
    parts = [VERSION, one.student, one.assignment, one.problem, one.notes, tests]
    parts += [job.protection.name, job.limits]
    plain = one.path.is_file() and not one.path.is_symlink()
    parts += [file_digest(one.path) if plain else ""]
    parts += [[cell.kind, cell.source, cell.grade_id] for cell in one.cells]
    found = hashlib.sha256(repr(parts).encode("utf-8", "replace"))
    for name, data in beside(one.path, job.root).items():
        found.update(name.encode("utf-8", "replace") + hashlib.sha256(data).digest())
    return found.hexdigest()


def _name(one: Submission | Grade) -> str:
    """A file's name for a student: readable, and of no two students the same."""
    plain = re.sub(r"[^\w@ -]+", "_", one.student).strip() or "_"
    plain = plain.encode()[:120].decode("utf-8", "ignore")
    if plain != one.student:
        plain += "_" + hashlib.sha256(os.fsencode(one.student)).hexdigest()[:6]
    return plain


def _file(job: Job, one: Submission | Grade) -> Path:
    return job.place("state") / f"{_name(one)} {one.assignment or 'unknown'}.json"


def _kept(job: Job, one: Submission, digest: str) -> Grade | None:
    try:
        held = json.loads(_file(job, one).read_text("utf-8"))
        return Grade.from_json(held["grade"]) if held["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(job: Job, one: Submission, digest: str, result: Grade) -> None:
    """Write a result: what a later run skips, and the student's report."""
    held = json.dumps({"digest": digest, "grade": result.as_json()}, indent=1)
    write_atomically(_file(job, one), held.encode())
    folder = job.place("reports") / _name(one)
    stem = one.assignment or "unknown"
    write_atomically(folder / f"{stem}.txt", report.as_text(result).encode("utf-8", "replace"))
    write_atomically(folder / f"{stem}.html", report.as_html(result).encode("utf-8", "replace"))


def _write(job: Job, grades: Any) -> None:
    """Write the table of grades."""
    grades = sorted(grades, key=lambda g: (g.student.casefold(), g.assignment))
    asked = dict.fromkeys((g.assignment, q) for g in grades for q in g.answers)
    twice = {q for a, q in asked if sum(q == other for _, other in asked) > 1}
    names = {(a, q): f"{a}.{q}" if q in twice else q for a, q in sorted(asked)}
    rows = []
    for g in grades:
        row = {"student": safe(g.student), "assignment": g.assignment}
        row |= {"points": f"{g.points:g}", "of": f"{g.of:g}"}
        row |= {
            name: f"{g.answers[q].points:g}" if g.assignment == a and q in g.answers else ""
            for (a, q), name in names.items()
        }
        row["essays to mark"] = "; ".join(
            f"{q} ({g.essay_points[q]:g}{'' if text else ', unanswered'})"
            for q, text in g.essays.items()
        )
        odd = [
            f"the check of {q} could not run: see the state"
            for q, answer in g.answers.items()
            if answer.status == "unusable"
        ]
        row["notes"] = safe("; ".join([*g.notes, *odd]))
        row |= {"seconds": f"{g.seconds:g}", "protection": g.protection}
        rows.append(row)
    write_rows(job.out, rows)

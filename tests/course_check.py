"""All attacks on the grader at every level of protection, and whole assignments (minutes).

    python tests/course_check.py                       # levels of this machine, minutes each
    python tests/course_check.py --levels bubblewrap --only loop bomb
    python tests/course_check.py --user                # as root: once more as an ordinary user

Exit status 1 if a submission has other points than it must, where the level should stop the attack.
"""

import argparse
import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
import psutil
import torch
from course_attacks import ATTACKS, NONE, SECRET, Attack, as_bytes, master

from bradcn_nb.course.grading import Job, grade_all
from bradcn_nb.course.masters import ASSIGNMENTS, masters_folder, read_master
from bradcn_nb.course.protection import choose
from bradcn_nb.course.sandbox import LEVELS, Limits, Protection
from bradcn_nb.course.submissions import read_assignments
from bradcn_nb.errors import BradcnError

PAGE = Path(__file__).parents[1] / "book" / "course" / "security.md"
LIMITS = Limits(cell=4, question=4, whole=60, memory=1 << 30, processes=48, disk=100 << 20)
ORDER = ("double", "total", "scale")


def hand_in(attack: Attack, student: str, root: Path, targets: list[str], port: int) -> Path:
    """Write the attack as a submission; return its file."""
    notebook = read_master(root.parent / "masters" / "1_toy.py")
    made = attack.make(json.loads(json.dumps(notebook)))
    path = root / student / "1_toy" / attack.file
    path.parent.mkdir(parents=True)
    if made == "link":
        path.symlink_to(root.parent / "masters" / "solution.ipynb")
    elif made == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(as_bytes(made, targets, port))
    return path


class Listener:
    """A port of this machine that counts who calls."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.calls = self.server.getsockname()[1], 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            self.server.accept()[0].close()
            self.calls += 1


def attack_all(protection: Protection, attacks: list[Attack], jobs: int) -> list[str]:
    """Grade all attacks; return an outcome for each, "" where all is as it must be."""
    os.environ["GRADER_SECRET"] = "1"
    listener, outcomes = Listener(), []
    with tempfile.TemporaryDirectory(prefix="course-check-") as folder:
        top = Path(folder)
        top.chmod(0o755)
        masters = master(top / "masters")
        nbformat.write(read_master(masters / "1_toy.py"), masters / "solution.ipynb")
        root, out = top / "submitted", top / "grades.csv"
        (top / "open").mkdir()
        (top / "open").chmod(0o777)
        targets = [str(path) for path in (masters, root, top / "open", top)]
        names = [f"s{number:02d}" for number in range(len(attacks))]
        for attack, name in zip(attacks, names, strict=True):
            hand_in(attack, name, root, targets, listener.port)
        grade_all(Job(root, masters, out, protection, LIMITS), jobs)
        rows = {row["student"]: row for row in csv.DictReader(out.open())}
        for attack, name in zip(attacks, names, strict=True):
            row, wrong = rows.get(name), []
            if row is None:
                outcomes.append("NOT GRADED")
                continue
            points = tuple(float(row[question]) for question in ORDER)
            if points != attack.points:
                wrong.append(f"points {points}, not {attack.points}; {row['notes']}")
            reports = list((top / "grades.reports" / name).iterdir())
            text = "".join(path.read_text() for path in reports)
            page = (top / "grades.reports" / name / "1_toy.html").read_text()
            if len(reports) != 2 or str(SECRET)[:5] in text or "<script>" in page:
                wrong.append("the report shows what it must not")
            if attack.points == NONE and "Open the notebook" not in text:
                wrong.append("the report does not say what to do")
            if attack.name.startswith("writes outside") and list(top.rglob("intruder")):
                wrong.append("a file was written outside")
            if attack.name.startswith("opens") and listener.calls:
                wrong.append("somebody called")
            if attack.name.startswith("leaves processes") and leftovers():
                wrong.append("a process is left")
            outcomes.append("; ".join(wrong))
        if "'=HYPER" not in (top / "grades.essays.csv").read_text() and len(attacks) == len(
            ATTACKS
        ):
            outcomes[-1] += "a formula is not quoted"
    return outcomes


def leftovers() -> list[psutil.Process]:
    """Processes that an attack has left."""
    time.sleep(0.2)
    found = []
    for one in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(one.info["cmdline"] or ())
        if "77123" in words and "sleep" in words and one.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(one)
    return found


def whole(protection: Protection, jobs: int) -> list[str]:
    """Grade each assignment solved and untouched; return what is not as it must be."""
    from bradcn_nb.course.build import edition

    wrong = []
    with tempfile.TemporaryDirectory(prefix="course-check-") as folder:
        root, out = Path(folder, "submitted"), Path(folder, "grades.csv")
        written = [n for n in ASSIGNMENTS if (masters_folder() / f"{n}.py").exists()]
        for name in written:
            solved = read_master(masters_folder() / f"{name}.py")
            for student, notebook in (
                ("solved", solved),
                ("untouched", edition(solved, "student")),
            ):
                path = root / student / name / f"{name}.ipynb"
                path.parent.mkdir(parents=True)
                nbformat.write(notebook, path)
        for grade in grade_all(Job(root, masters_folder(), out, protection, Limits()), jobs):
            states = {one.status for one in grade.answers.values()}
            want = {"solved": {"right"}, "untouched": {"undone"}}[grade.student]
            said = f"{grade.assignment} {grade.student}: {grade.points:g}/{grade.of:g}"
            print(f"{said} in {grade.seconds:g} s")
            if states != want or (grade.student == "solved" and grade.cells):
                wrong.append(f"{said} {states} {grade.cells}")
    return wrong


def degenerate() -> list[str]:
    """Answers that fit everything and nothing must fail each hidden test; return which do not."""
    sys.path.insert(0, str(masters_folder()))
    import hidden_tests

    zero = np.zeros(3)
    values = [
        np.empty(0),
        np.nan,
        float("inf"),
        zero * np.nan,
        torch.empty(0),
        torch.tensor(np.nan),
    ]
    values += [[], (), {}, "", 0, 1, True, [np.nan] * 4, (np.nan,) * 3, [np.empty(0)] * 4]
    wrong = []
    for name, assignment in read_assignments(masters_folder()).items():
        for question in assignment.questions:
            for value in values:
                names = {question: lambda *args, _value=value, **more: _value}
                try:
                    with np.errstate(all="ignore"):
                        hidden_tests.check(name, question, names)
                except Exception:
                    continue
                wrong.append(f"{name} {question} takes {value!r} for right")
    return wrong


def table() -> str:
    """The list of attacks and of what stops each at which level, in Markdown."""
    lines = ["| Attack | What stops it | bubblewrap, namespaces, Landlock | limits |"]
    lines += ["| --- | --- | --- | --- |"]
    for attack in ATTACKS[1:]:
        alone = "**no**" if attack.walls else "yes"
        lines.append(f"| {attack.name} | {attack.stops} | yes | {alone} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """Return the page with the table of today between its two marks."""
    before, mark, rest = page.partition("writes this table -->\n")
    after = rest.partition("<!-- end -->")[2]
    return f"{before}{mark}\n{table()}\n\n<!-- end -->{after}"


def as_user() -> int:
    """Run this again as an ordinary user who can read Python, with mounts of its own for that."""
    words, python, aside = [], os.path.realpath(sys.base_prefix), tempfile.mkdtemp()
    if python.startswith("/root/"):
        words += [f"mount --bind {python} {aside}"]
        words += ["mount -t tmpfs -o mode=755 tmpfs /root", f"mkdir -p {python}"]
        words += [f"mount --bind {aside} {python}", f"umount {aside}"]
    words += ['exec setpriv --reuid 4321 --regid 4321 --clear-groups env HOME=/tmp "$@"']
    rest = [sys.executable, *(word for word in sys.argv if word != "--user")]
    command = ["unshare", "--mount", "sh", "-ec", "\n".join(words), "sh", *rest]
    status = subprocess.run(command).returncode
    os.rmdir(aside)
    return status


def main() -> int:
    """Run what the command line says; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--levels", nargs="+", default=LEVELS, choices=LEVELS)
    parser.add_argument("--only", nargs="+", help="words of the attacks' names")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--user", action="store_true", help="as root: again as an ordinary user")
    parser.add_argument("--no-whole", action="store_true", help="not the whole assignments")
    parser.add_argument("--json", type=Path, help="file to add the outcomes to")
    parser.add_argument("--page", action="store_true", help="write the table into the book only")
    options = parser.parse_args()
    if options.page:
        PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
        return 0
    if options.user:
        return as_user()
    chosen = [
        attack
        for attack in ATTACKS
        if not options.only or any(word in attack.name for word in options.only)
    ]
    who = "root" if os.getuid() == 0 else "user"
    table: dict[str, list[str]] = {}
    failed = 0
    for level in options.levels:
        try:
            protection = choose(level, LIMITS, unprotected=True)
        except BradcnError as error:
            print(f"{level} as {who}: not on this machine: {error}")
            continue
        print("\n".join(protection.lines), flush=True)
        table[f"{level}, {who}"] = outcomes = attack_all(protection, chosen, options.jobs)
        for attack, outcome in zip(chosen, outcomes, strict=True):
            meant = not (attack.walls and level == "limits")
            failed += bool(outcome) and meant
            mark = "stopped" if not outcome else "FAILED" if meant else "not stopped"
            print(f"  {mark:12}{attack.name}: {outcome or attack.stops}")
        if not options.no_whole and not options.only and level == next(iter(options.levels)):
            wrong = whole(protection, options.jobs) + degenerate()
            failed += len(wrong)
            print("\n".join(wrong))
    if options.json:
        held = json.loads(options.json.read_text()) if options.json.exists() else {}
        options.json.write_text(json.dumps(held | table, indent=1))
    tried = sum(map(len, table.values()))
    print(f"course-check: {tried} attacks, {failed} failed")
    return 1 if failed or not table else 0


if __name__ == "__main__":
    sys.exit(main())

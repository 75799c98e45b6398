"""`course`: build the assignments, plug them in, grade them, look for copies, fill gradebooks."""

import argparse
from pathlib import Path

from bradcn_nb.cli.common import command, natural
from bradcn_nb.errors import DataError

SHOWN = 8  # lines of what two submissions share
LEVELS = ("auto", "bubblewrap", "namespaces", "landlock", "limits")


def add(group) -> None:
    """Add the command to `group`."""
    parser = command(
        group,
        "course",
        None,
        "The course's assignments: build, try, grade.\n"
        'Needs the repository, and: pip install "bradcn_nb[course]" (doctor: the package alone).',
        "  python -m bradcn_nb course doctor --mine my-notebooks\n"
        "  python -m bradcn_nb course build --out course-2027 --seed 2027\n"
        "  python -m bradcn_nb course grade submitted --out grades.csv --masters course-2027",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for add_action in (_add_build, _add_doctor, _add_grade, _add_copies, _add_export):
        add_action(actions)


def _add_build(actions) -> None:
    build = command(
        actions,
        "build",
        build_editions,
        "Write the assignments for students, instructors and the autograder.\n"
        "DIR is a course for nbgrader, too. It may be new, or what this command wrote before.",
        "  python -m bradcn_nb course build --out course\n"
        "  python -m bradcn_nb course build --out course-2027 --seed 2027 --chapters",
    )
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    build.add_argument(
        "--seed", type=int, metavar="N", help="of the data of this year's questions; default: 0"
    )
    build.add_argument(
        "--chapters", action="store_true", help="the exercises of the book's chapters, too"
    )


def _add_doctor(actions) -> None:
    doctor = command(
        actions,
        "doctor",
        examine_mine,
        "Try your twelve functions in the package, and let the bundled net run on them.\n"
        "Reads the notebooks and .py files of FOLDER: imports and definitions, nothing else.",
        "  python -m bradcn_nb course doctor --mine my-notebooks",
    )
    doctor.add_argument("--mine", type=Path, required=True, metavar="FOLDER", help="your notebooks")
    doctor.add_argument(
        "--pictures", type=natural, default=20, metavar="N", help="to draw; default: 20"
    )
    doctor.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_copies(actions) -> None:
    copies = command(
        actions,
        "copies",
        find_copies,
        "Name the submissions of an assignment whose code is alike, whatever its names.\n"
        "What the master has, solutions included, does not count. Look before you conclude.",
        "  python -m bradcn_nb course copies submitted\n"
        "  python -m bradcn_nb course copies submitted --at-least 30",
    )
    copies.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="as for `grade`")
    copies.add_argument(
        "--at-least", type=natural, default=50, metavar="N", help="%% that is alike; default: 50"
    )


def _add_export(actions) -> None:
    export = command(
        actions,
        "export",
        fill_gradebook,
        "Fill the gradebook that Moodle or Canvas exports with points, to import it again.\n"
        "Points of essays are taken from GRADES' neighbour NAME.essays.csv, where you wrote them,\n"
        "and written, with your comments, into the students' reports.",
        "  python -m bradcn_nb course export grades.csv --gradebook moodle.csv -o filled.csv\n"
        "  python -m bradcn_nb course export grades.csv --gradebook canvas.csv --key 'SIS Login ID'"
        " -o filled.csv",
    )
    export.add_argument("grades", type=Path, metavar="GRADES", help="what `grade` wrote")
    export.add_argument("--gradebook", type=Path, required=True, metavar="CSV", help="the export")
    export.add_argument("-o", "--out", type=Path, required=True, metavar="CSV", help="to write")
    export.add_argument(
        "--key", metavar="COLUMN", help="that names the submission's folder; default: any that does"
    )


def _add_grade(actions) -> None:
    grade = command(
        actions,
        "grade",
        grade_course,
        "Grade what students handed in; their code runs shut in, the tests run outside.\n"
        "Takes the folders of nbgrader, Moodle and Canvas, or STUDENT_1_lens.ipynb. Points come\n"
        "from the masters alone. Goes on where it was stopped. Beside OUT it writes a report for\n"
        "each student, the essays for the person who marks, and what it has graded.",
        "  python -m bradcn_nb course grade submitted --out grades.csv\n"
        "  python -m bradcn_nb course grade submitted --out grades.csv --masters course --jobs 4\n"
        "  python -m bradcn_nb course grade submitted --out grades.csv --protection landlock",
    )
    grade.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="folder")
    grade.add_argument("--out", type=Path, required=True, metavar="CSV", help="table to write")
    masters = "masters and hidden_tests/, or what `course build` wrote; default: the repository's"
    grade.add_argument("--masters", type=Path, metavar="DIR", help=masters)
    grade.add_argument("--jobs", type=natural, default=1, metavar="N", help="at once; default: 1")
    for name, default, text in (
        ("--cell-time", 60, "seconds for a cell"),
        ("--question-time", 20, "seconds for the test of a question"),
        ("--time", 600, "seconds for a submission"),
        ("--memory", 3, "GB for a submission"),
        ("--processes", 64, "processes and threads of a submission"),
        ("--disk", 200, "MB that a submission may write"),
    ):
        grade.add_argument(
            name, type=natural, default=default, metavar="N", help=f"{text}; default: {default}"
        )
    level = "default: auto, the strongest that works here"
    grade.add_argument("--protection", choices=LEVELS, default="auto", help=level)
    grade.add_argument(
        "--unprotected",
        action="store_true",
        help="grade even where only limits work: a student's code can then read your files",
    )
    grade.add_argument("--again", action="store_true", help="grade what is graded already, too")
    grade.add_argument("--quiet", action="store_true", help="no progress bar")


def grade_course(options: argparse.Namespace) -> None:
    """Handle `course grade`; raises DataError where nothing can be graded, or not safely."""
    import signal

    from bradcn_nb.course.masters import masters_folder
    from bradcn_nb.course.protection import choose
    from bradcn_nb.course.sandbox import Limits

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    if options.processes < 8:
        raise DataError("--processes: nothing can be graded with fewer than 8")
    root = options.submissions.resolve()
    masters = (options.masters or masters_folder()).resolve()
    limits = Limits(
        cell=options.cell_time,
        question=options.question_time,
        whole=options.time,
        memory=options.memory << 30,
        processes=options.processes,
        disk=options.disk << 20,
    )
    out = options.out.resolve()
    protection = choose(options.protection, limits, (root, masters), options.unprotected)
    print("\n".join(protection.lines), flush=True)
    from bradcn_nb.course.grading import Job, grade_all  # needs Linux, which is known by now
    from bradcn_nb.course.submissions import SEVERAL, without_notebook
    from bradcn_nb.course.tables import printable

    grades = grade_all(
        Job(root, masters, out, protection, limits), options.jobs, options.again, not options.quiet
    )
    unread = sum(not one.readable for one in grades)
    print(f"{out}: {len(grades)} graded, {unread} of them could not be read")
    several = [one.student for one in grades if any(SEVERAL in note for note in one.notes)]
    for names, what in (
        (several, "more than one notebook, one is graded (a folder counts as one student)"),
        (without_notebook(root), "folders without a notebook"),
    ):
        ours = {f"{out.stem}.state", f"{out.stem}.reports"}
        if names := [printable(name) for name in names if name not in ours]:
            more = f" and {len(names) - 9} more" if names[9:] else ""
            print(f"  {what}: {', '.join(names[:9])}{more}")
    print(f"  reports for students: {out.with_name(out.stem + '.reports')}")
    if any(one.essays for one in grades):
        print(f"  essays to mark: {out.with_name(out.stem + '.essays.csv')} and .html")


def build_editions(options: argparse.Namespace) -> None:
    """Handle `course build`; raises DataError as `build_course` does."""
    from bradcn_nb.course.build import build_course

    built = build_course(options.out, options.seed, options.chapters)
    print(f"{built.out}: {len(built.names)} notebooks in three editions, seed {built.seed}")
    print("  give out student/; grade with: course grade SUBMISSIONS --out grades.csv "
          f"--masters {options.out}")  # fmt: skip


def examine_mine(options: argparse.Namespace) -> None:
    """Handle `course doctor`; raises DataError for a folder without notebooks."""
    from bradcn_nb.course.doctor import examine, functions_in, net_on
    from bradcn_nb.course.plug import PARTS

    mine = functions_in(options.mine)
    found = examine(mine)
    for name, part in PARTS.items():
        print(f"{part.assignment:12} {name:20} {found[name].said:24} {part.place}".rstrip())
    accepted = {name: mine[name] for name, one in found.items() if one.accepted}
    print(f"{len(accepted)} of {len(PARTS)} accepted")
    if not accepted:
        return
    psnr, more = net_on(accepted, options.pictures, progress=not options.quiet)
    print(
        f"The bundled net on your code: {psnr:.2f} dB, {more.mean:+z.3f} dB more than on the book's"
    )


def find_copies(options: argparse.Namespace) -> None:
    """Handle `course copies`; raises DataError where there is nothing to compare."""
    from bradcn_nb.course.build import edition
    from bradcn_nb.course.copies import joined, likenesses
    from bradcn_nb.course.masters import masters_folder, read_master
    from bradcn_nb.course.submissions import find, read_assignments, runnable
    from bradcn_nb.course.tables import printable

    folder = masters_folder()
    assignments = read_assignments(folder)
    handed_in = find(options.submissions, assignments)
    for name in assignments:
        code = {
            one.student: joined(one.cells[n].source for n in runnable(one.cells, assignments[name]))
            for one in handed_in
            if one.assignment == name
        }
        master = read_master(folder / f"{name}.py")
        given = master.cells + edition(master, "student").cells
        known = joined(cell.source for cell in given if cell.cell_type == "code")
        pairs = likenesses(code, known, options.at_least / 100)
        print(f"{name}: {len(code)} submissions, pairs alike: {len(pairs)}")
        for pair in pairs:
            print(f"  {pair.share:4.0%}  {printable(pair.first)}, {printable(pair.second)}")
            lines = pair.excerpt.splitlines()
            for line in [*lines[:SHOWN], *(["..."] if lines[SHOWN:] else [])]:
                print(f"        {printable(line)}")


def fill_gradebook(options: argparse.Namespace) -> None:
    """Handle `course export`; raises DataError as `read_table` and `fill` do."""
    from bradcn_nb.course import gradebook
    from bradcn_nb.course.gradebook import fill, read_table, with_essays, write_table
    from bradcn_nb.course.report import with_marks

    book, grades = read_table(options.gradebook), read_table(options.grades, *gradebook.GRADES)
    marked = options.grades.with_name(f"{options.grades.stem}.essays.csv")
    if marked.is_file():
        essays = read_table(marked, *gradebook.ESSAYS)
        grades, unmarked = with_essays(grades, essays)
        print(f"{marked}: points of essays added, {unmarked} essays are not marked")
        state, reports = (options.grades.with_suffix(end) for end in (".state", ".reports"))
        if changed := with_marks(state, reports, essays):
            print(f"{reports}: marks and comments written into {changed} reports")
    filled, strangers = fill(book, grades, options.key)
    write_table(options.out, filled)
    print(f"{options.out}: {len(grades) - len(strangers)} of {len(grades)} grades filled in")
    if strangers:
        print(f"  not in the gradebook: {', '.join(strangers)}")

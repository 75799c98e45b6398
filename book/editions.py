"""What is made from the assignments: notebooks for nbgrader and for students, pages for the guide.

    python book/editions.py            # write what is behind its .py; executes nothing
    python book/editions.py --check    # only say what is behind
    python book/editions.py --pictures # run the solved masters and keep their milestones

People edit `assignments/N_name.py`. From it come `assignments/N_name.ipynb`, for nbgrader, and
`assignments/student/N_name.ipynb`, which the book renders and Colab opens. The set-up cell is the
chapters' and follows the repository's address, as does the student's badge. The guide's pages
`course/mistakes.md` and `course/rubrics.md` come from `answers/` and `rubrics/`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
import repository
from nbclient import NotebookClient
from PIL import Image

from bradcn_nb.course.build import edition, relinked
from bradcn_nb.course.masters import read_master
from bradcn_nb.course.pages import pages
from bradcn_nb.files import write_atomically

MASTERS = Path(__file__).resolve().parent / "assignments"
STUDENT = "student"


def with_set_up(script: Path) -> str:
    """Return a master's .py with today's set-up cell; raises SystemExit unless it has just one."""
    notebook = jupytext.read(script)
    cells = [cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", ())]
    if len(cells) != 1:
        raise SystemExit(f"{script.name}: {len(cells)} cells have the tag setup, not one")
    wanted = repository.set_up_cell(repository.address()[0])
    text = script.read_text("utf-8")
    if cells[0].source == wanted:
        return text
    if text.count(cells[0].source) != 1:
        raise SystemExit(f"{script.name}: its set-up cell cannot be replaced")
    return text.replace(cells[0].source, wanted)


def made(script: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that come from a master, and their text; the .py must be up to date."""
    master = read_master(script)
    yield script.with_suffix(".ipynb"), nbformat.writes(master) + "\n"
    student = relinked(edition(master, "student"), "../../")
    first = student.cells[0]
    first.source = f"{repository.badge(f'assignments/{STUDENT}/{script.stem}')}\n\n{first.source}"
    yield script.parent / STUDENT / f"{script.stem}.ipynb", nbformat.writes(student) + "\n"


def behind(folder: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Yield each file that is not what it should be, and the text that it should have."""
    for script in sorted((folder or MASTERS).glob("[0-9]*.py")):
        text = with_set_up(script)
        if text != script.read_text("utf-8"):
            yield script, text
        for path, wanted in made(script):
            if not path.is_file() or path.read_text("utf-8") != wanted:
                yield path, wanted
    if folder is None:
        for path, wanted in pages(MASTERS).items():
            if not path.is_file() or path.read_text("utf-8") != wanted:
                yield path, wanted


def write(folder: Path | None = None) -> list[Path]:
    """Bring every file up to date; return those that were written."""
    written = []
    # A generator: what comes from a .py is made after the .py has been written.
    for path, text in behind(folder):
        write_atomically(path, text.encode())
        written.append(path)
    return written


def keep_pictures() -> None:
    """Run the solved masters, each in an empty folder, and keep their milestones."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONPATH"] = str(MASTERS)  # the kernels' tests find their hidden halves there
    for script in sorted(MASTERS.glob("[0-9]*.py")):
        with tempfile.TemporaryDirectory() as folder:
            resources = {"metadata": {"path": folder}}
            NotebookClient(read_master(script), timeout=300, resources=resources).execute()
            path = Path(folder) / next(Path(folder).glob("milestone-?-*.png"))
            with Image.open(path) as picture:
                small = picture.convert("RGB")
        small.thumbnail((1000, 1000))
        small.save(MASTERS.parent / "course" / f"milestone-{script.stem[0]}.jpg", quality=88)
        print(f"{script.stem}: {path.name}")


def main() -> int:
    """Write or check what is made from the assignments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, list what is behind")
    parser.add_argument("--pictures", action="store_true", help="run them, keep their milestones")
    options = parser.parse_args()
    if options.pictures:
        keep_pictures()
        return 0
    if options.check:
        names = [path.relative_to(MASTERS.parent) for path, _ in behind()]
        for name in names:
            print(f"{name} is behind: make assignments")
        return bool(names)
    for path in write():
        print(f"{path.relative_to(MASTERS.parent)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())

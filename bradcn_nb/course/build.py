"""The editions of an assignment, and a folder that nbgrader can work with.

Student: no solutions, no hidden tests. Autograder: no solutions, but the hidden tests. Instructor:
everything. nbgrader's own preprocessors make them, so `nbgrader generate_assignment` gives the same
student edition.
"""

import json
import os
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from nbformat import NotebookNode

from bradcn_nb.course.chapters import chapter_paths, read_chapter
from bradcn_nb.course.masters import masters_folder, read_master
from bradcn_nb.errors import DataError
from bradcn_nb.files import file_digest

EDITIONS = ("student", "instructor", "autograder")
MANIFEST = "course.json"
LINK = r"\[([^\[\]]+)\]\({}(\w[\w./-]*\.(?:md|ipynb))(#[\w-]+)?\)"  # words, page, heading
SEED_LINE = re.compile(r"^SEED = \d+$", re.MULTILINE)
CONFIG = '''"""nbgrader's settings for this course; `course build` wrote them.

    nbgrader generate_assignment 1_lens     # source/ -> release/, what students get
    nbgrader autograde 1_lens               # submitted/ -> autograded/
    nbgrader generate_feedback 1_lens       # autograded/ -> feedback/

nbgrader runs a submission as you, on your files: `bradcn course grade` is the safe way.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
c = get_config()  # noqa: F821
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.course_id = "bradcn"
c.Execute.timeout = 300  # seconds a cell

# Beside source/, where nothing is released from: kernels find the hidden tests by this.
paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
if str(HERE) not in paths:
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *paths])
# nbgrader calls `alembic`, which an environment that is not activated does not find.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# Many threads slow these small nets down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
'''


class Built(NamedTuple):
    """What `build_course` wrote."""

    out: Path
    names: list[str]  # of the notebooks
    seed: int


def edition(master: NotebookNode, which: str, *, outputs: bool = False) -> NotebookNode:
    """Return one of EDITIONS of a master, which stays as it is; `outputs` keeps them.

    Raises DataError where nbgrader is not installed or refuses the master.
    """
    try:
        # A second or two: only who builds waits.
        from nbgrader import preprocessors as steps
        from nbgrader.nbgraderformat import ValidationError
    except ImportError as error:
        raise DataError(
            f"{error.name} is not installed; `pip install nbgrader` brings what building needs"
        ) from None

    clear = [steps.ClearSolutions, *([] if outputs else [steps.ClearOutput])]
    last = [steps.ComputeChecksums, steps.CheckCellMetadata]
    order = {
        "student": [*clear, *last, steps.ClearHiddenTests, steps.ClearMarkScheme, *last],
        "autograder": [*clear, *last],
        "instructor": last,
    }[which]
    notebook = deepcopy(master)
    try:
        for step in (steps.LockCells, *order):
            notebook, _ = step()(notebook, {})
    except (RuntimeError, ValidationError) as error:
        raise DataError(f"nbgrader refuses the notebook: {error}") from error
    return notebook


def relinked(notebook: NotebookNode, base: str | None, book: str = "../") -> NotebookNode:
    """Let a notebook's links to the book begin with `base`, in place; None leaves their words.

    `book` is what they begin with now: `../` in a master, nothing in a chapter. A link from one
    master to another stays.
    """
    link = re.compile(LINK.format(re.escape(book)))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = link.sub(
                lambda m: m[1] if base is None else f"[{m[1]}]({base}{m[2]}{m[3] or ''})",
                cell.source,
            )
    return notebook


def seeded(notebook: NotebookNode, seed: int) -> NotebookNode:
    """Write `SEED = seed` into the cells with the tag `seed`, in place.

    Raises DataError for such a cell without just one line of the form `SEED = 0`.
    """
    for cell in notebook.cells:
        if "seed" in cell.metadata.get("tags", ()):
            cell.source = _with_seed(cell.source, seed, f"cell {cell['id']}")
    return notebook


def _with_seed(source: str, seed: int, where: object) -> str:
    changed, count = SEED_LINE.subn(f"SEED = {seed}", source)
    if count != 1:
        raise DataError(f"{where}: {count} lines are `SEED = <number>`, not one")
    return changed


def build_course(
    out: Path, seed: int | None = None, chapters: bool = False, folder: Path | None = None
) -> Built:
    """Write all editions and nbgrader's layout to `out`, whole or not at all.

    `seed` (>= 0) takes the place of SEED in notebooks and hidden tests; `chapters` adds the book's
    chapters; `folder` has the masters (default: the checkout's). `out` may be absent, empty, or
    what this function wrote and nobody has changed since. Raises DataError otherwise, for a bad
    seed or master, and outside of a checkout; OSError where the disk is full.
    """
    if seed is not None and seed < 0:
        raise DataError(f"seed {seed}: not a whole number of 0 or more")
    out, folder = Path(out).absolute(), folder or masters_folder()
    _refuse_others(out)
    scripts = sorted(folder.glob("[0-9]*.py"))
    hidden = folder / "hidden_tests"
    if not scripts or not (hidden / "__init__.py").is_file():
        raise DataError(f"{folder}: no masters with their hidden_tests/ here")
    masters = {script.stem: read_master(script) for script in scripts}
    of_book = {path.stem: read_chapter(path) for path in chapter_paths()} if chapters else {}
    new = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    old = new.with_suffix(".old")
    try:
        new.mkdir(parents=True)
        base = book_address(folder.parents[1])
        for name, master in masters.items():
            if seed is not None:
                seeded(master, seed)
            _write(relinked(master, base), name, new)
        for name, chapter in of_book.items():  # apart: `course grade` knows no hidden tests of them
            _write(relinked(chapter, base, ""), name, new, "chapters")
        used = _hidden_tests(hidden, new / "hidden_tests", seed)
        if (folder / "rubrics").is_dir():
            shutil.copytree(folder / "rubrics", new / "instructor" / "rubrics")
        (new / "nbgrader_config.py").write_text(CONFIG, "utf-8")
        files = {str(path.relative_to(new)): file_digest(path) for path in _files(new)}
        names = [*masters, *of_book]
        about = {"seed": used, "notebooks": names, "files": files}
        (new / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
    return Built(out, names, used)


def book_address(root: Path) -> str | None:
    """Return where the repository at `root` shows the book's files, with a slash; None if nowhere.

    The address is that of `make set-repository`.
    """
    config = root / "_config.yml"
    if not config.is_file():
        return None
    repository = yaml.safe_load(config.read_text("utf-8"))["repository"]
    url, branch = repository["url"], repository["branch"]
    return f"{url}/blob/{branch}/book/" if url else None


def _write(master: NotebookNode, name: str, folder: Path, below: str = "") -> None:
    """Write a master to source/, where nbgrader wants it, and its editions, without outputs.

    `below` is a folder inside of each edition's.
    """
    for cell in master.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    made = {f"source/{name}": master}
    made |= {f"{one}/{below}": edition(master, one) for one in EDITIONS}
    for place, notebook in made.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, folder / place / f"{name}.ipynb")


def _hidden_tests(source: Path, target: Path, seed: int | None) -> int:
    """Copy the hidden tests, with another seed if one is given; return the seed in them."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    init = target / "__init__.py"
    text = init.read_text("utf-8")
    if seed is not None:
        text = _with_seed(text, seed, source / "__init__.py")
        init.write_text(text, "utf-8")
    line = SEED_LINE.search(text)
    return int(line[0].removeprefix("SEED = ")) if line else 0


def _files(folder: Path) -> list[Path]:
    """What is in a folder, but for what Python and nbgrader write there in passing."""
    passing = {"__pycache__", ".ipynb_checkpoints"}
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path for path in found if not passing & set(path.parts))


def _refuse_others(out: Path) -> None:
    """Raise DataError unless `out` is absent, empty, or as `build_course` left it."""
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or not out.is_dir():
        raise DataError(f"{out}: not a folder; name a new one")
    if not any(out.iterdir()):
        return
    try:
        files = json.loads((out / MANIFEST).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{out}: holds something else; name a new or empty folder") from None
    for path in _files(out):
        name = str(path.relative_to(out))
        if name == MANIFEST:
            continue
        if files.get(name) != file_digest(path):
            raise DataError(
                f"{out}: {name} is not as `course build` wrote it; name a new folder, "
                "or move it away"
            )

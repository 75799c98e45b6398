"""Editions of assignments and chapters: a student's has no solution, and is what nbgrader makes."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from bradcn_nb.course.build import EDITIONS, build_course, edition
from bradcn_nb.course.chapters import chapter_paths, distinctive_lines, plain, read_chapter
from bradcn_nb.course.masters import masters_folder, read_master
from bradcn_nb.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

import editions  # noqa: E402
import repository  # noqa: E402
import student_edition  # noqa: E402

MASTER = '''# %% [markdown]
# # Assignment 1: Small
#
# Read [the Render Net](../05_render_net.ipynb) and the [ledger](../ledger.md#do-units) first, and
# [the paper](https://example.org/a.md). Then comes [the next](2_next.ipynb).

# %% tags=["hide-input", "setup"]
from importlib.util import find_spec

# %% tags=["given"]
import numpy as np

# %% tags=["given", "seed"]
SEED = 0

# %% answer="twice"
def twice(x: float) -> float:
    """Two times x."""
    ### BEGIN SOLUTION
    doubled_by_adding_itself = x + x
    return doubled_by_adding_itself
    ### END SOLUTION

# %% test="twice" points=3
assert twice(2) == 4, "two times two is four"

# %% answer="lucky"
def lucky() -> int:
    """The lucky number of this year."""
    ### BEGIN SOLUTION
    return int(np.random.default_rng(SEED).integers(10**6))
    ### END SOLUTION

# %% test="lucky" points=2
assert lucky() >= 0, "it is not negative"

# %% [markdown] essay="why" points=4
# ### BEGIN SOLUTION
# Because a sample answer has to be somewhere.
# ### END SOLUTION
'''
HIDDEN = '''"""Hidden."""
import numpy as np

from hidden_tests import SEED


def check_twice(mine):
    assert mine.twice(-3) == -6, "negative numbers, too"


def check_lucky(mine):
    assert mine.lucky() == np.random.default_rng(SEED).integers(10**6), "another number"
'''


def folder_of_masters(root: Path, master: str = MASTER) -> Path:
    """A checkout's folder of masters with one small assignment."""
    folder = root / "book" / "assignments"
    (folder / "hidden_tests").mkdir(parents=True)
    shutil.copy(masters_folder() / "hidden_tests" / "__init__.py", folder / "hidden_tests")
    (folder / "hidden_tests" / "small.py").write_text(HIDDEN, "utf-8")
    (folder / "1_small.py").write_text(master, "utf-8")
    (folder / "rubrics").mkdir()
    (folder / "rubrics" / "small.md").write_text("Points for a reason.", "utf-8")
    return folder


def sources(path: Path) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, 4).cells)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A course folder with the small assignment, of another year."""
    root = tmp_path_factory.mktemp("course")
    assert build_course(root / "out", 7, folder=folder_of_masters(root)).names == ["1_small"]
    return root / "out"


def test_each_edition_has_what_it_should(built):
    text = {one: sources(built / one / "1_small.ipynb") for one in EDITIONS}
    for one, source in text.items():
        assert ("doubled_by_adding_itself" in source) == (one == "instructor")
        assert ("Because a sample answer" in source) == (one == "instructor")
        assert ("hidden_tests" in source) == (one != "student")
        assert "assert twice(2) == 4" in source
    assert "    # YOUR CODE HERE\n    raise NotImplementedError()" in text["student"]
    cells = nbformat.read(built / "student" / "1_small.ipynb", 4).cells
    of = {c.metadata.nbgrader.grade_id: c for c in cells if "nbgrader" in c.metadata}
    assert of["test-twice"].metadata.editable is False
    assert of["twice"].metadata.deletable is False
    assert of["why"].metadata.nbgrader.points == 4 and all(
        c.metadata.nbgrader.checksum for c in of.values()
    )
    assert of["test-twice"].source.splitlines()[0] == "# Test of twice: 3 points"
    assert of["test-twice"].source == of["test-twice"].source.rstrip()


def test_hidden_tests_and_rubrics_are_not_where_students_look(built):
    assert [p.name for p in (built / "student").iterdir()] == ["1_small.ipynb"]
    assert [p.name for p in (built / "source" / "1_small").iterdir()] == ["1_small.ipynb"]
    assert (built / "hidden_tests" / "small.py").is_file()
    assert (built / "instructor" / "rubrics" / "small.md").is_file()


def test_the_seed_is_in_notebooks_and_hidden_tests(built):
    for one in EDITIONS:
        assert "SEED = 7" in sources(built / one / "1_small.ipynb")
    assert "\nSEED = 7\n" in (built / "hidden_tests" / "__init__.py").read_text("utf-8")
    assert json.loads((built / "course.json").read_text("utf-8"))["seed"] == 7


def test_links_without_an_address_are_words_and_with_one_are_absolute(built, tmp_path):
    kept = "[the paper](https://example.org/a.md). Then comes [the next](2_next.ipynb)."
    first = nbformat.read(built / "student" / "1_small.ipynb", 4).cells[0].source
    assert "Read the Render Net and the ledger first" in first and kept in first
    folder = folder_of_masters(tmp_path)
    (tmp_path / "_config.yml").write_text(
        "repository: {url: https://github.com/a/b, branch: main}", "utf-8"
    )
    build_course(tmp_path / "out", folder=folder)
    first = nbformat.read(tmp_path / "out" / "student" / "1_small.ipynb", 4).cells[0].source
    at = "https://github.com/a/b/blob/main/book"
    assert f"[the Render Net]({at}/05_render_net.ipynb)" in first
    assert f"[ledger]({at}/ledger.md#do-units)" in first and kept in first


# --- whole or not at all, and never over something else ---


def test_its_own_folder_is_written_again_until_somebody_works_in_it(tmp_path):
    folder, out = folder_of_masters(tmp_path), tmp_path / "out"
    out.mkdir()
    build_course(out, folder=folder)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    (out / "hidden_tests" / "__pycache__").mkdir()
    (out / "hidden_tests" / "__pycache__" / "small.pyc").touch()
    build_course(out, folder=folder)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    (out / "gradebook.db").touch()
    with pytest.raises(DataError, match="gradebook.db is not as"):
        build_course(out, folder=folder)
    (out / "gradebook.db").unlink()
    (out / "nbgrader_config.py").write_text("# mine", "utf-8")
    with pytest.raises(DataError, match="nbgrader_config.py is not as"):
        build_course(out, folder=folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book", "out"]


@pytest.mark.parametrize("kind", ("folder", "file", "link"))
def test_something_else_is_never_written_over(tmp_path, kind):
    folder, out = folder_of_masters(tmp_path), tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("years of work", "utf-8")
    elif kind == "file":
        out.touch()
    else:
        out.symlink_to(folder)
    with pytest.raises(DataError, match="name a new"):
        build_course(out, folder=folder)
    assert len(list(folder.iterdir())) == 3 and (kind != "folder" or len(list(out.iterdir())) == 1)


@pytest.mark.parametrize(
    "old, new, words",
    (
        ("    ### END SOLUTION", "", "twice needs one BEGIN SOLUTION"),
        ('test="twice" points=3', 'test="twice"', "twice has no points"),
        ('test="lucky"', 'test="twice"', "two cells are test twice"),
        ("SEED = 0", "SEED = 1 - 1", "0 lines are `SEED"),
        ('answer="twice"', 'answer="two times"', "nbgrader refuses"),
    ),
)
def test_a_bad_master_leaves_no_folder(tmp_path, old, new, words):
    folder = folder_of_masters(tmp_path, MASTER.replace(old, new, 1))
    with pytest.raises(DataError, match=words):
        build_course(tmp_path / "out", 3, folder=folder)
    assert [p.name for p in tmp_path.iterdir()] == ["book"]


def test_what_cannot_be_built_is_said(tmp_path):
    with pytest.raises(DataError, match="seed -1"):
        build_course(tmp_path / "out", -1)
    with pytest.raises(DataError, match="no masters"):
        build_course(tmp_path / "out", folder=tmp_path)


# --- nbgrader itself ---


def nbgrader(course: Path, *words: str) -> None:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words],
        cwd=course,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def scores(course: Path) -> dict[str, dict[str, float]]:
    """What nbgrader's gradebook has, by student and question."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {
            one.student.id: {g.name: g.auto_score for n in one.notebooks for g in n.grades}
            for assignment in book.assignments
            for one in assignment.submissions
        }


def submit(course: Path, student: str, name: str, notebook) -> None:
    folder = course / "submitted" / student / name
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")


def answered(notebook, master, but: dict[str, str] | None = None):
    """A student's notebook with the master's answers; `but` has others, by question."""
    solved = {c.metadata.nbgrader.grade_id: c for c in master.cells if "nbgrader" in c.metadata}
    for cell in notebook.cells:
        kind = cell.metadata.get("nbgrader", {})
        if kind.get("solution"):
            cell.source = (but or {}).get(kind["grade_id"], solved[kind["grade_id"]].source)
    return notebook


def test_plain_nbgrader_releases_the_same_and_grades_with_the_hidden_tests(built, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(built, course)
    nbgrader(course, "generate_assignment", "1_small")
    released = course / "release" / "1_small"
    assert [p.name for p in released.iterdir()] == ["1_small.ipynb"], "and no hidden tests"
    student = nbformat.read(built / "student" / "1_small.ipynb", 4)
    assert nbformat.read(released / "1_small.ipynb", 4) == student
    master = nbformat.read(course / "source" / "1_small" / "1_small.ipynb", 4)
    wrong = {"twice": "def twice(x):\n    return abs(2 * x)"}
    submit(
        course, "right", "1_small", answered(nbformat.read(released / "1_small.ipynb", 4), master)
    )
    submit(
        course,
        "wrong",
        "1_small",
        answered(nbformat.read(released / "1_small.ipynb", 4), master, wrong),
    )
    submit(course, "untouched", "1_small", student)
    nbgrader(course, "autograde", "1_small")
    found = scores(course)
    assert found["right"] == {"test-twice": 3, "test-lucky": 2, "why": None}
    assert found["wrong"] == {"test-twice": 0, "test-lucky": 2, "why": None}
    assert found["untouched"] == {"test-twice": 0, "test-lucky": 0, "why": 0}


# --- the chapters ---

CHAPTERS = chapter_paths()


@cache
def chapters() -> dict:
    return {path.stem: read_chapter(path) for path in CHAPTERS}


@cache
def secrets() -> dict[str, list[str]]:
    """What no file of a student's edition may hold, by where it is from."""
    masters = {path.stem: read_master(path) for path in sorted(masters_folder().glob("[0-9]*.py"))}
    lines = distinctive_lines(chapters() | masters)
    rubrics = sorted((masters_folder() / "rubrics").glob("*.md"))
    shown = plain(" ".join(c.source for m in masters.values() for c in edition(m, "student").cells))
    for path in rubrics:
        sentences = re.split(r"(?<=[.?!])\s+", path.read_text("utf-8"))
        texts = map(plain, sentences)
        lines[f"rubric of {path.stem}"] = [t for t in texts if len(t) > 40 and t not in shown]
    return lines


def found_in(folder: Path) -> dict[str, str]:
    """The secrets in any file of a folder, however it is coded: where, and which line."""
    found = {}
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "ignore")
        if path.suffix in (".ipynb", ".json"):
            text = " ".join(strings(json.loads(text)))
        # Before a tag is taken out, and after: a page's code is made of tags and entities.
        text = plain(text) + plain(html.unescape(plain(text)))
        for name, lines in secrets().items():
            for line in lines:
                if line in text:
                    found[f"{path.relative_to(folder)}: {name}"] = line
    return found


def strings(value) -> list[str]:
    """Every string in a nested value; a notebook's source is often a list of lines."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        if all(isinstance(part, str) for part in value):
            return ["".join(value)]
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_solutions_inside_of_its_exercises(path):
    made = chapters()[path.stem]
    text = "\n".join(cell.source for cell in made.cells)
    written = nbformat.read(path, 4).cells
    tagged = [
        c for c in written if c.cell_type == "code" and "solution" in c.metadata.get("tags", ())
    ]
    for mark in (r"^# Answer: \w+$", r"^# Test of \w+: 5 points$"):
        assert len(re.findall(mark, text, re.MULTILINE)) == len(tagged) > 0
    for cell in tagged:  # the bodies are there, the names are gone
        body = [line for line in cell.source.splitlines() if line.startswith("    ")]
        assert plain(body[-1]) in plain(text)
        for name in re.findall(r"^def (\w+)", cell.source, re.MULTILINE):
            assert not re.search(rf"\b{name}\(", text) and f"check({name}" not in text
    lines = {name: some for name, some in secrets().items() if name.startswith(path.stem)}
    assert len(lines) >= len(tagged) and all(lines.values()), (
        "each has a line that says it is there"
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapters_student_edition_keeps_outputs_and_tests_without_the_solution(path):
    made = edition(chapters()[path.stem], "student", outputs=True)
    student = plain("\n".join(cell.source for cell in made.cells))
    for lines in secrets().values():
        assert not [line for line in lines if line in student]
    assert "Open in Colab" not in student
    before = nbformat.read(path, 4).cells
    pictures = [sum(len(c.get("outputs", ())) for c in cells) for cells in (before, made.cells)]
    assert 0 <= pictures[0] - pictures[1] <= 2, "only the outputs of graded cells go"
    tests = [c for c in made.cells if c.metadata.get("nbgrader", {}).get("locked")]
    for cell in tests:
        assert "except NotImplementedError" not in cell.source and cell.metadata.editable is False
        assert re.search(r"^check\w*\(\w+(, \w+)*\)$", cell.source, re.MULTILINE)


def test_the_check_of_a_chapter_tells_the_solution_from_a_stub():
    """Chapter 15 needs NumPy alone; its cells run without the rest of it."""
    made = chapters()["15_learning_from_pairs"]
    for which in ("instructor", "student"):
        names: dict = {}
        exec("import numpy as np", names)
        for cell in edition(made, which).cells:
            if cell.cell_type != "code" or "nbgrader" not in cell.metadata:
                continue
            if which == "student" and cell.metadata.nbgrader.grade:
                with pytest.raises(NotImplementedError):
                    exec(cell.source, names)
            else:
                exec(cell.source, names)


@pytest.mark.parametrize(
    "sources, words",
    (
        ({"solution": "def f(x):\n    '''D.'''\n    return 1"}, "solution without an exercise"),
        (
            {"exercise": "def f(x):\n    '''D.'''\n    raise NotImplementedError"},
            "without a solution",
        ),
        ({"graded": "check(f)"}, "graded cell without"),
        (
            {
                "exercise": "def f(x):\n    '''D.'''\n    raise NotImplementedError",
                "solution": "def g(y):\n    '''D.'''\n    return 1",
            },
            "differ in functions or arguments",
        ),
        (
            {
                "exercise": "def f(x):\n    '''D.'''\n    raise NotImplementedError",
                "solution": "def g(x):\n    '''D.'''\n    return 1",
                "graded": "def check(f):\n    assert f(1) == g(1)\n\n\ncheck(f)",
            },
            "needs g, which a student has not",
        ),
        ({"exercise": "x = 1", "solution": "x = 1"}, "more than functions with docstrings"),
    ),
)
def test_an_odd_chapter_is_refused(tmp_path, sources, words):
    cells = [nbformat.v4.new_markdown_cell("# Title")]
    for tag, source in sources.items():
        cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    path = tmp_path / "99_odd.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.raises(DataError, match=words):
        read_chapter(path)


def test_chapters_are_built_by_the_same_command(tmp_path, monkeypatch):
    monkeypatch.setattr("bradcn_nb.course.build.chapter_paths", lambda: CHAPTERS[14:15])
    made = build_course(tmp_path / "out", chapters=True, folder=folder_of_masters(tmp_path))
    assert made.names == ["1_small", "15_learning_from_pairs"]
    chapter = tmp_path / "out" / "student" / "chapters" / "15_learning_from_pairs.ipynb"
    assert not any(cell.get("outputs") for cell in nbformat.read(chapter, 4).cells)
    assert not found_in(tmp_path / "out" / "student")
    assert (tmp_path / "out" / "source" / chapter.stem / chapter.name).is_file()


# --- the whole book without solutions ---


def test_the_search_finds_what_it_looks_for(tmp_path):
    for path in CHAPTERS:
        shutil.copy(path, tmp_path)
    found = {name.split(": ", 1)[1] for name in found_in(tmp_path)}
    assert found == {name for name in secrets() if name.split(":")[0] in chapters()}
    coloured = "<span>return</span> <span>doubled &lt; 2</span>"
    assert "return doubled < 2" in plain(html.unescape(plain(coloured)))


def test_the_copy_that_the_student_edition_is_rendered_from_has_no_solution(tmp_path):
    student_edition.prepare(tmp_path)
    assert not found_in(tmp_path)
    named = {path.stem for path in tmp_path.rglob("*") if path.suffix in (".md", ".ipynb", ".py")}
    assert {"05_render_net", "intro", "ledger"} <= named
    assert not {"instructors", "rubrics", "mistakes", "hidden_tests", "answers"} & named
    pages = [path.read_text("utf-8") for path in tmp_path.rglob("*.md")]
    assert not any(re.search(r"\((instructors|rubrics|mistakes)\.md", text) for text in pages)


@pytest.mark.slow
def test_no_file_of_the_rendered_student_edition_has_a_solution(tmp_path):
    command = [sys.executable, ROOT / "book" / "student_edition.py", "--out", tmp_path / "site"]
    subprocess.run(command, check=True)
    site = tmp_path / "site"
    assert (site / "searchindex.js").is_file() and (site / "_sources").is_dir()
    assert len(list(site.rglob("*.html"))) > len(CHAPTERS)
    assert not found_in(site)
    terms = (site / "searchindex.js").read_text("utf-8")
    assert "solution_folds" not in terms and "depth_of_field_solut" not in terms


# --- the assignments' notebooks ---


def test_the_assignments_notebooks_are_up_to_date():
    assert not [str(path) for path, _ in editions.behind()], "make assignments"


def test_a_changed_master_brings_its_notebooks_along(tmp_path, monkeypatch):
    folder = folder_of_masters(tmp_path)
    script = folder / "1_small.py"
    written = {path.name for path in editions.write(folder)}
    assert written == {"1_small.py", "1_small.ipynb"}, "both notebooks have one name"
    assert repository.set_up_cell(repository.address()[0]) in script.read_text("utf-8")
    assert not list(editions.behind(folder)) and not editions.write(folder)
    first = nbformat.read(folder / "student" / "1_small.ipynb", 4).cells[0].source
    assert first.startswith("[![Open in Colab](../../_static/colab-badge.svg)](../../colab.md)")
    assert "[the Render Net](../../05_render_net.ipynb)" in first
    assert "[ledger](../../ledger.md#do-units)" in first and "[the next](2_next.ipynb)" in first
    url = "https://github.com/someone/bokeh-book"
    monkeypatch.setattr(repository, "address", lambda: (url, "main"))
    editions.write(folder)
    student = sources(folder / "student" / "1_small.ipynb")
    assert "someone/bokeh-book/blob/main/book/assignments/student/1_small.ipynb" in student
    assert repository.wheel(url) in student and "doubled_by" not in student
    text = script.read_text("utf-8")
    script.write_text(text.replace('"setup"', '"set-up"'), "utf-8")
    with pytest.raises(SystemExit, match="0 cells have the tag setup"):
        editions.write(folder)


ASSIGNMENTS = sorted(masters_folder().glob("[0-9]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", ASSIGNMENTS, ids=lambda path: path.stem)
def test_an_untouched_assignment_fails_with_what_is_not_written_alone(script, tmp_path):
    notebook = nbformat.read(script.parent / "student" / f"{script.stem}.ipynb", 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, allow_errors=True, resources=resources).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert {o.ename for o in outputs if o.output_type == "error"} == {"NotImplementedError"}


@pytest.mark.slow
def test_plain_nbgrader_gives_every_solved_assignment_all_points(tmp_path):
    """And a chapter: 3, which is quick."""
    course = build_course(tmp_path / "course", 5, chapters=True).out
    for name in [*(script.stem for script in ASSIGNMENTS), CHAPTERS[2].stem]:
        master = nbformat.read(course / "source" / name / f"{name}.ipynb", 4)
        nbgrader(course, "generate_assignment", name)
        student = nbformat.read(course / "release" / name / f"{name}.ipynb", 4)
        submit(course, name, name, answered(student, master))
        nbgrader(course, "autograde", name)
        wanted = {
            one["grade_id"]: float(one["points"])
            for one in (c.metadata.get("nbgrader", {}) for c in master.cells)
            if one.get("grade") and not one["solution"]
        }
        got = scores(course)[name]
        assert {name: points for name, points in got.items() if name in wanted} == wanted

"""The whole book without its solutions, rendered: `make html HIDE_SOLUTIONS=1`.

    python book/student_edition.py --out DIR

The book is rendered from a copy in which every chapter is its own student edition: exercises are
stubs, checks need no solution, folded answers are gone. Outputs stay as they are; nothing is
executed. Pages for instructors are not in it, and no badge leads to a notebook with solutions.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml

from bradcn_nb.course.build import edition
from bradcn_nb.course.chapters import read_chapter
from bradcn_nb.errors import BradcnError
from bradcn_nb.files import is_unused

ROOT = Path(__file__).resolve().parents[1]
# What instructors alone read: file names, without ending, in the contents.
FOR_INSTRUCTORS = re.compile(r"book/course/(instructor|mistakes|rubrics|guide)")


def prepare(folder: Path) -> None:
    """Write to an empty folder what the edition is rendered from, and nothing else."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    config["repository"]["url"] = ""  # its buttons would lead to what is hidden here
    config["sphinx"]["config"]["hide_solutions"] = True  # sphinx-exercise's directives, too
    removed = []
    for part in contents["parts"]:
        removed += filter(FOR_INSTRUCTORS.match, (c["file"] for c in part["chapters"]))
        part["chapters"] = [c for c in part["chapters"] if c["file"] not in removed]
    book = folder / "book"
    book.mkdir(parents=True)
    for name, value in (("_toc.yml", contents), ("_config.yml", config)):
        (folder / name).write_text(yaml.safe_dump(value, sort_keys=False), "utf-8")
    for name in ("_static", "_ext"):
        shutil.copytree(ROOT / "book" / name, book / name)
    shutil.copy(ROOT / "book" / "references.bib", book)
    (book / "course").mkdir()
    for picture in (ROOT / "book" / "course").glob("*.jpg"):
        shutil.copy(picture, book / "course")
    results = ROOT / "data" / "results"
    shutil.copytree(results, folder / "data" / "results", ignore=_no_pictures)
    gone = _links_to(removed)
    pages = [contents["root"], *(c["file"] for p in contents["parts"] for c in p["chapters"])]
    for page in pages:
        _copy(page, folder, gone)


def _no_pictures(folder: str, names: list[str]) -> list[str]:
    """Of the results, pages show pictures only."""
    kept = (".jpg", ".png", ".svg")
    return [n for n in names if not n.endswith(kept) and not Path(folder, n).is_dir()]


def _links_to(pages: list[str]) -> re.Pattern | None:
    """A pattern of links to one of the pages, whose words are its first group."""
    if not pages:
        return None
    names = "|".join(re.escape(Path(page).name) for page in pages)
    return re.compile(rf"\[([^\[\]]+)\]\((?:[\w.-]+/)*(?:{names})\.\w+(?:#[\w-]+)?\)")


def _copy(page: str, folder: Path, gone: re.Pattern | None) -> None:
    """Copy a page, a chapter as its student edition, without links to what is not there."""
    target = folder / page
    target.parent.mkdir(parents=True, exist_ok=True)
    source = ROOT / f"{page}.md"
    if source.is_file():
        text = source.read_text("utf-8")
        target.with_name(source.name).write_text(gone.sub(r"\1", text) if gone else text, "utf-8")
        return
    source = source.with_suffix(".ipynb")
    if source.parent == ROOT / "book":
        notebook = edition(read_chapter(source), "student", outputs=True)
    else:  # an assignment: it is a student edition
        notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if gone and cell.cell_type == "markdown":
            cell.source = gone.sub(r"\1", cell.source)
    nbformat.write(notebook, target.with_name(source.name))


def render(out: Path) -> None:
    """Render the edition to `out`, whole or not at all.

    Raises SystemExit where `out` holds something else, or the book has a warning.
    """
    if not is_unused(out) and not (out / "genindex.html").is_file():
        raise SystemExit(f"{out}: holds something else; name a new or empty folder")
    with tempfile.TemporaryDirectory() as folder:
        try:
            prepare(Path(folder))
        except BradcnError as error:
            raise SystemExit(f"error: {error}") from None
        command = [
            Path(sys.executable).with_name("jupyter-book"),
            "build",
            ".",
            "--path-output",
            ".",
        ]
        done = subprocess.run([*command, "-W", "-n", "--keep-going", "-q"], cwd=folder)
        site = Path(folder) / "_build" / "html"
        if done.returncode:
            raise SystemExit("the student edition has warnings, see above")
        out.parent.mkdir(parents=True, exist_ok=True)
        new = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        shutil.move(site, new)
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)


def main() -> int:
    """Render the student edition where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "book" / "_build" / "student")
    out = parser.parse_args().out
    render(out)
    print(f"{out / 'index.html'}: the book without solutions")
    return 0


if __name__ == "__main__":
    sys.exit(main())

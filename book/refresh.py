"""Make every chapter's .ipynb from the .py beside it: run it, keep what a reader should see.

    python book/refresh.py                    # all chapters
    python book/refresh.py 05_render_net      # one
    python book/refresh.py --prose            # only bring changed text over: nothing is executed
    python book/refresh.py --check            # only say which notebooks are behind their .py

People edit the .py; the .ipynb is what Colab opens, Jupyter Book renders and nbval verifies.
The Colab badge at a chapter's top and its set-up cell are written here, by repository.py.
"""

import argparse
import base64
import os
import sys
import time
from io import BytesIO
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import repository
from jupytext.combine import combine_inputs_with_outputs
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

BOOK = Path(__file__).resolve().parent
# What differs from machine to machine (versions, timings, widget state) stays out of the file.
NOTEBOOK_METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
PALETTE_DB = 48  # PSNR from which 256 colours are as good as all: curves, not photographs
JPEG_QUALITY = 90
JPEG_SHARE = 0.6  # of a PNG's bytes; more than that it is of a drawing, whose lines JPEG would blur


def with_address(script: Path) -> NotebookNode:
    """Read a chapter's .py; its badge and its set-up cell follow today's _config.yml."""
    notebook = jupytext.read(script)
    first = notebook.cells[0]
    if first.cell_type != "markdown":
        raise SystemExit(f"{script.name}: the first cell must be Markdown (badge and title)")
    lines = first.source.splitlines()
    if lines[0].startswith("[![Open in Colab]"):
        lines = lines[1:]
    first.source = "\n".join([repository.badge(script.stem), *lines])
    set_up_cell(notebook, script.name).source = repository.set_up_cell(repository.address()[0])
    return notebook


def set_up_cell(notebook: NotebookNode, name: str) -> NotebookNode:
    """Return the cell with the tag "setup", of which a chapter has one."""
    cells = [cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", ())]
    if len(cells) != 1:
        raise SystemExit(f"{name}: {len(cells)} cells have the tag setup, not one")
    return cells[0]


def tidy(notebook: NotebookNode, stem: str) -> NotebookNode:
    """Drop everything that would differ between two runs of the same chapter."""
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"{stem[:40]}-{number:03d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.get("name") == "stderr":
                print(f"  {stem}: cell {number} wrote to stderr (not kept): {output.text[:200]}")
        cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                smaller(output)
    return notebook


def smaller(output: NotebookNode) -> None:
    """Pack a figure more tightly: photographs as JPEG, curves as the same PNG in fewer bytes."""
    png, packed, jpeg = base64.b64decode(output.data["image/png"]), BytesIO(), BytesIO()
    with Image.open(BytesIO(png)) as picture:
        if picture.mode == "P":  # packed before: a second time it would change, for nothing
            return
        figure = picture.convert("RGB")
    few = figure.quantize(256, kmeans=3, dither=Image.Dither.NONE)
    with np.errstate(divide="ignore"):  # many have no more than 256
        alike = peak_signal_noise_ratio(np.asarray(figure), np.asarray(few.convert("RGB")))
    (few if alike >= PALETTE_DB else figure).save(packed, "PNG", optimize=True)
    figure.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    least = min(png, packed.getvalue(), key=len)
    if len(jpeg.getvalue()) <= JPEG_SHARE * len(least):
        del output.data["image/png"]
        output.data["image/jpeg"] = base64.b64encode(jpeg.getvalue()).decode()
    else:
        output.data["image/png"] = base64.b64encode(least).decode()


def is_current(script: Path) -> bool:
    """Say whether the .ipynb holds the same cells as the .py (outputs aside)."""
    path = script.with_suffix(".ipynb")
    if not path.exists():
        return False
    made, wanted = nbformat.read(path, as_version=4), with_address(script)
    written = jupytext.read(script)

    def cells(notebook: NotebookNode) -> list[tuple]:
        return [(c.cell_type, c.source, c.metadata) for c in notebook.cells]

    return cells(made) == cells(wanted) == cells(written)


def refresh(script: Path) -> None:
    """Run one chapter in place and write both of its files."""
    start = time.perf_counter()
    notebook = with_address(script)
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(BOOK)}},
    ).execute()
    tidy(notebook, script.stem)
    # Written only when the run is through: a chapter that fails leaves its files alone.
    jupytext.write(notebook, script, fmt="py:percent")
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    print(f"{script.stem}: {len(notebook.cells)} cells, {time.perf_counter() - start:.0f} s")


def update_prose(script: Path) -> bool:
    """Bring a chapter's text over to its notebook, outputs as they are; False if code differs, too.

    The set-up cell may differ: elsewhere than on Colab it does nothing.
    """
    path = script.with_suffix(".ipynb")
    made, wanted = nbformat.read(path, as_version=4), with_address(script)

    def code(notebook: NotebookNode) -> list[str]:
        return [cell.source for cell in notebook.cells if cell.cell_type == "code"]

    if any("setup" in cell.metadata.get("tags", ()) for cell in made.cells):
        set_up_cell(made, path.name).source = repository.set_up_cell(repository.address()[0])
    if code(made) != code(wanted):
        return False
    updated = tidy(combine_inputs_with_outputs(wanted, made), script.stem)
    jupytext.write(updated, script, fmt="py:percent")
    nbformat.write(updated, path)
    return True


def all_chapters() -> list[Path]:
    """Return every chapter's .py, in order."""
    return sorted(BOOK.glob("[0-9]*.py"))


def bring_over_prose(scripts: list[Path]) -> bool:
    """Bring the chapters' text over and name those whose code changed; return whether some did."""
    changed = [script.stem for script in scripts if not update_prose(script)]
    for stem in changed:
        print(f"{stem}: its code changed, too: make refresh NB={stem}")
    return bool(changed)


def main() -> int:
    """Refresh or check the chapters that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="names without ending; none means all")
    parser.add_argument("--prose", action="store_true", help="run nothing, bring text over")
    parser.add_argument("--check", action="store_true", help="run nothing, list what is behind")
    arguments = parser.parse_args()
    known = {script.stem: script for script in all_chapters()}
    if unknown := [name for name in arguments.chapters if Path(name).stem not in known]:
        parser.error(f"no chapter {unknown[0]!r}; there are {', '.join(known)}")
    scripts = [known[Path(name).stem] for name in arguments.chapters] or list(known.values())
    if arguments.check:
        behind = [script.stem for script in scripts if not is_current(script)]
        for stem in behind:
            print(f"{stem}.ipynb is behind {stem}.py: make refresh NB={stem}")
        return bool(behind)
    if arguments.prose:
        return bring_over_prose(scripts)
    # As in the Makefile and in conftest.py: a chapter's printed digits must not depend on
    # how many threads added them up.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for script in scripts:
        refresh(script)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The chapters as a student on Colab meets them: `make colab-check` (minutes, 3 GB to fetch).

An environment with Colab's versions (colab-packages.txt) and a stand-in for its own google.colab;
an empty working folder; the set-up cell, twice, with a wheel of this checkout; then every chapter,
every solved assignment with its hidden tests, and every assignment as students get it, in which
nothing may fail but what is not written yet. The packages before and after must be the same but for
ours. Not part of `make test`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "tests" / "colab-packages.txt"
OURS = {"bradcn_nb", "lpips", "pytorch-msssim"}
# What google.colab does on import, and what fails there under IPython 9.
STAND_IN = "from IPython.utils.coloransi import TermColors\n\nGREEN = TermColors.Green\n"
RUN = """
import sys, time, nbformat
from pathlib import Path
from nbclient import NotebookClient
start = time.time()
notebook = nbformat.read(sys.argv[1], as_version=4)
unwritten = len(sys.argv) > 2
NotebookClient(notebook, timeout=900, kernel_name="python3", allow_errors=unwritten).execute()
outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
errors = {output.ename for output in outputs if output.output_type == "error"}
print(f"{Path(sys.argv[1]).stem}: {time.time() - start:.0f} s", *errors)
sys.exit(errors != ({"NotImplementedError"} if unwritten else set()))
"""


def stand_in(site: Path) -> None:
    """Write a `google.colab` to a folder of packages."""
    (site / "google" / "colab").mkdir(parents=True, exist_ok=True)
    (site / "google" / "colab" / "__init__.py").write_text(STAND_IN)


def with_wheel(notebook: Path, wheel: Path, out: Path) -> Path:
    """Write the notebook as it is once the repository has an address; the wheel is a file here."""
    sys.path.insert(0, str(ROOT / "book"))
    import repository

    made = nbformat.read(notebook, as_version=4)
    (cell,) = (c for c in made.cells if "setup" in c.metadata.get("tags", ()))
    published = "https://github.com/OWNER/NAME"
    cell.source = repository.set_up_cell(published).replace(repository.wheel(published), str(wheel))
    made.cells.insert(made.cells.index(cell) + 1, cell.copy())  # a cell is run twice now and then
    nbformat.write(made, out / notebook.name)  # over the one before it, of the same name
    return out / notebook.name


def packages(python: Path) -> dict[str, str]:
    """Return name and version of everything that is installed."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True
    )
    return {one["name"]: one["version"] for one in json.loads(listed.stdout)}


def main(interpreter: str, environment: Path) -> int:
    """Make the environment with `interpreter` where there is none, and run everything in it."""
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", environment], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", PACKAGES], check=True)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    stand_in(Path(site))
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", *OURS], check=True)
    before, failed = packages(python), []
    env = os.environ | {"PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    env["PYTHONPATH"] = str(ROOT / "book" / "assignments")  # the hidden tests of the masters
    with tempfile.TemporaryDirectory() as folder:
        work = Path("/content") if os.access("/", os.W_OK) else Path(folder) / "content"
        work.mkdir(exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
             "--wheel-dir", folder, ROOT], check=True,
        )  # fmt: skip
        (wheel,) = Path(folder).glob("*.whl")
        for notebook in sorted((ROOT / "book").rglob("[0-9]*.ipynb")):
            if "_build" in notebook.parts:
                continue
            ready = with_wheel(notebook, wheel, Path(folder))
            unwritten = ["unwritten"] * (notebook.parent.name == "student")
            if subprocess.run([python, "-c", RUN, ready, *unwritten], cwd=work, env=env).returncode:
                failed.append(str(notebook.relative_to(ROOT / "book")))
        subprocess.run([python, "-c", "import google.colab"], check=True)
    changed = {name for name, _ in packages(python).items() ^ before.items()}
    print(f"packages that changed: {', '.join(sorted(changed))}")
    print(f"notebooks that failed: {', '.join(failed) or 'none'}")
    return bool(failed) or changed != OURS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute()))

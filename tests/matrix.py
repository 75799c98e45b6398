"""The unit tests with the oldest, the locked and the newest versions: `make test-matrix`.

One environment at a time, deleted after (each 3 to 7 GB to fetch, then some minutes). Name one of
the rows to run it alone; a Python that is not here is named and left out. Not part of `make test`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = {  # name: Python, what uv is told
    "oldest": ("3.11", ["--resolution", "lowest-direct", "-e", ".[book,course,test]"]),
    "locked": ("3.12", ["-r", "requirements.lock", "-e", "."]),
    "newest": ("3.13", ["-e", ".[book,course,test]"]),
}


def run(name: str) -> str:
    """Make the environment of a row, run the unit tests in it; return what came out."""
    version, words = ROWS[name]
    interpreter = shutil.which(f"python{version}")
    if not interpreter or subprocess.run([interpreter, "-c", ""], capture_output=True).returncode:
        return f"left out, no python{version} here"
    with tempfile.TemporaryDirectory(prefix=f"matrix-{name}-") as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "uv"], check=True)
        uv = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]
        if subprocess.run([*uv, *words], cwd=ROOT).returncode:
            return "cannot be installed"
        env = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        tests = ["tests", "-m", "not browser and not slow", "-n", "2", "-q", "-rfE"]
        done = subprocess.run([python, "-m", "pytest", *tests], cwd=ROOT, env=env)
        return "passed" if done.returncode == 0 else "failed"


def main(names: list[str]) -> int:
    """Run the rows, print a line for each; return whether one failed."""
    outcomes = {name: run(name) for name in names or ROWS}
    for name, outcome in outcomes.items():
        print(f"{name:8} Python {ROWS[name][0]}: {outcome}")
    return any(outcome in ("failed", "cannot be installed") for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The wheel: installed away from the repository it has its data, and renders."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from bradcn_nb.files import data_root

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in")
LARGEST = 45_000_000  # bytes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, built from a copy: a build leaves folders in its sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    for name in ("bradcn_nb", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", copy / "dist", copy], check=True, capture_output=True)
    (made,) = (copy / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds the installed wheel and, beside it, another package's folder `data`."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", folder]
    subprocess.run([*command, wheel], check=True, capture_output=True)
    (folder / "data").mkdir()
    return folder


def bradcn(installed: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k != "BRADCN_DATA"}
    env |= {"PYTHONPATH": str(installed)}
    command = [sys.executable, installed / "bin" / "bradcn", *arguments]
    return subprocess.run(command, env=env, cwd=installed, capture_output=True, text=True)


def test_the_wheel_is_small_enough_and_holds_the_data(wheel):
    assert wheel.stat().st_size < LARGEST
    bundled = "bradcn_nb/data/bundled/"
    names = zipfile.ZipFile(wheel).namelist()
    held = {name.removeprefix(bundled) for name in names if name.startswith(bundled)}
    root = data_root()
    assert held == {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert "bradcn_nb/py.typed" in names


def test_the_command_knows_its_name_and_version(installed):
    assert bradcn(installed, "--version").stdout.strip() == "0.1.0"
    assert bradcn(installed, "--help").stdout.startswith("usage: bradcn ")


def test_a_photograph_is_rendered_by_the_bundled_weights(installed, tmp_path):
    photo, out = tmp_path / "photo.png", tmp_path / "bokeh.png"
    Image.fromarray(skimage.data.astronaut()[:96, :144]).save(photo)
    done = bradcn(installed, "render", photo, "-o", out)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture:
        assert picture.size == (144, 96)

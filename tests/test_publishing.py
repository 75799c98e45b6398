"""The files for whoever publishes or maintains the repository: they parse, and name what exists."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import colab_check
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

import repository  # noqa: E402

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def commands(value) -> list[str]:
    """Every string in a nested value."""
    if isinstance(value, dict):
        return [line for part in value.values() for line in commands(part)]
    if isinstance(value, list):
        return [line for part in value for line in commands(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    "name",
    (
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        ".pre-commit-config.yaml",
        ".devcontainer/devcontainer.json",
    ),
)
def test_it_parses_and_every_make_target_in_it_exists(name):
    text = (ROOT / name).read_text("utf-8")
    parsed = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    called = re.findall(r"\bmake ([a-z-]+)", "\n".join(commands(parsed)))
    assert set(called) <= TARGETS
    for path in re.findall(r"bash (\S+)", text):
        assert (ROOT / path).is_file()


def test_the_workflow_tests_the_pythons_that_are_declared():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    declared = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert jobs["versions"]["strategy"]["matrix"]["python"] == declared


def test_help_fits_a_screen():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    shown = makefile.partition("\nhelp:\n")[2].partition("\n\n")[0]
    lines = re.findall(r'@echo "(.*)"', shown)
    assert 10 < len(lines) < 24 and max(map(len, lines)) < 90
    assert set(re.findall(r"^make ([a-z-]+)", "\n".join(lines), re.MULTILINE)) <= TARGETS


# --- where the book is published ---

NAMING = ("_config.yml", "pyproject.toml", "CITATION.cff", "README.md")
URL = "https://github.com/someone/bokeh-book"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The files that name the address, apart from this checkout."""
    for name in NAMING:
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(repository, "ROOT", tmp_path)
    return tmp_path


def test_the_address_is_written_everywhere_and_taken_back(copy):
    before = {name: (copy / name).read_bytes() for name in NAMING}
    for _ in range(2):  # the second time, nothing changes
        repository.set_repository(f"{URL}.git/")
        named = [name for name in NAMING if URL in (copy / name).read_text("utf-8")]
        assert named == list(NAMING) and not repository.stale()
    project = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"] == {"Homepage": URL, "Issues": f"{URL}/issues"}
    assert yaml.safe_load((copy / "CITATION.cff").read_text("utf-8"))["repository-code"] == URL
    opened = "colab.research.google.com/github/someone/bokeh-book/blob/main/book/05_x.ipynb"
    assert opened in repository.badge("05_x")
    repository.set_repository("")
    assert before == {name: (copy / name).read_bytes() for name in NAMING}
    assert "(colab.md)" in repository.badge("05_x")


def test_what_does_not_follow_the_address_is_named(copy):
    assert not repository.stale()
    config = copy / "_config.yml"
    config.write_text(config.read_text("utf-8").replace('  url: ""', f'  url: "{URL}"'), "utf-8")
    assert repository.stale() == ["pyproject.toml", "CITATION.cff", "README.md"]


def test_this_checkout_follows_its_address():
    assert not repository.stale()


@pytest.mark.parametrize(
    "wrong", ["github.com/a/b", "https://github.com/a", "https://a b/c/d", "https://gitlab.com/a/b"]
)
def test_an_address_that_is_none_is_refused(copy, wrong):
    with pytest.raises(SystemExit, match="not an address"):
        repository.set_repository(wrong)


def test_the_set_up_cell_fetches_what_is_missing_and_nothing_else(monkeypatch, capsys):
    asked = []
    shell = SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    cell = repository.set_up_cell(URL)
    exec(cell, {})
    assert not asked  # the package is there
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(cell, {})
    ((magic, line),) = asked
    _, _, options = line.partition("install ")
    assert magic == "pip" and options.split()[:2] == ["-q", "--no-deps"]
    assert [word for word in options.split() if "/" in word] == [repository.wheel(URL)]
    assert "No GPU here" in capsys.readouterr().out or torch.cuda.is_available()
    with pytest.raises(ModuleNotFoundError, match="On Colab"):
        exec(repository.set_up_cell(""), {})


@pytest.mark.skipif(
    int(metadata.version("ipython").split(".")[0]) < 9, reason="an IPython as old as Colab's"
)
def test_colabs_own_code_does_not_survive_another_ipython(tmp_path):
    """So the check would notice a set-up cell that replaces Colab's IPython 7.34."""
    colab_check.stand_in(tmp_path)
    command = [sys.executable, "-c", "import google.colab"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "AttributeError" in done.stderr


def test_nothing_that_colab_has_is_too_old():
    """Its versions satisfy what pyproject.toml asks for; what it lacks is what the cell fetches."""
    lines = (ROOT / "tests" / "colab-packages.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    there = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    missing = []
    for asked in map(Requirement, project["dependencies"]):
        version = there.get(canonicalize_name(asked.name))
        if version is None:
            missing.append(asked.name)
        else:
            assert asked.specifier.contains(version), f"Colab has {asked.name} {version}"
    assert sorted(missing) == repository.MISSING_ON_COLAB.split()

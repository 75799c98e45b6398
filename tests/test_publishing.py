"""The files for whoever publishes or maintains the repository: they parse, and name what exists."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
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
    (".github/workflows/ci.yml", ".pre-commit-config.yaml", ".devcontainer/devcontainer.json"),
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

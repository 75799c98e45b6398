"""The commands that README and chapters tell people to type are commands, with options that
exist."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from bradcn_nb.__main__ import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("[0-9]*.py"))]
# After these a page may break off ("...") or show how a notebook types it ("!").
START = re.compile(r"^!?\s*(?:accelerate launch .*|torchrun .*|\S*python )-m bradcn_nb (?=[a-z])")


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser, by name."""
    groups = [action for action in parser._actions if isinstance(action.choices, dict)]
    pairs = [pair for group in groups for pair in group.choices.items()]
    return {name: inner for name, inner in pairs if isinstance(inner, argparse.ArgumentParser)}


def commands() -> list[tuple[str, str]]:
    """(page, arguments) of each command in a page's text, its continued lines joined."""
    found = []
    for page in PAGES:
        lines = [re.sub(r"^# ?", "", line) for line in page.read_text("utf-8").splitlines()]
        text = re.sub(r"\\\n\s*", "", "\n".join(lines))
        for line in text.splitlines():
            for part in re.findall(r"`([^`]+)`", line) or [line.strip()]:
                if start := START.match(part):
                    found.append((page.stem, part[start.end() :]))
    return found


@pytest.mark.parametrize(("page", "typed"), commands())
def test_a_command_of_the_text_is_understood(page: str, typed: str) -> None:
    words = shlex.split(re.sub(r"\s+(#|\(|>).*|;.*", "", typed))
    if "..." in words or words[-1].endswith(":"):
        words = words[:1]
    if len(words) == 1:  # only named: it must exist
        words += ["--help"]
    try:
        build_parser().parse_args(words)
    except SystemExit as stop:
        assert stop.code == 0, f"{page}: {typed}"


def test_the_pages_are_searched() -> None:
    found = commands()
    assert len([page for page, _ in found if page.startswith("16")]) >= 12
    assert len([page for page, _ in found if page == "README"]) >= 4

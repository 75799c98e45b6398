"""The ledger and the code must know the same choices."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEDGER = (ROOT / "book" / "ledger.md").read_text(encoding="utf-8")
IDS = set(re.findall(r"^### (\S+)$", LEDGER, re.MULTILINE))
CITED = re.compile(r"ledger(?:\s+ids?)?[:\s]+\"?([a-z0-9-]+)\"?")


def test_every_id_that_the_code_cites_has_an_entry() -> None:
    cited = {
        found
        for path in (ROOT / "bradcn_nb").rglob("*.py")
        for found in CITED.findall(path.read_text(encoding="utf-8"))
    }
    assert len(cited) > 8
    assert cited <= IDS, f"no entry for {sorted(cited - IDS)}"


def test_every_test_that_the_ledger_names_exists() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", LEDGER)
    assert len(named) > 15
    for file, function in named:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, f"{file} has no {function}"

"""The page of times is what its file says, and the file is whole."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

import speed  # noqa: E402


def test_the_page_shows_the_file():
    assert (ROOT / "book" / "speed.md").read_text("utf-8") == speed.page()


def test_every_row_is_of_a_commit_of_its_own_and_has_positive_times():
    rows = speed.kept()
    assert rows and len({row["commit"] for row in rows}) == len(rows)
    for row in rows:
        assert all(row[name] > 0 for name in speed.COLUMNS if name in row)


def test_a_row_is_gone_on_with_and_kept_value_by_value(tmp_path, monkeypatch, capsys):
    file = tmp_path / "results" / "speed.json"
    file.parent.mkdir()
    monkeypatch.setattr(speed, "FILE", file)
    monkeypatch.setattr(speed, "PAGE", tmp_path / "speed.md")
    monkeypatch.setenv("BRADCN_DATA", str(tmp_path))
    monkeypatch.setattr(speed, "commit", lambda: "abc1234567")
    asked = []

    def broken() -> float:
        asked.append("broken")
        raise SystemExit("stopped")

    monkeypatch.setattr(speed, "MEASURES", {"lens_12_mp_s": lambda: 2.5, "first_page_s": broken})
    for _ in range(2):
        try:
            speed.measure()
        except SystemExit:
            pass
    assert asked == ["broken", "broken"]  # and the lens once
    assert capsys.readouterr().out.count("lens_12_mp_s: 2.5") == 1
    (row,) = speed.kept()
    assert row["lens_12_mp_s"] == 2.5 and "abc1234 " in speed.page()
    assert (tmp_path / "speed.md").read_text("utf-8") == speed.page()

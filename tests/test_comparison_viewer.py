"""The comparison viewer: its intervals, what is in its page, and that it can be operated."""

import json
import re
from itertools import combinations

import numpy as np
import pytest
from test_viewer import page  # noqa: F401 (a fixture)

from bradcn_nb.evaluation.intervals import comparisons, crossed_interval
from bradcn_nb.figures.comparison import METRICS, comparison_viewer

TITLES = {
    "low": "the <low> one",
    "same": "twin",
    "missing": "not run",
    "high": "ours",
    "new": "new",
}


def records():
    """Four arms on 20 pictures: `high` gains 1 dB on `low` and nothing on `same`; `new` has one
    seed.
    """
    rng = np.random.default_rng(0)
    found = {}
    for arm, gain, seeds in (("low", -1.0, 3), ("same", 0.0, 2), ("high", 0.0, 3), ("new", 0.2, 1)):
        for seed in range(seeds):
            psnr = 28 + gain + rng.normal(0, 0.05, 20)
            values = {"psnr": psnr, "ssim": psnr / 40, "lpips": 1 - psnr / 40}
            record = {name: value.tolist() for name, value in values.items()}
            record |= {"arm": arm, "seed": seed, "id": list(range(20))}
            found[f"{arm}/{seed}"] = record
    return found


def test_every_pair_has_the_interval_that_it_would_have_alone():
    kept = records()
    compared = comparisons(kept, combinations(TITLES, 2), list(METRICS))
    assert list(compared) == [("low", "same"), ("low", "high"), ("same", "high")]
    for (a, b), (seeds, intervals) in compared.items():
        assert seeds == ([0, 1, 2] if (a, b) == ("low", "high") else [0, 1])
        for metric in METRICS:
            values = ([kept[f"{arm}/{seed}"][metric] for seed in seeds] for arm in (a, b))
            np.testing.assert_allclose(intervals[metric], crossed_interval(*values), atol=1e-12)
    kept["low/0"]["id"] = list(range(1, 21))
    with pytest.raises(ValueError, match="different pictures"):
        comparisons(kept, combinations(TITLES, 2), list(METRICS))


def test_the_page_holds_each_pair_once_and_fetches_nothing():
    text = comparison_viewer(records(), TITLES, "high").data
    assert text == comparison_viewer(records(), TITLES, "high").data
    data = json.loads(re.search(r"\), (\{.*\})\);", text)[1])
    assert data["titles"] == ["the <low> one", "twin", "ours", "new"]
    assert list(data["pairs"]) == ["0-1", "0-2", "1-2"] and data["pairs"]["0-2"][0] == 3
    assert not re.search(r"https?:|//cdn|<link|src=", text)
    assert "the &lt;low&gt; one</option>" in text and '<option value="2" selected>ours' in text
    assert '<option value="0" selected>' in comparison_viewer(records(), TITLES, "missing").data
    assert 'class="interactive"' in text and "aria-live" in text
    with pytest.raises(ValueError, match=r"two arms with records, not \['new'\]"):
        comparison_viewer({"new/0": records()["new/0"]}, TITLES, "new")


def test_it_is_operated_by_keyboard_and_read_as_text(page):  # noqa: F811
    page.set_content(
        f"<html><body>{comparison_viewer(records(), TITLES, 'high').data}</body></html>"
    )
    status, rows = page.locator("output"), page.locator("tbody tr")
    compared = comparisons(records(), combinations(TITLES, 2), list(METRICS))

    def said(number, pair, metric, digits, sign):
        interval = compared[pair].intervals[metric]
        ends = sorted((sign * interval.low, sign * interval.high))
        shown = [f"{end:+.{digits}f}".replace("-", "−") for end in (sign * interval.mean, *ends)]
        assert "{} ({} to {})".format(*shown) in rows.nth(number).inner_text().replace("\xa0", " ")

    assert status.inner_text().startswith(
        "PSNR, dB, against “ours”: 0 better, 1 worse, 1 undecided"
    )
    assert rows.count() == 3
    said(0, ("low", "high"), "psnr", 3, 1)
    assert rows.nth(0).get_attribute("class") == "worse"
    assert "undecided, 2 seeds" in rows.nth(1).inner_text()
    assert "fewer than two seeds in common" in rows.nth(2).inner_text()
    zero, bar = rows.nth(0).locator(".zero"), rows.nth(0).locator(".bar")
    assert bar.bounding_box()["x"] + bar.bounding_box()["width"] < zero.bounding_box()["x"]

    page.keyboard.press("Tab")  # the reference: the row above "ours" in the list, twice
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert "against “the <low> one”: 2 better" in status.inner_text()
    said(1, ("low", "high"), "psnr", 3, -1)
    page.keyboard.press("Tab")  # the metric: lower LPIPS is better, and its plot says so
    page.keyboard.press("End")
    assert status.inner_text().startswith("LPIPS, against “the <low> one”: 2 better")
    said(1, ("low", "high"), "lpips", 4, -1)
    assert rows.nth(1).get_attribute("class") == "better"
    assert "◂ better" in page.locator("thead").inner_text()
    page.keyboard.press("Tab")  # the zoom: what leaves the axis points to where it went
    assert page.locator(".off").count() == 0
    page.keyboard.press("End")
    assert page.locator("input").get_attribute("aria-valuetext") == "64 times"
    assert page.locator(".off").all_inner_texts() == ["◂", "◂"]
    wide = "document.documentElement.scrollWidth"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate(wide) <= 390
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.errors == [] and all(url.startswith(("data:", "about:")) for url in page.asked)

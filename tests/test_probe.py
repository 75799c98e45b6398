"""The probe: what is in its page, and what it reads out, in Chromium where there is one."""

import base64
import re

import numpy as np
import pytest
from test_viewer import page  # noqa: F401 (a fixture)

from bradcn_nb.figures.pixel_values import Frame, pixel_viewer

LIMITS = {"Do": 8.0, "De": 3.0}


def frames(holes=True):
    """Two frames of 6x8 pixels whose depth says where it was read."""
    rows, columns = np.mgrid[:6, :8]
    depth = rows + columns / 100
    error = np.where((rows == 3) & (columns == 4) & holes, np.nan, 0.5)
    picture = np.full((6, 8, 3), 0.5)
    return [
        Frame("first", picture, {"Do": depth, "De": error}),
        Frame("second", picture, {"Do": 7 - depth, "De": 2 * error}),
    ]


def probe() -> str:
    return pixel_viewer(frames(), LIMITS, description='Two "grey" frames').data


def test_values_are_in_the_page_to_the_millimetre_and_nothing_is_fetched():
    text = probe()
    coded = re.search(r'"values":\["([A-Za-z0-9+/=]+)","([A-Za-z0-9+/=]+)"\]', text).groups()
    depth, error = (np.frombuffer(base64.b64decode(c), "<u2").reshape(6, 8) for c in coded)
    assert depth[2, 5] == 2050 and error[3, 4] == 65535 and error[0, 0] == 500
    assert not re.search(r"https?:|//cdn|<link|src=\"(?!data:)", text)
    assert 'aria-label="Two &quot;grey&quot; frames"' in text
    assert text == probe()


def test_frames_must_fit():
    first, second = frames()
    with pytest.raises(ValueError, match="name of its own"):
        pixel_viewer([first, first], LIMITS, description="x")
    with pytest.raises(ValueError, match="second: needs the maps"):
        smaller = Frame("second", second.picture, {k: m[:5] for k, m in second.maps.items()})
        pixel_viewer([first, smaller], LIMITS, description="x")
    with pytest.raises(ValueError, match="first: needs the maps"):
        pixel_viewer([first], {"Do": 8.0}, description="x")


def test_it_is_read_by_pointer_and_by_keyboard(page):  # noqa: F811
    page.set_content(f"<html><body>{probe()}</body></html>")
    panels, status = page.locator(".panels"), page.locator("output")
    assert status.inner_text() == "Row 3, column 4: Do 3.040 m, De unknown"
    image = page.locator("img").nth(1)
    box = image.bounding_box()
    image.click(position={"x": box["width"] * 5.5 / 8, "y": box["height"] * 2.5 / 6})
    assert status.inner_text() == "Row 2, column 5: Do 2.050 m, De 0.500 m"
    panels.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert status.inner_text() == "Row 1, column 6: Do 1.060 m, De 0.500 m"
    page.keyboard.press("Shift+ArrowDown")  # stops at the border
    assert status.inner_text() == "Row 5, column 6: Do 5.060 m, De 0.500 m"
    before = image.get_attribute("src")
    page.locator("input").nth(1).check()
    assert status.inner_text() == "Row 5, column 6: Do 1.940 m, De 1.000 m"
    assert image.get_attribute("src") != before
    mark = page.locator(".mark").nth(2).bounding_box()
    box = page.locator("img").nth(2).bounding_box()
    middle = (mark["x"] + mark["width"] / 2 - box["x"]) / box["width"]
    assert middle == pytest.approx(6.5 / 8, abs=0.02)
    assert page.errors == [] and all(url.startswith(("data:", "about:")) for url in page.asked)

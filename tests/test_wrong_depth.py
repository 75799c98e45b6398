"""The viewer of wrong depth: what is in its page, and that it is operated, in Chromium."""

import base64
import re

import cv2
import numpy as np
import pytest
from test_viewer import page  # noqa: F401 (a fixture)

from bradcn_nb.figures.wrong_depth import Drawn, WrongDepth, wrong_depth_viewer

FOCUS = ("set", "tapped")


def grey(tenths: float) -> np.ndarray:
    return np.full((8, 12, 3), tenths / 10)


def kinds() -> dict:
    """One grey a picture: 1 to 8 tenths, by kind, size and focus."""
    return {
        kind: [
            WrongDepth(
                f"{kind} {size}",
                grey(0),
                [
                    Drawn(grey(1 + 4 * k + 2 * size + f), grey(10), f"{name}.")
                    for f, name in enumerate(FOCUS)
                ],
            )
            for size in range(2)
        ]
        for k, kind in enumerate(("scale", "holes"))
    }


def viewer(**options) -> str:
    return wrong_depth_viewer(grey(9), kinds(), FOCUS, description='A "grey" one', **options).data


def test_pictures_are_in_the_page_and_nothing_is_fetched():
    text = viewer()
    coded = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    assert len(coded) == 4 + 4 * (1 + 2 + 2)  # four panels, before the script runs
    first = cv2.imdecode(np.frombuffer(base64.b64decode(coded[1]), np.uint8), cv2.IMREAD_COLOR)
    assert first.shape == (8, 12, 3) and abs(int(first.mean()) - 25) <= 1
    assert not re.search(r"https?:|//cdn|<link|src=\"(?!data:)", text)
    assert 'alt="A &quot;grey&quot; one: drawn by it"' in text and 'class="interactive"' in text
    assert "scale 1. set." in viewer(start=1) and text == viewer() != viewer(start=1)


def test_what_does_not_fit_together_is_refused():
    def refused(words, truth=None, change=None, **options):
        some = kinds()
        if change:
            change(some)
        with pytest.raises(ValueError, match=words):
            wrong_depth_viewer(
                grey(9) if truth is None else truth, some, FOCUS, description="x", **options
            )

    refused("equally many sizes", change=lambda some: some["holes"].pop())
    refused("more than 2", start=2)
    refused(r"scale, scale 0: needs 2 pictures of \(9, 12, 3\)", truth=np.zeros((9, 12, 3)))
    refused("holes, holes 1: needs", change=lambda some: some["holes"][1].drawn.pop())


def test_it_is_operated_by_keyboard(page):  # noqa: F811
    page.set_content(f"<html><body>{viewer()}</body></html>")
    status = page.locator("output")

    def shown() -> int:
        image = page.locator("[data-show=drawn]")
        image.evaluate("image => image.decode()")
        coded = image.get_attribute("src").partition(",")[2]
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)
        return round(pixels.mean() / 25.5)

    assert shown() == 1 and status.inner_text() == "scale 0. set."
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert shown() == 5 and status.inner_text() == "holes 0. set."
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert shown() == 7 and status.inner_text() == "holes 1. set."
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") == "holes 1"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert shown() == 8 and status.inner_text() == "holes 1. tapped."
    assert page.errors == [] and all(url.startswith(("data:", "about:")) for url in page.asked)

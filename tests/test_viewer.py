"""The refocus viewer: what is in the page, and that it can be operated, in Chromium where there is
one.
"""

import base64
import re

import cv2
import numpy as np
import pytest
from chromium import FLAGS, find_chromium

from bradcn_nb.figures.refocus import refocus_stack, refocus_viewer
from bradcn_nb.lens.thin_lens import Camera

FOCUS, F_NUMBERS = [0.5, 1.0, 4.0], [1.8, 16.0]
# Near on the left, far on the right.
DISPARITY = np.repeat(np.repeat([[2.0, 1.0, 0.25]], 20, axis=1), 40, axis=0)


def flat_stack() -> list[list[np.ndarray]]:
    """One grey a picture, so that a test can tell which one is shown."""
    return [[np.full((40, 60, 3), (1 + 2 * i + j) / 10) for j in range(2)] for i in range(3)]


def viewer() -> str:
    return refocus_viewer(flat_stack(), DISPARITY, FOCUS, F_NUMBERS, description="Grey steps").data


def test_pictures_are_in_the_page_and_nothing_is_fetched():
    page = viewer()
    coded = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    assert len(coded) == 1 + 6  # the first is shown before the script runs
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(coded[0]), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (40, 60, 3) and abs(int(pixels.mean()) - 25) <= 1
    assert not re.search(r"https?:|//cdn|<link|src=\"(?!data:)", page)


def test_it_names_its_parts_and_takes_the_focus():
    page = viewer()
    assert re.search(r'<img [^>]*alt="Grey steps"', page)
    assert page.count('type="range"') == 2 and page.count("<label>") == 2
    assert 'class="interactive"' in page and 'tabindex="0"' in page and "aria-live" in page
    later = refocus_viewer(flat_stack(), DISPARITY, FOCUS, F_NUMBERS, description="x", start=1).data
    assert re.search(r'value="1" aria-valuetext="1 m"', later)
    assert "Focus at 1 m, f/1.8" in later
    hostile = refocus_viewer(flat_stack(), DISPARITY, FOCUS, F_NUMBERS, description='"><b>').data
    assert "<b>" not in hostile


def test_the_same_pictures_make_the_same_page_and_others_another_name():
    assert viewer() == viewer()
    other = refocus_viewer(flat_stack()[::-1], DISPARITY, FOCUS, F_NUMBERS, description="x").data
    names = [re.search(r'id="(refocus-\w+)"', page)[1] for page in (viewer(), other)]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("stack", "disparity", "message"),
    [
        (flat_stack()[:2], DISPARITY, "2 rows of pictures for 3"),
        ([row[:1] for row in flat_stack()], DISPARITY, "each of 2 apertures"),
        (flat_stack(), DISPARITY[:20], r"\(20, 60, 3\)"),
    ],
)
def test_sizes_must_fit(stack, disparity, message):
    with pytest.raises(ValueError, match=message):
        refocus_viewer(stack, disparity, FOCUS, F_NUMBERS, description="x")


def test_the_stack_is_sharp_where_it_is_focused_and_softer_at_wide_apertures():
    rng = np.random.default_rng(0)
    image = rng.random((40, 60, 3)).astype(np.float32)
    stack = refocus_stack(image, DISPARITY, FOCUS, F_NUMBERS, Camera())
    assert len(stack) == 3 and all(len(row) == 2 for row in stack)
    near, far = np.s_[10:30, 5:12], np.s_[10:30, 48:55]
    np.testing.assert_array_equal(stack[2][0][far], image[far])
    assert stack[2][0][near].std() < 0.5 * image[near].std()
    np.testing.assert_array_equal(stack[2][1][near], image[near])  # f/16: disc within a pixel
    assert stack[0][0][far].std() < 0.5 * image[far].std()


@pytest.fixture(scope="module")
def page():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 700, "height": 900})
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        yield page
        browser.close()


def shown_grey(page) -> int:
    """Which picture is on the screen, by its grey in tenths."""
    page.wait_for_function("document.querySelector('.picture img').complete")
    page.evaluate("document.querySelector('.picture img').decode()")
    grey = page.evaluate(
        """() => { const image = document.querySelector('.picture img');
        const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
        const context = canvas.getContext('2d'); context.drawImage(image, 0, 0, 1, 1);
        return context.getImageData(0, 0, 1, 1).data[0]; }"""
    )
    return round(grey / 25.5)


def test_it_is_operated_by_pointer_and_by_keyboard(page):
    page.set_content(f"<html><body>{viewer()}</body></html>")
    picture, status = page.locator(".picture"), page.locator("output")
    assert shown_grey(page) == 1 and status.inner_text() == "Focus at 0.5 m, f/1.8"
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] * 0.9, "y": box["height"] / 2})
    assert shown_grey(page) == 5 and status.inner_text() == "Focus at 4 m, f/1.8"
    assert page.locator(".mark").is_visible()
    picture.click(position={"x": box["width"] * 0.5, "y": 3})
    assert shown_grey(page) == 3 and status.inner_text() == "Focus at 1 m, f/1.8"

    picture.focus()
    assert page.evaluate("document.activeElement.className") == "picture"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # stops at the end
    page.keyboard.press("ArrowDown")
    assert shown_grey(page) == 2 and status.inner_text() == "Focus at 0.5 m, f/16"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "focus"
    page.keyboard.press("ArrowRight")
    assert page.locator(".focus").get_attribute("aria-valuetext") == "1 m"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert shown_grey(page) == 3 and status.inner_text() == "Focus at 1 m, f/1.8"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus can be seen
    assert page.errors == [] and all(url.startswith(("data:", "about:")) for url in page.asked)


def test_two_viewers_on_a_page_do_not_touch_each_other(page):
    other = refocus_viewer(flat_stack()[::-1], DISPARITY, FOCUS, F_NUMBERS, description="x").data
    page.set_content(f"<html><body>{viewer()}{other}</body></html>")
    page.locator(".focus").nth(1).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("output").all_inner_texts() == [
        "Focus at 0.5 m, f/1.8",
        "Focus at 1 m, f/1.8",
    ]
    assert page.errors == []

"""The page that draws a reader's own photograph: opened from disk, in Chromium, beside Python."""

import base64
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from chromium import FLAGS, find_chromium
from PIL import Image

from bradcn_nb.lens.by_depth import default_focus, render_lens
from bradcn_nb.lens.thin_lens import resize
from bradcn_nb.models import load_bradcn, load_depth_net
from bradcn_nb.photograph import _net_input, depth_of
from bradcn_nb.presets import preset

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book" / "_build" / "html" / "book" / "own_photograph.html"
CFG = preset("mini").model
PHOTOS = {"coffee": (160, 240), "astronaut": (240, 150), "chelsea": (48, 200)}  # (height, width)


def photograph(name: str) -> np.ndarray:
    """A bundled photograph, (H, W, 3) uint8."""
    height, width = PHOTOS[name]
    picture = getattr(skimage.data, name)()
    crop = picture[: round(picture.shape[1] * height / width)]
    return resize(crop, (height, width))


@pytest.fixture(scope="module")
def chromium():
    if not PAGE.is_file():
        pytest.skip("the book is not built: make book")
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(chromium):
    """The page, opened from disk, with what it asked for and complained about."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.goto(PAGE.as_uri(), wait_until="load")
    yield page
    page.close()


def choose(page, path) -> str:
    """Choose a file and wait until the page is done; return what it says then."""
    before = page.evaluate("document.getElementById('own-photo').dataset.drawn || '0'")
    page.evaluate("delete document.getElementById('own-photo').dataset.failed")
    page.set_input_files("#own-photo .file", str(path))
    page.wait_for_function(
        "before => { const d = document.getElementById('own-photo').dataset;"
        " return d.failed || (d.drawn || '0') !== before; }",
        arg=before, timeout=120_000,
    )  # fmt: skip
    return page.inner_text("#own-photo .status")


def planes(picture: np.ndarray) -> list[str]:
    """The three planes of a picture (H, W, 3), as the page's Float32Arrays want them."""
    return [base64.b64encode(picture[..., k].astype("<f4").tobytes()).decode() for k in range(3)]


@pytest.mark.parametrize("name", PHOTOS)
def test_the_nets_see_what_python_sees(opened, tmp_path, name):
    photo = photograph(name)
    Image.fromarray(photo).save(tmp_path / f"{name}.png")
    assert "Click what should be sharp" in choose(opened, tmp_path / f"{name}.png")
    seen = opened.evaluate(
        "() => { const b = document.getElementById('own-photo').bradcn;"
        " return { ...b, bokeh: b.bokeh.map(p => [...p]), metres: [...b.metres],"
        " error: [...b.error] }; }"
    )
    image, rows, columns = _net_input(photo.astype(np.float32) / 255, load_bradcn(), CFG)
    assert (seen["rows"], seen["columns"]) == (rows, columns)
    with torch.inference_mode():
        whole, metres = load_bradcn()(image), load_depth_net()(image)

    def cut(tensor):
        return tensor[0, :, :rows, :columns].numpy().reshape(tensor.shape[1], -1)

    assert np.abs(np.array(seen["bokeh"]) - cut(whole.bokeh)).max() < 2 / 255
    assert np.abs(np.array(seen["error"]) - cut(whole.depth_error)[0]).max() < 0.02
    relative = np.abs(np.array(seen["metres"]) / cut(metres)[0] - 1)
    assert relative.max() < 0.02
    assert not opened.errors
    away = [url for url in opened.asked if not url.startswith(("file:", "blob:", "data:"))]
    assert not away


@pytest.mark.parametrize("name", PHOTOS)
def test_the_lens_draws_what_python_draws(opened, name):
    photo = photograph(name).astype(np.float32) / 255
    height, width = photo.shape[:2]
    tensor, rows, columns = _net_input(photo, load_depth_net(), CFG)
    with torch.inference_mode():
        metres = load_depth_net()(tensor)[0, 0, :rows, :columns].numpy()
    depth = depth_of(photo, load_depth_net(), CFG)
    place = (width // 4, height // 3)
    drawn = opened.evaluate(
        """([photo, metres, rows, columns, height, width, x, y]) => {
          const floats = (text) => new Float32Array(
            Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
          const lens = makeBradcnLens(makeBradcnMaps());
          const job = { photo: photo.map(floats), metres: floats(metres), rows, columns,
            height, width };
          const depth = lens.answer(job).depth;
          const near = lens.defaultFocus(depth, height, width);
          const there = lens.depthAt(depth, height, width, x, y);
          const draw = (focus, aperture) => lens.answer({ height, width, focus, aperture })
            .planes.map((plane) => [...plane]);
          return { near, depth: [...depth], one: draw(near, 0.4), two: draw(there, 1.8) };
        }""",
        [planes(photo), base64.b64encode(metres.astype("<f4").tobytes()).decode(),
         rows, columns, height, width, *place],
    )  # fmt: skip
    assert drawn["near"] == pytest.approx(default_focus(depth), rel=1e-4)
    assert np.abs(np.array(drawn["depth"]).reshape(depth.shape) / depth - 1).max() < 0.01
    assert np.abs(np.array(drawn["one"]) - np.array(drawn["two"])).max() > 10 / 255
    for got, wanted in (
        (drawn["one"], render_lens(photo, depth, None, 0.4)),
        (drawn["two"], render_lens(photo, depth, place, 1.8)),
    ):
        picture = np.array(got).reshape(3, height, width).transpose(1, 2, 0)
        assert np.abs(picture - wanted).max() < 2 / 255


def test_what_is_no_picture_is_said_in_one_line_and_the_page_lives_on(opened, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    said = choose(opened, tmp_path / "notes.txt")
    assert "notes.txt is no picture" in said and "\n" not in said
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "1 x 1 pixels are too few" in choose(opened, tmp_path / "dot.png")
    Image.fromarray(photograph("coffee")).save(tmp_path / "coffee.png")
    assert "Click what should be sharp" in choose(opened, tmp_path / "coffee.png")


def test_a_click_a_key_and_the_save_button(opened, tmp_path):
    Image.fromarray(photograph("coffee")).save(tmp_path / "coffee.png")
    choose(opened, tmp_path / "coffee.png")
    root = opened.locator("#own-photo")

    def after(action) -> str:
        before = root.get_attribute("data-drawn")
        action()
        opened.wait_for_function(
            "b => document.getElementById('own-photo').dataset.drawn !== b", arg=before
        )
        return root.locator(".said").inner_text()

    box = root.locator(".result").bounding_box()
    places = [after(lambda x=x: root.locator(".result").click(position={"x": x, "y": 9}))
              for x in (9, box["width"] - 9)]  # fmt: skip
    assert all("Focus at" in said for said in places)
    narrow = after(lambda: root.locator(".aperture").press("End"))
    assert "f/16.0" in narrow
    nearest = after(lambda: root.locator(".focus").press("End"))
    assert nearest != narrow
    with opened.expect_download() as saved:
        root.locator(".save").click()
    with Image.open(saved.value.path()) as picture:
        assert picture.size == (240, 160) and saved.value.suggested_filename == "bokeh.jpg"


def test_a_phone_holds_it_and_a_turned_photograph_is_upright(chromium, tmp_path):
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.goto(PAGE.as_uri(), wait_until="load")
    turned = Image.fromarray(photograph("coffee"))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned.save(tmp_path / "turned.jpg", exif=exif)
    choose(page, tmp_path / "turned.jpg")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    canvas = page.locator("#own-photo .result")
    size = [int(canvas.get_attribute(side)) for side in ("width", "height")]
    assert size == [160, 240]
    page.close()


def test_what_it_loads_is_at_most_20_mb():
    scripts = list((PAGE.parents[1] / "_static" / "browser").rglob("*.js"))
    assert len(scripts) == 9 and sum(path.stat().st_size for path in scripts) < 20e6

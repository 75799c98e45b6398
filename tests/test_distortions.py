"""The distortions of chapter 12, the file of its numbers, and the viewer that shows them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chromium import FLAGS, find_chromium
from skimage.data import astronaut
from test_scenes import codecs_are_locked

from bradcn_nb.errors import WeightsError
from bradcn_nb.evaluation.distortions import blur, blur_where, contrast, jpeg, noise, shift, to_psnr
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import lpips, psnr
from bradcn_nb.experiments import metrics as study
from bradcn_nb.experiments.record import result
from bradcn_nb.figures.distortion import distortion_viewer

PICTURE = astronaut()[60:124, 180:276]


def test_each_distortion_does_what_it_says():
    np.testing.assert_array_equal(shift(PICTURE, 3)[:, 3:], PICTURE[:, :-3])
    np.testing.assert_array_equal(shift(PICTURE, 3)[:, :3], PICTURE[:, :1].repeat(3, 1))
    grey = np.full((64, 96, 3), 128, np.uint8)
    assert noise(grey, 10).std() == pytest.approx(10, rel=0.03)
    np.testing.assert_array_equal(noise(grey, 10), noise(grey, 10))
    np.testing.assert_array_equal(blur(grey, 4), grey)
    rough, smooth = (np.diff(p.astype(int), axis=1).std() for p in (PICTURE, blur(PICTURE, 2)))
    assert smooth < 0.5 * rough
    half = contrast(PICTURE, 0.5)
    assert half.std((0, 1)) == pytest.approx(PICTURE.std((0, 1)) / 2, rel=0.02)
    assert half.mean((0, 1)) == pytest.approx(PICTURE.mean((0, 1)), abs=0.5)
    mask = np.zeros((64, 96), bool)
    mask[10:30, 20:50] = True
    inside = blur_where(mask)(PICTURE, 3)
    np.testing.assert_array_equal(inside[~mask], PICTURE[~mask])
    np.testing.assert_array_equal(inside[mask], blur(PICTURE, 3)[mask])


@pytest.mark.parametrize("distort", [noise, blur, shift, contrast, jpeg])
def test_nothing_at_zero_and_worse_as_the_number_grows(distort):
    steps = {contrast: (0.1, 0.3, 0.9), jpeg: (10, 60.5, 95)}.get(distort, (1, 3, 9))
    assert psnr(PICTURE, distort(PICTURE, 0)) > 40  # JPEG's best quality is not exact
    values = [psnr(PICTURE, distort(PICTURE, step)) for step in steps]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] + 3
    for step in steps:
        assert distort(PICTURE, step).dtype == np.uint8


@pytest.mark.parametrize("distort", [noise, blur, contrast, jpeg])
def test_a_given_psnr_is_met(distort):
    most = study.MOST[distort.__name__]
    picture, strength = to_psnr(distort, PICTURE, 28.0, most)
    assert psnr(PICTURE, picture) == pytest.approx(28.0, abs=0.15)
    np.testing.assert_array_equal(picture, distort(PICTURE, strength))
    with pytest.raises(ValueError, match="not reached"):
        to_psnr(distort, PICTURE, 1.0, most)


def test_a_map_is_stored_as_it_was():
    values = np.random.default_rng(0).random((63, 95)).astype(np.float32)
    small = study.small_map(values)
    assert small.shape == (31, 47) and small.mean() == pytest.approx(values.mean(), rel=0.01)
    again = study.unpack(json.loads(json.dumps(study.pack(small))))
    np.testing.assert_allclose(again, small, atol=small.max() / 509)
    np.testing.assert_array_equal(study.small_map(values[:15, :23]), values[:15, :23])


def test_the_file_of_numbers_is_whole():
    for name in ("shift", *study.MOST):
        row = result(f"metrics.equal.{name}")
        assert sum(row["layers"]) == pytest.approx(row["lpips"], rel=1e-5)
        assert len(result(f"metrics.levels.{name}")) == len(study.LEVELS[name])
        assert study.unpack(row["map"]).shape == (31, 47)
    for metric in ("psnr", "ssim", "lpips"):  # the same net on the same pictures
        assert result("metrics.traps.bradcn")[metric] == pytest.approx(
            result(f"mini.{metric}"), rel=1e-4
        )
    assert result("metrics.real.n") == 3
    assert result("metrics.made.weights").keys() == {"alex", "vgg"}


def test_the_file_of_numbers_comes_out_again():
    try:
        net = lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))
    assert net.digest == result("metrics.made.weights.alex")
    _, truth, focus = study.chapter_pair()
    for name, distort in study.distortions(focus).items():
        middle = study.LEVELS[name][2]
        got = lpips(truth, distort(truth, middle))
        close = 1e-3 if name != "jpeg" or codecs_are_locked() else 2e-3
        assert got == pytest.approx(result(f"metrics.levels.{name}")[2], abs=close), name


@pytest.mark.slow
def test_the_chapter_prints_the_same_without_lpips(tmp_path):
    """Strict nbval compares with the committed outputs, on a machine that has no weights."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "pytest", "--nbval", "book/12_metrics_and_protocol.ipynb"]
    environment = os.environ | {"BRADCN_CACHE": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert not list(tmp_path.glob("lpips-*"))


def levels():
    """Two distortions of two strengths; each picture has a grey of its own."""
    return {
        kind: [
            (np.full((20, 30, 3), grey, np.uint8), f"{kind} {grey}", {"PSNR": f"{grey} dB"})
            for grey in greys
        ]
        for kind, greys in (("one", (50, 100)), ("two", (150, 200)))
    }


def viewer() -> str:
    return distortion_viewer(np.full((20, 30, 3), 250, np.uint8), levels(), "Grey steps").data


def test_the_viewer_is_one_page_with_names_and_without_fetching():
    page = viewer()
    assert page == viewer()
    assert len(re.findall(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", page)) == 1 + 5
    assert not re.search(r"https?:|//cdn|<link|src=\"(?!data:)", page)
    assert 'class="interactive"' in page and 'alt="Grey steps"' in page and "aria-live" in page
    truth = np.full((20, 30, 3), 250, np.uint8)
    assert "<b>x" not in distortion_viewer(truth, levels(), '"><b>x').data
    with pytest.raises(ValueError, match="equally many"):
        distortion_viewer(truth, {**levels(), "three": []}, "x")
    with pytest.raises(ValueError, match="truth"):
        distortion_viewer(truth[:10], levels(), "x")


def test_the_viewer_is_operated_by_keyboard():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set CHROMIUM to its path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page, errors = browser.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(f"<html><body>{viewer()}</body></html>")
        status, value = page.locator("output"), page.locator(".values b")
        shown = "document.querySelector('.interactive img').src"
        first = page.evaluate(shown)
        assert status.inner_text() == "one 50" and value.inner_text() == "50 dB"
        page.keyboard.press("Tab")  # the choice of the distortion
        page.keyboard.press("ArrowDown")
        assert status.inner_text() == "two 150"
        page.keyboard.press("Tab")  # its strength
        page.keyboard.press("ArrowRight")
        assert status.inner_text() == "two 200" and value.inner_text() == "200 dB"
        spoilt = page.evaluate(shown)
        page.keyboard.press("Tab")  # the truth, and back
        page.keyboard.press("Space")
        truth = page.evaluate(shown)
        assert status.inner_text() == "the truth" and not value.is_visible()
        page.keyboard.press("Space")
        assert page.evaluate(shown) == spoilt and value.is_visible()
        assert len({first, spoilt, truth}) == 3 and errors == []
        browser.close()

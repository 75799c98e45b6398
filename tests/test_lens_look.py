"""What the lens's look does: clipped lamps, the aperture's blades, the cat's eye, the grain."""

import json
import math

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from test_cli import fails

from bradcn_nb.__main__ import main
from bradcn_nb.cli.many_photographs import MANIFEST
from bradcn_nb.data.photos import read_photo
from bradcn_nb.errors import BradcnError
from bradcn_nb.lens import aperture
from bradcn_nb.lens.aperture import ROUND, Aperture, aperture_kernel, disc_kernel
from bradcn_nb.lens.by_depth import Look, render_layered, render_lens
from bradcn_nb.lens.grain import grain_of
from bradcn_nb.lens.lamps import lamp_weights
from bradcn_nb.lens.thin_lens import linear_to_srgb, srgb_to_linear


def grey(light: np.ndarray) -> np.ndarray:
    """A photograph (H,W,3) of light (H,W), clipped as a camera clips it."""
    return np.repeat(linear_to_srgb(np.clip(light, 0, 1).astype(np.float32))[..., None], 3, axis=2)


def far_from(y0: float, x0: float, height: int, width: int) -> np.ndarray:
    """Distance (H,W) in pixels from a place."""
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - y0, x - x0)


# ------------------------------------------------------------------------------- the aperture


@pytest.mark.parametrize("radius", [0.0, 0.4, 0.7, 1.0, 9.5, 64.3])
def test_the_round_aperture_is_the_disc_to_the_bit(radius):
    reach = int(np.ceil(max(radius - 0.5, 0)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    np.testing.assert_array_equal(aperture_kernel(radius), (disc / disc.sum()).astype(np.float32))
    np.testing.assert_array_equal(aperture_kernel(radius), disc_kernel(radius))


@pytest.mark.parametrize("blades", [3, 4, 5, 6, 7, 9, 24])
@pytest.mark.parametrize("radius", [12.0, 40.0])
def test_a_polygon_has_the_disc_s_area_and_as_many_corners_as_blades(blades, radius):
    kernel = aperture_kernel(radius, blades)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.max() * np.pi * radius**2 == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(kernel, kernel[:, ::-1], atol=1e-9)  # a corner is up
    middle = len(kernel) // 2
    y, x = np.mgrid[-middle : middle + 1, -middle : middle + 1]
    lit = kernel > kernel.max() / 2
    assert np.hypot(y, x)[lit].max() < Aperture(blades).extent(radius) + 1
    angles = np.radians(np.arange(0, 360, 360 / blades) - 90)
    assert all(  # far out there is light at the corners, and none between them
        np.hypot(y, x)[lit & near].max() > Aperture(blades).extent(radius) - 2
        for near in (np.cos(np.arctan2(y, x) - angle) > 0.99 for angle in angles)
    )
    if blades < 9:
        flat = np.cos(np.arctan2(y, x) - angles[0] - math.pi / blades) > 0.999
        assert np.hypot(y, x)[lit & flat].max() < radius


@pytest.mark.parametrize("blades", [0, 5, 6, 9])
@pytest.mark.parametrize("radius", [-32, -64, -100, 64])
def test_a_lamp_becomes_an_exact_polygon(radius, blades):
    """Its rim is as narrow as the lamp; a near one is turned by half a turn."""
    light = np.full((300, 560), 0.007, np.float32)
    light[146:155, 146:155] = 1
    disparity = np.full(light.shape, radius, np.float32)
    disparity[:, 440:] = 1.1 * radius  # the layers' radii are fractions of this one
    out = render_layered(grey(light), disparity, 0.0, 1.0, shape=Aperture(blades))[:, :300, 1]
    seen = srgb_to_linear(out.astype(np.float64)) - 0.007
    disc = aperture_kernel(abs(radius), blades)
    disc = disc if radius > 0 else disc[::-1, ::-1]  # the filter turns it
    lamp = (light[:, :300] - 0.007).astype(np.float32)
    truth = cv2.filter2D(lamp, -1, disc)
    np.testing.assert_allclose(seen, truth, atol=0.01 * truth.max())


# ------------------------------------------------------------------------------ the cat's eye


def moments(light: np.ndarray) -> tuple[float, float, float]:
    """Of a disc's light: area in pixels where it is lit, and deviations along both diagonals."""
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    weight = light / light.sum()
    along, across = (x + y) / math.sqrt(2), (x - y) / math.sqrt(2)
    deviations = [
        math.sqrt((weight * (d - (weight * d).sum()) ** 2).sum()) for d in (along, across)
    ]
    return float((light > light.max() / 2).sum()), *deviations


@pytest.mark.parametrize("cat_eye", [0.4, 1.0])
def test_a_disc_is_cut_towards_the_corners_and_keeps_its_light(cat_eye):
    light = np.full((420, 420), 0.02, np.float32)
    places = [(210, 210), (75, 75), (75, 345), (345, 75)]
    for y, x in places:
        light[y - 3 : y + 4, x - 3 : x + 4] = 1
    flat = np.full(light.shape, -30.0)
    out = render_layered(grey(light), flat, 0.0, 1.0, shape=Aperture(0, cat_eye))[..., 0]
    seen = srgb_to_linear(out.astype(np.float64)) - 0.02
    middle, corner, *others = (seen[y - 50 : y + 51, x - 50 : x + 51] for y, x in places)
    assert corner.sum() == pytest.approx(middle.sum(), rel=0.05)
    area, along, across = moments(middle)
    assert area == pytest.approx(np.pi * 900, rel=0.05) and along == pytest.approx(across, rel=0.03)
    cut = cat_eye * math.hypot(135, 135) / math.hypot(210, 210)  # of two circles of radius 1
    shared = 2 * math.acos(cut / 2) - cut / 2 * math.sqrt(4 - cut**2)
    area, along, across = moments(corner)
    assert area == pytest.approx(shared * 900, rel=0.06)
    assert along < 0.9 * across  # lens-shaped: narrow towards the middle, long across
    for other in others:
        area, along, across = moments(other)
        assert area == pytest.approx(shared * 900, rel=0.06) and across < 0.9 * along


@pytest.mark.parametrize("blades", [0, 6])
@pytest.mark.parametrize("radius", [-8, -32, -45, 32])
def test_no_seams_between_the_tiles_of_a_cat_s_eye(monkeypatch, radius, blades):
    y, x = np.mgrid[:300, :420].astype(np.float32)
    disparity, shape = np.full((300, 420), radius, np.float32), Aperture(blades, 1.0)
    flat = grey(0 * x + 0.4)
    assert np.abs(render_layered(flat, disparity, 0.0, 1.0, shape=shape) - flat).max() < 1e-4
    slopes = [grey(0.05 + 0.9 * x / 420), grey(0.05 + 0.9 * y / 300)]
    drawn = [render_layered(slope, disparity, 0.0, 1.0, shape=shape) for slope in slopes]
    monkeypatch.setattr(aperture, "TILES", 3 * aperture.TILES)
    for slope, coarse in zip(slopes, drawn, strict=True):
        fine = render_layered(slope, disparity, 0.0, 1.0, shape=shape)
        assert np.abs(fine - coarse).max() < 1 / 255
        assert np.abs(np.diff(coarse, 2, axis=0)[4:-4, 4:-4]).max() < 0.3 / 255
        assert np.abs(np.diff(coarse, 2, axis=1)[4:-4, 4:-4]).max() < 0.3 / 255


@pytest.mark.parametrize("shape", [ROUND, Aperture(5), Aperture(0, 1.0), Aperture(7, 0.3)])
def test_the_focus_is_untouched_and_what_is_near_hides(shape):
    photo = data.coffee().astype(np.float32) / 255
    inside = far_from(200, 300, 400, 600) < 90
    look = {"highlights": 50.0, "shape": shape, "grain": True}
    out = render_layered(photo, np.where(inside, 0.0, -9.0), 0.0, 1.0, **look)
    np.testing.assert_array_equal(out[inside], photo[inside])
    assert (np.abs(out - photo).max(axis=2)[~inside] > 0).mean() > 0.9
    near = render_layered(grey(0.9 * inside), np.where(inside, 12.0, 0.0), 0.0, 1.0, shape=shape)
    core = far_from(200, 300, 400, 600) < 60  # opaque: nothing of what is behind shines through
    np.testing.assert_allclose(near[core], grey(0.9 * inside)[core], atol=1 / 255)


# ---------------------------------------------------------------------------- clipped lamps


@pytest.mark.parametrize("width", [2.0, 3.0, 5.0])
def test_the_brighter_a_lamp_was_the_more_it_weighs(width):
    """Of lamps spread by a lens, which all are clipped to 1; `most` is the limit."""
    seen = []
    for peak in (1.3, 4.0, 15.0, 200.0):
        away = far_from(500, 700, 1000, 1400)
        photo = grey(0.005 + peak * (1 + (away / width) ** 2) ** -3)
        assert photo.max() > 0.9999
        seen.append(lamp_weights(photo, 0.0, 60.0).max())
        np.testing.assert_allclose(
            lamp_weights(photo, 0.0, 30.0).max() - 1, (seen[-1] - 1) / 2, rtol=1e-4
        )
        np.testing.assert_array_equal(lamp_weights(photo, 2.0, 2.0), 1)
    assert seen == sorted(seen)
    assert seen[0] < 4 < 10 < seen[2] and 30 < seen[3] < 61


def test_a_large_region_with_a_hard_edge_weighs_less_than_a_small_one():
    weights = [
        lamp_weights(grey(0.02 + (far_from(500, 700, 1000, 1400) < radius)), 0.0, 100.0).max()
        for radius in (4, 15, 60, 200)
    ]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 80 and weights[-1] < 3


def test_what_is_no_lamp_is_not_one():
    y, x = np.mgrid[:300, :400]
    cloud = 0.4 + 0.65 * np.exp(-((y - 150) ** 2 + (x - 200) ** 2) / 6000)
    assert 1 < lamp_weights(grey(cloud), 0.0, 100.0).max() < 1.3  # its top is 5 % over white
    sky = np.where(y < 150, 1.0, 0.2)
    assert lamp_weights(grey(sky), 0.0, 100.0).max() < 1.3
    for whole in (0.5, 1.0):
        np.testing.assert_allclose(lamp_weights(grey(0 * y + whole), 2.0, 100.0), 1)


@pytest.mark.parametrize("radius", [-20, -32])
def test_a_lamp_s_disc_stays_bright_up_to_what_it_may(radius):
    light = 0.02 + 90 * (far_from(300, 400, 600, 800) < 6)
    disparity = np.full(light.shape, radius, np.float32)

    def bright(highlights: float, colour=(1, 1, 1)) -> np.ndarray:
        photo = grey(light) * np.array(colour, np.float32)
        out = render_layered(photo, disparity, 0.0, 1.0, highlights=highlights)
        return out.max(axis=2) > 240 / 255

    counts = [int(bright(highlights).sum()) for highlights in (0.0, 2.0, 100.0)]
    assert counts[:2] == [0, 0] and counts[2] > 0.8 * np.pi * radius**2
    red = bright(100.0, (1, 0.3, 0.2))
    assert red.sum() > 0.8 * np.pi * radius**2  # a lamp that clips one channel is one


def test_a_plain_look_is_the_lens_as_it_was():
    photo = data.astronaut()[:200, :300].astype(np.float32) / 255
    photo[:30, 230:] = 0.1
    photo[10:14, 250:254] = 1
    depth = np.linspace(1, 6, 300, dtype=np.float32)[None].repeat(200, axis=0)
    plain = render_lens(photo, depth)
    np.testing.assert_array_equal(plain, render_lens(photo, depth, look=Look(2.0, Aperture(0, 0))))
    for look in (Look(0.0), Look(9.0), Look(shape=Aperture(5)), Look(shape=Aperture(0, 0.5))):
        assert (render_lens(photo, depth, look=look) != plain).any()


# --------------------------------------------------------------------------------- the grain


@pytest.mark.parametrize("name", ["chelsea", "rocket", "coffee"])
@pytest.mark.parametrize("level", [3, 8])
def test_grain_is_measured_in_spite_of_texture(name, level):
    photo = getattr(data, name)().astype(np.float32) / 255
    noise = np.random.default_rng(level).normal(0, level / 255, photo.shape[:2])
    grainy = np.clip(photo + noise[..., None], 0, 1).astype(np.float32)
    assert grain_of(grainy) * 255 == pytest.approx(level, rel=0.15)
    alpha = np.zeros(photo.shape[:2], np.float32)
    assert grain_of(np.dstack([grainy, alpha])) == 0  # nothing of it is seen


def test_grain_comes_back_only_where_the_blur_took_it():
    noise = np.random.default_rng(5).normal(0, 5 / 255, (240, 400))
    photo = np.clip(0.5 + noise, 0, 1).astype(np.float32)[..., None].repeat(3, axis=2)
    photo[:, 350:] = 1
    disparity = np.zeros((240, 400), np.float32)
    disparity[:, 200:] = -12
    plain, grainy, again = (
        render_layered(photo, disparity, 0.0, 1.0, grain=grain) for grain in (False, True, True)
    )
    np.testing.assert_array_equal(grainy, again)
    np.testing.assert_array_equal(grainy[:, :200], photo[:, :200])
    blurred = np.s_[:, 230:330]
    assert plain[blurred].std() < 1 / 255
    assert grainy[blurred].std() * 255 == pytest.approx(5, rel=0.12)
    np.testing.assert_allclose(grainy[:, 370:], 1, atol=1e-4)  # white has none


# --------------------------------------------------------------------------- the command line


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    picture = data.coffee()[:96, :128].copy()
    picture[10:13, 20:23] = 255
    Image.fromarray(picture).save(path)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--blades", "2"], "blades 2: give 3 to 24, or 0"),
        (["--blades", "-5"], "blades -5"),
        (["--blades", "25"], "blades 25"),
        (["--cat-eye", "1.5"], "cat-eye 1.5: give 0 to 1"),
        (["--cat-eye", "nan"], "cat-eye nan"),
        (["--highlights", "-1"], "highlights -1: give 0 (off) to 1000"),
        (["--highlights", "inf"], "highlights inf"),
        (["--grain", "--renderer", "bradcn"], "bradcn has no --grain; use --renderer lens"),
        (["--highlights", "0", "--renderer", "bradcn"], "bradcn has no --highlights"),
    ],
)
def test_what_no_lens_has_is_refused(photo, tmp_path, capsys, words, said):
    assert said in fails(capsys, "render", photo, "-o", tmp_path / "out.png", *words)
    assert not (tmp_path / "out.png").exists()


def test_a_bad_look_is_refused_in_python_too():
    for look in (Look(-0.5), Look(math.nan), Look(shape=Aperture(1)), Look(shape=Aperture(0, -1))):
        with pytest.raises(BradcnError, match="give"):
            look.check()


def test_each_option_chooses_the_lens_and_draws(photo, tmp_path):
    np.save(tmp_path / "d.npy", np.linspace(0.6, 9, 128)[None].repeat(96, axis=0))
    depth = ["--depth", str(tmp_path / "d.npy"), "--focus", "5,50"]
    drawn = []
    for name, words in enumerate(
        ([], ["--highlights", "2"], ["--blades", "0", "--cat-eye", "0"], ["--highlights", "0"],
         ["--highlights", "80"], ["--blades", "5"], ["--cat-eye", "1"], ["--grain"])
    ):  # fmt: skip
        out = tmp_path / f"{name}.png"
        assert main(["render", str(photo), "-o", str(out), *depth, *words]) == 0
        drawn.append(read_photo(out).rgb)
    for same in drawn[1:3]:
        np.testing.assert_array_equal(same, drawn[0])
    changed = [(other != drawn[0]).mean() for other in drawn[3:]]
    assert min(changed) > 0, changed


def test_a_folder_remembers_its_look(photo, tmp_path, capsys):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    photo.rename(folder / "a.png")
    lens = ["render", str(folder), "-o", str(out), "--renderer", "lens", "--quiet"]
    assert main(lens) == 0
    assert "look" not in json.loads((out / MANIFEST).read_text())  # as before there was one
    capsys.readouterr()
    assert "other settings" in fails(capsys, *lens, "--blades", "6")

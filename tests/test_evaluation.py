"""The protocol val294 from files to JSON, with models whose result is known beforehand."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from bradcn_nb.data import EBB
from bradcn_nb.errors import BradcnError, DataError, WeightsError
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import lpips
from bradcn_nb.evaluation.test_set import evaluate
from bradcn_nb.models import BRADCN, BRADCNOutput

SIZE = (16, 24)


class Brighter(nn.Module):
    """Brightens by `amount`; 0 gives its input."""

    def __init__(self, amount):
        super().__init__()
        self.amount = amount

    def forward(self, image):
        return image + self.amount


class Fake(BRADCN):
    """Brightens by `full`, and its Render Net alone by `alone`."""

    def __init__(self, full=0.0, alone=0.1):
        nn.Module.__init__(self)
        self.whole, self.render_net, self.shapes = Brighter(full), Brighter(alone), set()

    def forward(self, image):
        assert not self.training
        self.shapes.add(tuple(image.shape))
        return BRADCNOutput(self.whole(image), None, None)


@pytest.fixture
def root(tmp_path):
    generator = np.random.default_rng(0)
    for k, (height, width) in enumerate([(32, 48), (32, 48), (32, 47), (35, 51)]):
        image = gaussian_filter(generator.random((height, width, 3)), (1, 1, 0))
        image = (image - image.min()) / (image.max() - image.min()) * 0.8
        for name, array in (("original", image), ("bokeh", gaussian_filter(image, (1.5, 1.5, 0)))):
            (tmp_path / name).mkdir(exist_ok=True)
            path = tmp_path / name / f"{4400 + k}.png"
            Image.fromarray((array * 255).round().astype(np.uint8)).save(path)
    return tmp_path


def judge(root, model, **options):
    return evaluate(
        model, EBB(root, "test"), SIZE, preset="mini", weights_hash="h", progress=False, **options
    )


def test_result_is_the_protocol_by_hand(root):
    model = Fake(full=0.05)
    result = judge(root, model, images=True)
    assert model.shapes == {(1, 3, 16, 24)}
    for i, number in enumerate(range(4400, 4402)):  # the two of exactly twice the size
        image, truth = (
            np.array(Image.open(root / folder / f"{number}.png"))
            for folder in ("original", "bokeh")
        )
        small = np.rint(image.reshape(16, 2, 24, 2, 3).astype(float).mean((1, 3))) / 255
        # Bilinear x2 with its corners not aligned: weights 3/4 and 1/4, edges repeated.
        for axis in (0, 1):
            before = np.take(small, np.r_[0, 0 : small.shape[axis] - 1], axis)
            after = np.take(small, np.r_[1 : small.shape[axis], small.shape[axis] - 1], axis)
            both = np.stack([0.75 * small + 0.25 * before, 0.75 * small + 0.25 * after], axis + 1)
            shape = list(small.shape)
            shape[axis] *= 2
            small = both.reshape(shape)
        for suffix, picture in (
            ("", small + 0.05),
            ("_input_half", small),
            ("_render_only", small + 0.1),
            ("_input", image / 255),
        ):
            picture = np.floor(picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
            want = peak_signal_noise_ratio(truth, picture)
            assert result["images"]["psnr" + suffix][i] == pytest.approx(want, abs=0.01)
            want = structural_similarity(truth, picture, channel_axis=-1)
            assert result["images"]["ssim" + suffix][i] == pytest.approx(want, abs=1e-3)


def test_json_object_is_complete(root):
    result = judge(root, Fake())
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for metric in ("psnr", "ssim"):
        for name in ("", "_input", "_input_half", "_render_only"):
            assert isinstance(result[metric + name], float)
        assert set(result["differences"][metric]) == {"input", "input_half", "render_only"}
    assert result["n"] == 4 and result["protocol"] == "val294" and result["split"] == "test"
    assert result["preset"] == "mini" and result["weights_sha256"] == "h"
    assert result["train_size"] == [16, 24] and "images" not in result
    # An unchanged half-size input is the reference "input_half" itself.
    assert result["psnr"] == result["psnr_input_half"]
    assert result["differences"]["psnr"]["input_half"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    for metric, span in result["intervals"].items():
        assert span["low"] <= span["mean"] == result[metric] <= span["high"]
    gain = result["differences"]["psnr"]["render_only"]
    assert 0 < gain["low"] < gain["mean"] < gain["high"]
    assert gain["mean"] == pytest.approx(result["psnr"] - result["psnr_render_only"])


def test_result_is_repeatable_and_leaves_the_model_alone(root):
    model = Fake().train()
    first = judge(root, model, images=True)
    assert model.training
    assert judge(root, model, images=True) == first
    assert first["images"]["id"] == ["4400", "4401", "4402", "4403"]
    assert first["psnr"] == pytest.approx(np.mean(first["images"]["psnr"]))


def test_lpips_joins_where_it_has_weights(root):
    try:
        lpips_net("alex")
    except WeightsError as error:
        pytest.skip(str(error))
    result = judge(root, Fake(full=0.05), images=True, lpips=True)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    image, truth = (
        np.array(Image.open(root / folder / "4400.png")) for folder in ("original", "bokeh")
    )
    assert result["images"]["lpips_input"][0] == pytest.approx(lpips(truth, image), abs=1e-6)
    assert set(result["differences"]["lpips"]) == {"input", "input_half", "render_only"}
    assert result["intervals"]["lpips"]["low"] < result["lpips"]
    plain = judge(root, Fake(full=0.05), images=True)
    assert plain["psnr"] == result["psnr"] and "lpips" not in plain


def test_without_weights_the_rest_is_judged(root, tmp_path, monkeypatch):
    def none_here(name):
        raise WeightsError("LPIPS has no weights here; run `make lpips`")

    monkeypatch.setattr("bradcn_nb.evaluation.test_set.lpips_net", none_here)
    result = judge(root, Fake(), lpips=True)
    assert "make lpips" in result.pop("lpips_missing")
    assert result == judge(root, Fake())


def test_identical_pictures_keep_the_json_valid(root):
    for path in (root / "original").iterdir():
        Image.open(path).save(root / "bokeh" / path.name)
    result = judge(root, Fake())
    assert result["psnr_input"] == result["psnr_cap_db"] == 100 and result["ssim_input"] == 1
    json.dumps(result, allow_nan=False)


def test_bad_input(root):
    with pytest.raises(DataError, match="native"):
        evaluate(Fake(), EBB(root, "test", SIZE), SIZE, preset="mini", weights_hash="h")
    with pytest.raises(BradcnError, match="NaN"):
        judge(root, Fake(full=float("nan")))
    path = root / "bokeh" / "4402.png"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="4402.png"):
        judge(root, Fake())

"""The files of data/results: looked up by key, made with the bundled weights, and they keep the
promises.
"""

import gzip
import hashlib

import pytest
import torch

from bradcn_nb.errors import DataError
from bradcn_nb.experiments.record import result, weights_path
from bradcn_nb.files import data_root
from bradcn_nb.models import load_depth_net, read_metadata
from bradcn_nb.models.weights import weights_hash


def test_result_looks_a_value_up_and_names_what_is_missing() -> None:
    assert result("mini.n") == 80
    assert result("mini.differences.psnr.input.mean") > 0
    assert result("mini.images.psnr.1") == result("mini.images.psnr")[1]
    with pytest.raises(DataError, match="no-such.json"):
        result("no-such.psnr")
    with pytest.raises(DataError, match="no_such_key"):
        result("mini.no_such_key")
    with pytest.raises(DataError, match="images.psnr.80"):
        result("mini.images.psnr.80")


@pytest.mark.parametrize("name", ["mini", "full-size", "skip", "errors", "motorcycle"])
def test_results_are_those_of_the_bundled_weights(name: str) -> None:
    assert result(f"{name}.made.weights_sha256") == weights_hash(weights_path())


def test_the_weights_say_what_made_them_and_are_small() -> None:
    about = read_metadata(weights_path())
    assert about["preset"] == "mini" and about["seed"] == "0" and about["stage"] == "stage2b"
    assert len(about["commit"]) >= 40 and '"stages"' in about["config"]
    assert weights_path().stat().st_size < 15e6


def test_the_lens_renderer_has_the_depth_net_of_stage_0() -> None:
    path = weights_path().with_name("depth-mini.safetensors")
    assert read_metadata(path)["stage"] == "stage0"
    assert path.stat().st_size + weights_path().stat().st_size < 15e6
    with torch.inference_mode():
        metres = load_depth_net()(torch.rand(1, 3, 64, 96))
    assert 0.3 < metres.min() and metres.max() < 7.3


@pytest.mark.parametrize(
    ("reference", "target_db"), [("input", 5.0), ("input_half", 3.0), ("render_only", 0.1)]
)
def test_the_model_beats_its_references_by_what_was_asked(reference, target_db) -> None:
    assert result(f"mini.differences.psnr.{reference}.mean") >= target_db
    assert result(f"mini.differences.psnr.{reference}.low") > 0


def test_the_bundled_log_is_that_of_the_bundled_weights() -> None:
    log = gzip.decompress((weights_path().parent / "logs" / "stage2b.csv.gz").read_bytes())
    assert read_metadata(weights_path())["log_sha256"] == hashlib.sha256(log).hexdigest()


def test_the_index_names_every_file():
    folder = data_root() / "results"
    text = (folder / "index.md").read_text("utf-8")
    for path in folder.iterdir():
        named = path.name in text or (path.suffix == ".jpg" and f"{path.stem}.json, .jpg" in text)
        assert named or path.name == "index.md", f"{path.name} is not in data/results/index.md"

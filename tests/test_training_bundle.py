"""What the book keeps of a training."""

import dataclasses
import gzip

import numpy as np
import pytest
from PIL import Image

from bradcn_nb.__main__ import main
from bradcn_nb.errors import RunError
from bradcn_nb.experiments.bundled_weights import bundle, kept_epochs
from bradcn_nb.presets import preset


def test_kept_epochs():
    assert kept_epochs(30) == [1, 2, 10, 30]
    assert kept_epochs(4) == [1, 2, 4]
    assert kept_epochs(2) == [1, 2]
    assert kept_epochs(1) == [1]


def test_logs_and_strips_are_kept_and_a_missing_one_is_named(tmp_path, capsys):
    stages = tuple(dataclasses.replace(stage, epochs=2) for stage in preset("mini").stages)
    strip = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for stage in stages:
        samples = tmp_path / "run" / stage.name / "samples"
        samples.mkdir(parents=True)
        (samples.parent / "log.csv").write_text(f"step\n{stage.name}\n")
        for epoch in (1, 2):
            Image.fromarray(strip).save(samples / f"epoch-{epoch:03d}.png")
    made = bundle(tmp_path / "run", tmp_path / "out", stages)
    assert len(made) == 4 + 4
    kept = (tmp_path / "out" / "logs" / "stage1.csv.gz").read_bytes()
    assert gzip.decompress(kept) == b"step\nstage1\n"
    with Image.open(tmp_path / "out" / "samples" / "stage2b-epoch-002.jpg") as picture:
        assert picture.size == (30, 20)
    (tmp_path / "run" / "stage2a" / "log.csv").unlink()
    with pytest.raises(RunError, match="stage2a.*log.csv"):
        bundle(tmp_path / "run", tmp_path / "out", stages)
    assert main(["experiments", "bundled-weights", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")

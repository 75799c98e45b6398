"""Eq. 2's labels against a float64 oracle, their files, their manifest and their resumption."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bradcn_nb import data, labels
from bradcn_nb.errors import DataError, WeightsError

SIZE = (16, 24)


class Depth(nn.Module):
    """A depth net small enough to be recomputed by hand: a weighted sum of the colours, in metres."""

    def __init__(self, weights=(1.0, 2.5, 3.0)):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weights).view(1, 3, 1, 1))
        self.batches = []

    def forward(self, image):
        assert not self.training
        self.batches.append(len(image))
        return (image * self.weight).sum(1, keepdim=True) + 0.5


@pytest.fixture
def sun(tmp_path):
    generator = np.random.default_rng(0)
    for k in range(7):
        frame = tmp_path / "sun" / "kv1" / f"frame{k}"
        (frame / "image").mkdir(parents=True)
        (frame / "depth_bfx").mkdir()
        image = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        depth = generator.uniform(0.3, 9.9, (24, 32)) * (generator.random((24, 32)) > 0.2)
        Image.fromarray(image).save(frame / "image" / "i.png")
        Image.fromarray(data.encode_depth(depth)).save(frame / "depth_bfx" / "d.png")
    return tmp_path / "sun"


def frames(root, split="train", size=SIZE, **options):
    return data.SUNRGBD(root, split, (5, 2), size=size, **options)


def make(root, out, net=None, weights="w" * 64, **options):
    return labels.make_labels(net or Depth(), frames(root), out, weights, progress=False, **options)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_eq_2_against_a_float64_oracle(sun, tmp_path):
    made = labels.LabelSet(frames(sun), make(sun, tmp_path / "labels", batch=2))
    assert len(made) == 5
    for item in made:
        # Everything again from the files, without the package and in float64.
        where = sun / item["id"]
        image = np.array(Image.open(where / "image" / "i.png")).astype(np.float64)
        raw = np.array(Image.open(where / "depth_bfx" / "d.png")).astype(np.int64)
        truth = np.minimum(((raw >> 3) | ((raw << 13) & 0xFFFF)) / 1000, 8.0)
        rows = np.floor((np.arange(16) + 0.5) * 24 / 16).astype(int)
        columns = np.floor((np.arange(24) + 0.5) * 32 / 24).astype(int)
        truth = truth[np.ix_(rows, columns)]
        # Exact area averages of 3:2 and 4:3, by way of a picture twice and three times as fine.
        fine = image.repeat(2, 0).repeat(3, 1)
        small = fine.reshape(16, 3, 24, 4, 3).mean((1, 3))
        predicted = np.rint(small) / 255 @ np.array([1.0, 2.5, 3.0]) + 0.5
        error = np.abs(predicted - truth)
        mask = item["mask"][0].numpy()
        np.testing.assert_array_equal(mask, truth > 0)
        assert 0 < mask.sum() < mask.size
        difference = np.abs(item["error"][0].numpy() - error)[mask]
        # Half a millimetre of rounding; a grey level of the picture may round either way.
        assert np.median(difference) <= 0.00051 and difference.max() <= 0.0005 + 3.0 / 255
        assert (item["error"][0].numpy()[~mask] == 0).all()


def test_depth_error_by_hand():
    predicted = torch.tensor([[[[1.0, 5.0, float("nan")]]]])
    truth = torch.tensor([[[[3.0, 4.5, 0.0]]]])
    error, mask = labels.depth_error(predicted, truth, truth > 0)
    assert error.flatten().tolist() == [2.0, 0.5, 0.0]
    with pytest.raises(ValueError):
        labels.depth_error(predicted, truth[0], mask)


def test_label_files_are_millimetres_with_an_invalid_code():
    error = np.array([[0.0, 0.0004, 0.0006, 1.2345, 65.534, 99.0, 3.0]])
    mask = np.array([[True] * 6 + [False]])
    raw = labels.encode_label(error, mask)
    assert raw.dtype == np.uint16
    assert raw[0, [0, 1, 2, 4, 5, 6]].tolist() == [0, 0, 1, 65534, 65534, 65535]
    metres, valid = labels.decode_label(raw)
    np.testing.assert_array_equal(valid, mask)
    np.testing.assert_allclose(metres[0, :5], error[0, :5], atol=0.00051)
    assert metres[0, 6] == 0


def test_labels_are_16_bit_files_with_a_manifest(sun, tmp_path):
    out = make(sun, tmp_path / "labels")
    files = sorted(out.rglob("*.png"))
    assert len(files) == 5 and not list(out.rglob("*.tmp"))
    assert Image.open(files[0]).mode == "I;16" and Image.open(files[0]).size == (24, 16)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["depth_net_sha256"] == "w" * 64 and manifest["size"] == [16, 24]
    assert manifest["invalid"] == 65535 and manifest["unit_m"] == 0.001 and manifest["format"] == 1


def test_a_killed_run_resumes_to_the_same_bytes(sun, tmp_path):
    whole = contents(make(sun, tmp_path / "whole", batch=2))

    class Killed(Depth):
        def forward(self, image):
            if len(self.batches) == 1:
                raise KeyboardInterrupt
            return super().forward(image)

    out = tmp_path / "labels"
    with pytest.raises(KeyboardInterrupt):
        make(sun, out, Killed(), batch=2)
    done = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    assert len(done) == 2
    (out / ".manifest.json.123.tmp").write_text("half")
    first = next(iter(done))
    first.with_name(".x.png.9.tmp").write_text("half")
    net = Depth()
    make(sun, out, net, batch=2)
    assert net.batches == [2, 1]  # the finished group is not computed again
    assert all(p.stat().st_mtime_ns == t for p, t in done.items())
    assert contents(out) == whole
    first.write_bytes(first.read_bytes()[:50])
    make(sun, out, net, batch=2)
    assert net.batches == [2, 1, 2] and contents(out) == whole


def test_the_net_keeps_its_mode(sun, tmp_path):
    net = Depth().train()
    make(sun, tmp_path / "labels", net)
    assert net.training and net.weight.grad is None


def test_labels_of_other_weights_data_or_size_are_refused(sun, tmp_path):
    out = make(sun, tmp_path / "labels")
    assert len(labels.LabelSet(frames(sun), out, "w" * 64)) == 5
    refusals = [
        ("depth_net_sha256", lambda: labels.LabelSet(frames(sun), out, "v" * 64)),
        ("depth_net_sha256", lambda: make(sun, out, weights="v" * 64)),
        ("size", lambda: labels.LabelSet(frames(sun, size=(8, 12)), out)),
        ("clip_m", lambda: labels.LabelSet(frames(sun, clip_m=4.0), out)),
    ]
    for key, attempt in refusals:
        with pytest.raises(DataError, match=key) as error:
            attempt()
        assert "manifest.json" in str(error.value) and "\n" not in str(error.value)
    depth = sun / "kv1/frame0/depth_bfx/d.png"
    depth.write_bytes(depth.read_bytes() + b" ")
    with pytest.raises(DataError, match="data_sha256"):
        labels.LabelSet(frames(sun), out)


def test_missing_and_damaged_labels_are_named(sun, tmp_path):
    with pytest.raises(DataError, match="bradcn_nb labels"):
        labels.LabelSet(frames(sun), tmp_path / "nowhere")
    out = make(sun, tmp_path / "labels")
    made = labels.LabelSet(frames(sun), out)
    path = out / f"{made.sun.ids[3]}.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=path.name):
        made[3]
    path.unlink()
    with pytest.raises(DataError, match="1 of 5"):
        labels.LabelSet(frames(sun), out)
    with pytest.raises(DataError, match="2 of 2"):
        labels.LabelSet(frames(sun, "test"), out)
    (out / "manifest.json").write_text("{broken")
    with pytest.raises(DataError, match="not a manifest"):
        labels.LabelSet(frames(sun), out)


def test_make_labels_refuses_bad_targets_and_nets(sun, tmp_path):
    other = tmp_path / "photos"
    other.mkdir()
    (other / "holiday.png").write_bytes(b"precious")
    with pytest.raises(DataError, match="photos"):
        make(sun, other)
    assert (other / "holiday.png").read_bytes() == b"precious"
    with pytest.raises(DataError, match="size"):
        labels.make_labels(Depth(), frames(sun, size=None), tmp_path / "l", "w", progress=False)
    with pytest.raises(DataError, match="NaN"):
        make(sun, tmp_path / "nan", Depth((float("nan"), 1.0, 1.0)))


def test_flips_move_picture_label_and_mask_together(sun, tmp_path):
    out = make(sun, tmp_path / "labels")
    plain = labels.LabelSet(frames(sun, cache=True), out)
    flipped = labels.LabelSet(frames(sun), out, flip=True, seed=3)
    assert plain.cached and not flipped.cached
    mirrored = 0
    for epoch in range(3):
        flipped.set_epoch(epoch)
        for i in range(5):
            mirror = data.flips(3, epoch, i)
            mirrored += mirror
            for key in ("image", "error", "mask"):
                want = plain[i][key].flip(-1) if mirror else plain[i][key]
                assert torch.equal(flipped[i][key], want)
    assert 0 < mirrored < 15


def test_weights_hash_names_files_and_nets(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"abc")
    assert labels.weights_hash(path) == hashlib.sha256(b"abc").hexdigest()
    assert labels.weights_hash(Depth()) == labels.weights_hash(Depth())
    assert labels.weights_hash(Depth()) != labels.weights_hash(Depth((1.0, 2.5, 3.0001)))
    assert len(labels.weights_hash(nn.BatchNorm2d(2))) == 64  # scalar buffers too
    with pytest.raises(WeightsError, match="nowhere"):
        labels.weights_hash(tmp_path / "nowhere")

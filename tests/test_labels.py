"""Eq. 2's labels against a float64 oracle, their files, their manifest and their resumption."""

import errno
import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from label_worker import Depth, frames, make
from PIL import Image
from torch import nn

from bradcn_nb import data
from bradcn_nb.errors import BradcnError, DataError, WeightsError
from bradcn_nb.files import data_root
from bradcn_nb.models import DepthNet, load_depth_net
from bradcn_nb.models.weights import weights_hash
from bradcn_nb.presets import preset
from bradcn_nb.training import label_files, labels


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
    raw = label_files.encode_label(error, mask)
    assert raw.dtype == np.uint16
    assert raw[0, [0, 1, 2, 4, 5, 6]].tolist() == [0, 0, 1, 65534, 65534, 65535]
    metres, valid = label_files.decode_label(raw)
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
    with pytest.raises(KeyboardInterrupt, match="finished labels are kept"):
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


def test_other_weights_are_refused_by_name_and_what_only_rounds_is_not(sun, tmp_path):
    out = make(sun, tmp_path / "labels", weights_name="old-net.safetensors")
    with pytest.raises(DataError, match=f"old-net.safetensors .*{'w' * 64}.*not {'v' * 64}"):
        labels.LabelSet(frames(sun), out, "v" * 64)
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["made_by"]["depth_net"] == "old-net.safetensors"
    assert manifest["made_by"]["batch"] == 1
    manifest["made_by"] = {"bradcn_nb": "0.0.1", "torch": "1.0", "device": "cuda"}
    path.write_text(json.dumps(manifest))
    assert len(labels.LabelSet(frames(sun), make(sun, out), "w" * 64)) == 5
    path.write_text(json.dumps({**manifest, "format": 0}))
    for attempt in (lambda: labels.LabelSet(frames(sun), out), lambda: make(sun, out)):
        with pytest.raises(DataError, match="format = 0, not 1"):
            attempt()


def test_a_label_that_means_something_else_needs_another_format(tmp_path):
    """Whoever changes these digits raises `label_files.FORMAT`, or old and new labels get mixed."""
    # Every value lies at least 0.01 mm from where rounding turns, so all machines agree.
    rows, columns = np.mgrid[:24, :32]
    image = np.stack([rows * 8, columns * 8 % 256, (rows * columns) % 128 * 2], 2).astype(np.uint8)
    depth = (rows * 32 + columns) % 11
    for k in range(7):
        frame = tmp_path / "sun" / "xtion" / f"f{k}"
        (frame / "image").mkdir(parents=True)
        (frame / "depth_bfx").mkdir()
        Image.fromarray(np.roll(image, k, 0)).save(frame / "image" / "i.png")
        Image.fromarray(data.encode_depth(depth)).save(frame / "depth_bfx" / "d.png")
    out = make(tmp_path / "sun", tmp_path / "out", Depth((4.0, 2.0, 0.5)), size=(12, 16))
    digest = hashlib.sha256()
    for path in sorted(out.rglob("*.png")):
        digest.update(np.array(Image.open(path)).astype("<u2").tobytes())
    manifest = json.loads((out / "manifest.json").read_text())
    keys = [key for key in manifest if key != "made_by"]
    assert (label_files.FORMAT, digest.hexdigest()[:16], " ".join(keys)) == (
        1,
        "168844ae4c6709ae",
        "format equation unit_m invalid depth_net_sha256 size depth_kind clip_m data_sha256",
    )


def test_native_sizes_are_grouped_padded_and_cropped(tmp_path):
    """Two sizes in turns, neither a multiple of the stride; the last row and column are
    repeated."""
    generator = np.random.default_rng(1)
    for k in range(7):
        size = [(21, 30), (16, 27)][k % 2]
        frame = tmp_path / "sun" / "kv2" / f"f{k}"
        (frame / "image").mkdir(parents=True)
        (frame / "depth_bfx").mkdir()
        picture = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(frame / "image" / "i.png")
        raw = data.encode_depth(generator.uniform(0.5, 7.0, size))
        Image.fromarray(raw).save(frame / "depth_bfx" / "d.png")
    net = Depth(stride=8)
    out = make(tmp_path / "sun", tmp_path / "together", net, batch=5, size=None)
    assert sorted(net.batches) == [2, 3] and sum(net.batches) == 5
    assert json.loads((out / "manifest.json").read_text())["size"] == "native"
    alone = make(tmp_path / "sun", tmp_path / "alone", Depth(stride=8), batch=1, size=None)
    made, single = (
        labels.LabelSet(frames(tmp_path / "sun", size=None), folder) for folder in (out, alone)
    )
    shapes = set()
    for item, other in zip(made, single, strict=True):
        wanted = (item["image"] * Depth().weight[0]).sum(0, keepdim=True) + 0.5
        frame = made.sun[made.sun.ids.index(item["id"])]
        torch.testing.assert_close(
            item["error"], (wanted.detach() - frame["depth"]).abs(), rtol=0, atol=0.0006
        )
        assert torch.equal(item["error"], other["error"])
        shapes.add(tuple(item["error"].shape))
    assert shapes == {(1, 21, 30), (1, 16, 27)}
    with pytest.raises(DataError, match="size = 'native'"):
        labels.LabelSet(frames(tmp_path / "sun"), out)


def test_padding_mirrors_the_last_rows_and_columns():
    class Shown(Depth):
        def forward(self, image):
            self.seen = image
            return super().forward(image)

    net = Shown(stride=8).eval()
    image = torch.rand(1, 3, 13, 16)
    depth = labels.predict_depth(net, image)
    assert net.seen.shape == (1, 3, 16, 16) and depth.shape == (1, 1, 13, 16)
    assert torch.equal(net.seen[..., 13:, :], image[..., [11, 10, 9], :])
    assert torch.equal(labels.predict_depth(net, image[..., :8, :]), net(image[..., :8, :]))


def test_company_in_a_batch_moves_a_label_by_rounding_alone(tmp_path):
    """The bundled net: same batch size, other company: no bit; other batch size: one grey level."""
    chosen = preset("mini")
    frames = data.SUNRGBD(data_root() / "mini-sun", "test", (300, 8), size=chosen.data.train_size)
    net = load_depth_net()
    made = {
        batch: labels.make_labels(net, frames, tmp_path / str(batch), "w", batch, progress=False)
        for batch in (1, 3, 8)
    }
    moved = 0
    for frame in frames.ids:
        one, three, eight = (
            np.array(Image.open(folder / f"{frame}.png")).astype(int) for folder in made.values()
        )
        assert np.abs(three - one).max() <= 1 and np.abs(eight - one).max() <= 1
        moved += (eight != one).mean() / len(frames.ids)
    assert moved < 0.02
    images = torch.stack([frames[i]["image"] for i in range(4)])
    with torch.no_grad():
        stranger = labels.predict_depth(net, torch.cat([images[:1], images[2:], images[1:2]]))
        assert torch.equal(stranger[0], labels.predict_depth(net, images)[0])


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
    with pytest.raises(DataError, match="NaN"):
        make(sun, tmp_path / "nan", Depth((float("nan"), 1.0, 1.0)))


def test_nan_is_refused_also_where_there_is_no_truth(sun, tmp_path):
    class Half(Depth):
        def forward(self, image):
            depth = super().forward(image)
            depth[:, :, 0] = torch.nan
            return depth

    depth = sun / "kv1/frame0/depth_bfx/d.png"
    raw = np.array(Image.open(depth))
    raw[:12] = 0  # no truth in the upper half, which is where the net fails
    for k in range(7):
        Image.fromarray(raw).save(sun / f"kv1/frame{k}/depth_bfx/d.png")
    with pytest.raises(DataError, match="kv1/frame.*NaN"):
        make(sun, tmp_path / "labels", Half())
    assert not list((tmp_path / "labels").rglob("*.png"))


def test_a_relative_depth_net_is_refused_before_anything_is_written(sun, tmp_path):
    net = DepthNet(replace(preset("mini").model, depth_kind="relative"))
    with pytest.raises(BradcnError, match="metric weights"):
        make(sun, tmp_path / "labels", net)
    assert not (tmp_path / "labels").exists()


def test_a_full_disk_is_one_line_and_loses_nothing(sun, tmp_path, monkeypatch):
    whole, out = contents(make(sun, tmp_path / "whole")), tmp_path / "labels"
    room, real = [3], label_files.write_atomically

    def full(path, content):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, content)

    monkeypatch.setattr(label_files, "write_atomically", full)
    with pytest.raises(DataError, match="No space left on device.*same command") as error:
        make(sun, out)
    assert "\n" not in str(error.value) and str(out) in str(error.value)
    monkeypatch.undo()
    left = contents(out)
    assert len(left) == 3 and left.items() <= whole.items()
    assert contents(make(sun, out)) == whole


def test_a_folder_that_cannot_be_written_is_named(sun, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(DataError, match="file.*Not a directory"):
        make(sun, tmp_path / "file" / "labels")
    assert (tmp_path / "file").read_text() == "precious"

    def locked(path, content):  # root, who runs many tests, may write anywhere
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(label_files, "write_atomically", locked)
    with pytest.raises(DataError, match="Read-only file system"):
        make(sun, tmp_path / "labels")


def test_a_damaged_frame_keeps_the_labels_before_it(sun, tmp_path):
    broken = frames(sun).frames[sorted(frames(sun).ids)[3]][0]
    kept = broken.read_bytes()
    broken.write_bytes(kept[:200].ljust(len(kept), b"x"))
    with pytest.raises(DataError, match=str(broken)):
        make(sun, tmp_path / "labels")
    assert len(list((tmp_path / "labels").rglob("*.png"))) == 3
    broken.write_bytes(kept)
    assert contents(make(sun, tmp_path / "labels")) == contents(make(sun, tmp_path / "whole"))


def test_one_flipped_bit_is_seen_and_mended(sun, tmp_path):
    out = make(sun, tmp_path / "labels")
    whole = contents(out)
    path = sorted(out.rglob("*.png"))[2]
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(DataError, match=f"{path.name}.*damaged"):
        list(labels.LabelSet(frames(sun), out))
    assert contents(make(sun, out)) == whole


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
    assert weights_hash(path) == hashlib.sha256(b"abc").hexdigest()
    assert weights_hash(Depth()) == weights_hash(Depth())
    assert weights_hash(Depth()) != weights_hash(Depth((1.0, 2.5, 3.0001)))
    assert len(weights_hash(nn.BatchNorm2d(2))) == 64  # scalar buffers too
    with pytest.raises(WeightsError, match="nowhere"):
        weights_hash(tmp_path / "nowhere")

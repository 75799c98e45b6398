"""The readers: real layouts made in a temporary folder, good and broken."""

import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bradcn_nb import data
from bradcn_nb.errors import DataError

SAMPLES = (
    Path(os.environ.get("BRADCN_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data"
)
real_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not on this disk")


def picture(seed, height=24, width=36):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_ebb(root, numbers=(0, 1, 2, 4400, 4401), suffix=".png"):
    for place, folder in enumerate(("original", "bokeh")):
        (root / folder).mkdir(parents=True)
        for n in numbers:
            Image.fromarray(picture(2 * n + place)).save(root / folder / f"{n}{suffix}")
    return root


def make_sun(root, frames=6, height=24, width=32):
    sensors = ("kv1/NYUdata", "kv2/kinect2data", "realsense/lg", "xtion/sun3ddata/brown")
    for k in range(frames):
        frame = root / sensors[k % 4] / f"frame{k:02d}"
        for folder in ("image", "depth", "depth_bfx"):
            (frame / folder).mkdir(parents=True)
        Image.fromarray(picture(k, height, width)).save(frame / "image" / f"{k}.png")
        depth = np.random.default_rng(100 + k).uniform(0.5, 9.5, (height, width))
        depth[:4, :5] = 0
        for folder in ("depth", "depth_bfx"):
            path = frame / folder / f"d{k}.png"
            Image.fromarray(data.encode_depth(depth)).save(path)
    return root


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    assert ";" in text  # what is wrong; what to do


def test_ebb_reads_pairs_of_each_split_in_order(tmp_path):
    train = data.EBB(make_ebb(tmp_path), "train")
    assert [train[i]["id"] for i in range(3)] == ["0", "1", "2"] and len(train) == 3
    test = data.EBB(tmp_path, "test")
    assert [item["id"] for item in test] == ["4400", "4401"]
    item = train[1]
    assert item["image"].dtype == torch.float32 and item["image"].shape == (3, 24, 36)
    np.testing.assert_array_equal(
        (item["bokeh"] * 255).round().byte().numpy(), picture(3).transpose(2, 0, 1)
    )


def test_ebb_sorts_by_number_and_reads_jpg(tmp_path):
    ebb = data.EBB(make_ebb(tmp_path, (10, 9, 100), ".jpg"))
    assert [item["id"] for item in ebb] == ["9", "10", "100"]


def test_ebb_halves_by_exact_area_average(tmp_path):
    small = data.EBB(make_ebb(tmp_path), size=(12, 18))[0]["image"]
    blocks = picture(0).reshape(12, 2, 18, 2, 3).astype(float).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(small.numpy() * 255 - blocks).max() <= 0.51


def test_cache_decodes_once_and_cannot_be_written_into(tmp_path):
    cached = data.EBB(make_ebb(tmp_path), size=(12, 18), cache=True)
    plain = [data.EBB(tmp_path, size=(12, 18))[i] for i in range(3)]
    for _ in range(2):
        for i in range(3):
            item = cached[i]
            assert torch.equal(item["image"], plain[i]["image"])
            item["image"].zero_()
    shutil.rmtree(tmp_path / "original")
    assert torch.equal(cached[2]["bokeh"], plain[2]["bokeh"])


def test_flips_are_a_pure_function_of_seed_epoch_and_index(tmp_path):
    make_ebb(tmp_path, range(40))
    flipped, plain = data.EBB(tmp_path, flip=True, seed=7), data.EBB(tmp_path)
    seen = []
    for epoch in (3, 0, 3):
        flipped.set_epoch(epoch)
        seen.append([])
        for i in reversed(range(40)):
            mirrored = data.flips(7, epoch, i)
            seen[-1].append(mirrored)
            for key in ("image", "bokeh"):
                want = plain[i][key].flip(-1) if mirrored else plain[i][key]
                assert torch.equal(flipped[i][key], want)
    assert seen[0] == seen[2] != seen[1] and 8 < sum(seen[0]) < 32
    assert 4800 < sum(data.flips(0, 0, i) for i in range(10_000)) < 5200


def test_ebb_bad_folders(tmp_path):
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path / "nowhere")
    one_line(error, "nowhere")
    (tmp_path / "original").mkdir()
    (tmp_path / "bokeh").mkdir()
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path, "test")
    one_line(error, str(tmp_path), "4400..4693")
    with pytest.raises(DataError, match="validation"):
        data.EBB(tmp_path, "validation")


@pytest.mark.parametrize("folder", ["original", "bokeh"])
def test_ebb_missing_partner_is_named(tmp_path, folder):
    (make_ebb(tmp_path) / folder / "1.png").unlink()
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path)
    one_line(error, str(tmp_path / folder), "(1)")
    assert len(data.EBB(tmp_path, "test")) == 2  # the other split is sound


def test_ebb_damaged_files_are_named(tmp_path):
    make_ebb(tmp_path)
    cut = tmp_path / "bokeh" / "1.png"
    cut.write_bytes(cut.read_bytes()[:300])
    text = tmp_path / "original" / "2.png"
    text.write_text("not a picture")
    Image.fromarray(picture(0, 24, 30)).save(tmp_path / "bokeh" / "0.png")
    ebb = data.EBB(tmp_path)
    for index, path in ((1, cut), (2, text), (0, tmp_path / "bokeh" / "0.png")):
        with pytest.raises(DataError) as error:
            ebb[index]
        one_line(error, str(path))


def test_ebb_truncated_jpeg_and_duplicate_number(tmp_path):
    make_ebb(tmp_path, (0, 1), ".jpg")
    path = tmp_path / "original" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path)[0]
    one_line(error, str(path))
    shutil.copy(tmp_path / "bokeh" / "1.jpg", tmp_path / "bokeh" / "01.png")
    with pytest.raises(DataError, match="same number"):
        data.EBB(tmp_path)


def test_depth_bits_rotate_as_sun_rgbd_does():
    mm = np.arange(65536, dtype=np.uint16)
    raw = data.encode_depth(mm / 1000)
    np.testing.assert_array_equal(raw, ((mm.astype(int) << 3) & 0xFFFF) | (mm.astype(int) >> 13))
    np.testing.assert_allclose(data.decode_depth(raw), mm / 1000, atol=1e-5)
    assert data.encode_depth(np.array([np.nan, np.inf, -1.0, 0.0])).tolist() == [0, 0, 0, 0]
    with pytest.raises(TypeError):
        data.decode_depth(mm.astype(np.int32))


def test_sun_reads_metres_mask_and_clips(tmp_path):
    sun = data.SUNRGBD(make_sun(tmp_path), "train", (6, 0))
    for item in sun:
        k = int(item["id"][-2:])
        depth = np.random.default_rng(100 + k).uniform(0.5, 9.5, (24, 32))
        assert item["depth"].shape == item["mask"].shape == (1, 24, 32)
        assert item["mask"].dtype == torch.bool and not item["mask"][0, :4, :5].any()
        assert int(item["mask"].sum()) == 24 * 32 - 20
        want = np.minimum(depth, 8)[item["mask"][0].numpy()]
        np.testing.assert_allclose(item["depth"][item["mask"]], want, atol=6e-4)


def test_sun_resizes_depth_without_mixing(tmp_path):
    make_sun(tmp_path)
    native = data.SUNRGBD(tmp_path, "train", (6, 0))
    small = data.SUNRGBD(tmp_path, "train", (6, 0), size=(9, 13))
    for a, b in zip(native, small, strict=True):
        assert b["image"].shape == (3, 9, 13)
        assert np.isin(b["depth"].numpy(), a["depth"].numpy()).all()
        assert torch.equal(b["mask"], b["depth"] > 0)
    index = np.arange(24)[:, None] * 100 + np.arange(32)
    np.testing.assert_array_equal(data.resize_nearest(index, (12, 16)), index[1::2, 1::2])
    np.testing.assert_array_equal(
        data.resize_nearest(index, (48, 64)), index.repeat(2, 0).repeat(2, 1)
    )


def test_sun_splits_are_random_disjoint_and_repeatable(tmp_path):
    make_sun(tmp_path, 12)

    def ids(split, seed=0, counts=(7, 4)):
        return data.SUNRGBD(tmp_path, split, counts, seed=seed).ids

    assert len(ids("train")) == 7 and len(ids("test")) == 4
    assert not set(ids("train")) & set(ids("test"))
    assert ids("train") == ids("train") != sorted(ids("train"))
    assert set(ids("train", seed=1)) != set(ids("train"))


# Names of frames as SUN RGB-D has them.
NAMES = {
    "kv1/NYUdata/NYU0001": "kv1/NYUdata",
    "kv1/b3dodata/img_0063": "kv1/b3dodata",
    "kv2/kinect2data/001599_2014-06-20_11-16-00_260595134347_rgbf000071-resize": "2014-06-20",
    "kv2/kinect2data/000417_long_2014-06-09_22-31-57_260595134347_rgbf000657-resize": "2014-06-09",
    "kv2/kinect2data/000130_2014-04-11_17-21-46-RobotInRoom_094959634447_rgbf000614-resize": "2014-04-11",  # noqa: E501
    "kv2/align_kv2/2014-12-18_11-31-54_260595134347": "2014-12-18",
    "xtion/xtion_align_data/2014_12_18_12_3_40": "2014-12-18",
    "realsense/shr/2014_12_18-11_33_49-1311000073": "2014-12-18",
    "realsense/lg/2014_10_21-17_23_01-1311000073": "2014-10-21",
    "xtion/sun3ddata/mit_w85_basement/wg_big_lounge_1/0000004-000000100548": "xtion/sun3ddata/mit_w85_basement",  # noqa: E501
    "xtion/sun3ddata/mit_w85_basement/wg_laundary_1/0001425-000047752573": "xtion/sun3ddata/mit_w85_basement",  # noqa: E501
    "kv1/rooms/0008": "kv1/rooms/0008",
}  # fmt: skip


def test_scenes_by_the_names_of_sun_rgbd():
    assert {name: data.scene_of(name) for name in NAMES} == NAMES
    assert [name for name in NAMES if data.is_nyu(name)] == ["kv1/NYUdata/NYU0001"]


def videos(count=40, frames=9):
    """Frames of videos, of two days of pictures, and of NYUv2."""
    names = [
        f"xtion/sun3ddata/place{p:02}/video{f % 2}/{f:07}"
        for p in range(count)
        for f in range(frames)
    ]
    names += [f"kv2/align_kv2/2014-12-{d}_11-{m:02}-54_1" for d in (17, 18) for m in range(30)]
    return names + [f"kv1/NYUdata/NYU{n:04}" for n in range(1, 101)]


def test_the_random_split_leaks_and_the_split_by_scene_does_not():
    names, counts = videos(), (300, 60)
    drawn = data.draw(names, counts, seed=0)
    assert len(data.leaks(**drawn)) > 50 and any(map(data.is_nyu, drawn["test"]))
    for seed in range(5):
        drawn = data.draw(names, counts, seed, "scene")
        assert [len(drawn[split]) for split in ("train", "test")] == [300, 60]
        assert data.leaks(**drawn) == [] and not any(map(data.is_nyu, sum(drawn.values(), [])))
        assert not {*map(data.scene_of, drawn["train"])} & {*map(data.scene_of, drawn["test"])}
        # As many scenes test as training can spare, not the few that just make up the number.
        assert len({*map(data.scene_of, drawn["test"])}) > 60 / 9
        assert drawn == data.draw(reversed(names), counts, seed, "scene")


def test_splits_that_cannot_be_drawn():
    names = videos()
    for counts, scheme, words in (
        ((500, 21), "random", "520 frames, but 500 [+] 21"),
        ((400, 30), "scene", "420 frames outside of NYUv2"),
        ((419, 1), "scene", "0 frames in scenes that training can spare"),
        ((3, 1), "sensor", "'sensor'; use random or scene"),
    ):
        with pytest.raises(DataError, match=words):
            data.draw(names, counts, 0, scheme)


def test_sun_reads_either_split_and_lists_nyu(tmp_path):
    make_sun(tmp_path, 12)  # 3 frames of each sensor; those of kv1 are NYUv2's
    random = {s: data.SUNRGBD(tmp_path, s, (8, 4)) for s in ("train", "test")}
    overlap = [*random["train"].overlap_with_nyu, *random["test"].overlap_with_nyu]
    assert sorted(overlap) == [f"kv1/NYUdata/frame{k:02}" for k in (0, 4, 8)]
    by_scene = {s: data.SUNRGBD(tmp_path, s, (6, 3), scheme="scene") for s in ("train", "test")}
    assert by_scene["train"].overlap_with_nyu == by_scene["test"].overlap_with_nyu == []
    assert len({*map(data.scene_of, by_scene["test"].ids)}) == 1
    assert by_scene["test"][0]["depth"].shape == (1, 24, 32)


def test_intrinsics_follow_the_resize(tmp_path):
    make_sun(tmp_path)
    native = data.SUNRGBD(tmp_path, "train", (6, 0))
    small = data.SUNRGBD(tmp_path, "train", (6, 0), size=(12, 8))
    folder = native.frames[native.ids[0]][0].parent.parent
    (folder / "intrinsics.txt").write_text("529.5 0 16.25\n0 528.5 11.5\n0 0 1 ")
    np.testing.assert_array_equal(
        native.intrinsics(0), [[529.5, 0, 16.25], [0, 528.5, 11.5], [0, 0, 1]]
    )
    # A point in space falls on the same place of the picture: half the rows, a quarter of the
    # columns.
    point = np.array([0.02, -0.01, 1.0])
    x, y, _ = native.intrinsics(0) @ point
    np.testing.assert_allclose(
        small.intrinsics(0) @ point, [(x + 0.5) / 4 - 0.5, (y + 0.5) / 2 - 0.5, 1], rtol=1e-12
    )
    for text in (
        "1 2 3",
        "a b c d e f g h i",
        "0 0 1 0 1 1 0 0 1",
        "1 0 1 0 1 1 0 0 2",
        "nan " * 9,
    ):
        (folder / "intrinsics.txt").write_text(text)
        with pytest.raises(DataError) as error:
            native.intrinsics(0)
        one_line(error, str(folder / "intrinsics.txt"), "3x3")
    with pytest.raises(DataError) as error:
        native.intrinsics(1)
    one_line(error, "intrinsics.txt", "missing")


def test_sun_kind_and_fingerprint(tmp_path):
    raw = data.SUNRGBD(make_sun(tmp_path), "train", (5, 1), kind="depth")
    assert data.SUNRGBD(tmp_path, "test", (5, 1), kind="depth").fingerprint() == raw.fingerprint()
    before = raw.fingerprint()
    depth = raw.frames[raw.ids[0]][1]
    depth.write_bytes(depth.read_bytes() + b"x")
    assert raw.fingerprint() != before


def test_sun_bad_folders(tmp_path):
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path / "nowhere", "train", (1, 0))
    one_line(error, "nowhere")
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path, "train", (1, 0))
    one_line(error, str(tmp_path), "kv1")
    make_sun(tmp_path)
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path, "train", (5, 2))
    one_line(error, "6 frames", "5 + 2")
    (tmp_path / "kv1/NYUdata/frame00/image/._0.jpg").write_bytes(b"left by a file manager")
    data.SUNRGBD(tmp_path, "train", (5, 1))
    for folder in ("image", "depth_bfx"):
        shutil.rmtree(tmp_path / "kv1/NYUdata/frame00" / folder)
        with pytest.raises(DataError) as error:
            data.SUNRGBD(tmp_path, "train", (5, 1))
        one_line(error, "frame00")


def test_sun_bad_depth_files_are_named(tmp_path):
    make_sun(tmp_path)
    bad = {
        "mode L": Image.fromarray(np.full((24, 32), 9, np.uint8)),
        "every depth is 0": Image.fromarray(np.zeros((24, 32), np.uint16)),
        "20x10": Image.fromarray(np.full((10, 20), 9000, np.uint16)),
    }
    sun = data.SUNRGBD(tmp_path, "train", (6, 0))
    for index, (reason, broken) in enumerate(bad.items()):
        path = sun.frames[sun.ids[index]][1]
        broken.save(path)
        with pytest.raises(DataError) as error:
            sun[index]
        one_line(error, str(path), reason)
    path = sun.frames[sun.ids[4]][1]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=path.name):
        sun[4]


def test_scenes_are_views_of_consecutive_seeds(monkeypatch):
    def view(seed, size):
        depth = np.full(size, float(seed), np.float32)
        depth[0] = np.inf
        return np.full((*size, 3), seed / 100, np.float32), depth

    module = types.ModuleType("bradcn_nb.scenes")
    module.view = view
    monkeypatch.setitem(sys.modules, "bradcn_nb.scenes", module)
    monkeypatch.setattr("bradcn_nb.scenes", module, raising=False)
    scenes = data.Scenes(3, 20, (4, 6))
    items = list(scenes)
    assert [item["id"] for item in items] == ["20", "21", "22"]
    assert items[1]["image"].shape == (3, 4, 6) and items[1]["image"].dtype == torch.float32
    assert items[2]["depth"].shape == (1, 4, 6) and float(items[2]["depth"].max()) == 22
    assert not items[0]["mask"][0, 0].any() and items[0]["mask"][0, 1:].all()
    assert float(items[0]["depth"][0, 0].abs().max()) == 0


def test_a_transform_moves_image_depth_and_mask_together(tmp_path):
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    make_sun(tmp_path, 1)
    frame = next(tmp_path.glob("kv1/NYUdata/*"))
    index = np.arange(24 * 32).reshape(24, 32)  # what picture and depth say where they came from
    rgb = np.stack([index % 256, index // 256, 0 * index], axis=2).astype(np.uint8)
    Image.fromarray(rgb).save(next(frame.glob("image/*")))
    depth = np.where(index % 7, (index + 500) / 1000, 0)
    Image.fromarray(data.encode_depth(depth)).save(next(frame.glob("depth_bfx/*")))

    def source(item):
        """Where each pixel of the item came from, by its picture; its depth and mask must agree."""
        red, green, _ = (item["image"] * 255).round().int()
        place = (red + 256 * green)[None]
        assert torch.equal(item["mask"], place % 7 > 0)
        known = torch.where(item["mask"], (place + 500) / 1000, 0)
        torch.testing.assert_close(torch.as_tensor(item["depth"]), known, atol=1e-5, rtol=0)
        return place[0]

    plain = data.SUNRGBD(tmp_path, "train", (1, 0))
    item = plain[0]
    assert isinstance(item["image"], tv_tensors.Image) and isinstance(item["id"], str)
    assert isinstance(item["depth"], tv_tensors.Mask) and isinstance(item["mask"], tv_tensors.Mask)
    torch.manual_seed(0)
    whole = source(item)
    assert torch.equal(source(v2.RandomHorizontalFlip(p=1)(item)), whole.flip(-1))
    assert source(v2.RandomCrop((10, 12))(item)).shape == (10, 12)
    turned = source(v2.RandomRotation((90, 90), expand=True)(item))
    assert torch.equal(turned, whole.rot90(1))
    seed = next(seed for seed in range(9) if data.flips(seed, 0, 0))
    flipped = data.SUNRGBD(tmp_path, "train", (1, 0), flip=True, seed=seed)[0]
    assert torch.equal(source(flipped), whole.flip(-1))
    halved = v2.Resize((12, 16))(item)
    assert set(halved["depth"].unique().tolist()) <= set(item["depth"].unique().tolist())


def test_items_make_batches(tmp_path):
    loader = torch.utils.data.DataLoader(
        data.SUNRGBD(make_sun(tmp_path), "train", (6, 0), size=(8, 12), flip=True), batch_size=4
    )
    batch = next(iter(loader))
    assert batch["image"].shape == (4, 3, 8, 12) and len(batch["id"]) == 4


def test_names_with_spaces_and_foreign_letters(tmp_path):
    root = make_ebb(tmp_path / "Fotos übers Jahr – 写真")
    assert len([*data.EBB(root)]) == 3
    sun = make_sun(tmp_path / "SUN RGB-D ü")
    (sun / "kv1/NYUdata/frame00").rename(sun / "kv1/NYUdata/größerer Raum 部屋")
    for folder in sun.glob("kv1/NYUdata/größerer*/*"):
        for path in folder.iterdir():
            path.rename(folder / f"bild 図 1{path.suffix}")
    frames = [*data.SUNRGBD(sun, "train", (6, 0))]
    assert "kv1/NYUdata/größerer Raum 部屋" in [frame["id"] for frame in frames]


@real_samples
def test_real_ebb_pairs():
    ebb = data.EBB(SAMPLES / "ebb", size=(64, 96))
    assert [item["id"] for item in ebb] == ["2977", "2978", "2979"]
    assert 0.01 < float((ebb[0]["image"] - ebb[0]["bokeh"]).abs().mean()) < 0.3


@real_samples
def test_real_sun_frame_decodes_to_its_range():
    depth, mask = data.read_depth(SAMPLES / "rgbd" / "sun_depth_rot3.png", clip_m=100)
    assert depth[mask].min() == pytest.approx(1.057) and depth.max() == pytest.approx(9.870)
    assert (depth[mask] > 8).mean() == pytest.approx(0.032, abs=0.001)

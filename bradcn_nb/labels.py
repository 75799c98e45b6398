"""Labels of the ADCN (Eq. 2): De = |Do - Dgt|, made once per depth net and kept as 16-bit PNGs.

A label is as good as the depth net is honest: SUN RGB-D reaches 8 m after clipping, while the depth
net stops at 1/0.1378 = 7.26 m, so a pixel at 8 m has a label of at least 0.74 m whatever the net
has learned (ledger: depth-floor).
"""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from bradcn_nb.data import SUNRGBD, FileDataset
from bradcn_nb.errors import DataError, WeightsError
from bradcn_nb.files import write_atomically

FORMAT = 1  # raise it when labels made before can no longer be used
QUANTUM_M = 0.001  # one grey level is 1 mm, so a label is exact to 0.5 mm
INVALID = 65535  # no ground truth here
MANIFEST = "manifest.json"


def weights_hash(source: str | Path | nn.Module) -> str:
    """sha256 that names weights: of a safetensors file's bytes, or of a net's state dict.

    A file and the net read from it have different hashes; compare like with like.
    Raises WeightsError if the file is missing.
    """
    if isinstance(source, nn.Module):
        digest = hashlib.sha256()
        for name, tensor in sorted(source.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
    try:
        with open(source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{source}: cannot be read ({error.strerror}); name a file") from None


def depth_error(
    predicted: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 2: De = |Do - Dgt| in metres, (N, 1, H, W), and its mask; De is 0 where `mask` is False.

    Source: Section III-C, Eq. 2. Raises ValueError if the shapes differ.
    """
    if not predicted.shape == truth.shape == mask.shape:
        raise ValueError(f"shapes {predicted.shape}, {truth.shape}, {mask.shape} differ")
    return torch.where(mask, (predicted - truth).abs(), 0), mask


def encode_label(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Metres (H, W) to the uint16 of a label file: millimetres, 65535 where `mask` is False."""
    mm = np.rint(error.astype(np.float64) / QUANTUM_M).clip(0, INVALID - 1)
    return np.where(mask, mm, INVALID).astype(np.uint16)


def decode_label(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `encode_label` to 0.5 mm: metres (H, W), float32, 0 if invalid; and the mask."""
    mask = raw != INVALID
    return np.where(mask, raw.astype(np.float32) * np.float32(QUANTUM_M), np.float32(0)), mask


def _manifest(dataset: SUNRGBD, weights: str) -> dict[str, Any]:
    """What labels depend on; two folders with one manifest hold interchangeable labels."""
    return {
        "format": FORMAT,
        "equation": "De = |Do - Dgt|",
        "unit_m": QUANTUM_M,
        "invalid": INVALID,
        "depth_net_sha256": weights,
        "size": list(dataset.size or ()),
        "depth_kind": dataset.kind,
        "clip_m": dataset.clip_m,
        "data_sha256": dataset.fingerprint(),
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; make the labels with `python -m bradcn_nb labels`"
        ) from None
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path}: not a manifest; delete {folder} and make the labels again")
    return found


def _compare(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if found.get(key) != value:
            raise DataError(
                f"{folder / MANIFEST}: labels were made with {key} = {found.get(key)!r}, not "
                f"{value!r}; make them again in another folder or delete this one"
            )


def _read_label(path: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            raw = np.array(picture)
            mode = picture.mode
    except (OSError, ValueError, SyntaxError) as error:
        what = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise DataError(
            f"{path}: label is {what}; run `python -m bradcn_nb labels` again to make it"
        ) from None
    if mode not in ("I;16", "I;16B", "I") or raw.shape != tuple(size):
        raise DataError(f"{path}: not a 16-bit label of {size[1]}x{size[0]}; delete it and resume")
    return raw.astype(np.uint16)


def _is_made(path: Path, size: tuple[int, int]) -> bool:
    """Whether a label of an earlier run can stay; a damaged one is made again."""
    try:
        _read_label(path, size)
    except DataError:
        return False
    return True


@torch.no_grad()
def make_labels(
    depth_net: nn.Module,
    dataset: SUNRGBD,
    out_dir: str | Path,
    weights_hash: str,
    batch: int = 8,
    progress: bool = True,
) -> Path:
    """Write Eq. 2's label of every frame of `dataset` at its training size; return `out_dir`.

    `depth_net` maps (N, 3, H, W) in [0, 1] to metres (N, 1, H, W). A label is `<frame id>.png`,
    16 bit, millimetres, 65535 = no ground truth. `manifest.json` ties the folder to `weights_hash`
    (see `weights_hash()`), size and data. A killed run leaves whole labels only; started again it
    keeps them and ends with the same bytes as an uninterrupted one. Frames are never mirrored.
    Source: Section III-C, Eq. 2. Raises DataError if the folder holds labels of something else, a
    frame is damaged, or the net's depth is not finite.
    """
    out_dir = Path(out_dir)
    if dataset.size is None:
        raise DataError(f"{dataset.root}: labels need one size; give the data set a size")
    wanted = _manifest(dataset, weights_hash)
    for pattern in (f".{MANIFEST}.*.tmp", ".*.png.*.tmp"):
        for leftover in out_dir.rglob(pattern):  # of a killed run
            leftover.unlink()
    if (out_dir / MANIFEST).exists():
        _compare(out_dir, _read_manifest(out_dir), wanted)
    elif out_dir.is_dir() and any(out_dir.iterdir()):
        raise DataError(f"{out_dir}: not empty and without {MANIFEST}; choose an empty folder")
    else:
        text = json.dumps(wanted, indent=2) + "\n"
        write_atomically(out_dir / MANIFEST, text.encode())
    device = next(depth_net.parameters(), torch.empty(0)).device
    was_training = depth_net.training
    depth_net.eval()
    try:
        with tqdm(total=len(dataset), desc="labels", unit="frame", disable=not progress) as bar:
            # Whole groups, finished members included: a net's last bits depend on its batch.
            for first in range(0, len(dataset), batch):
                members = range(first, min(first + batch, len(dataset)))
                paths = [out_dir / f"{dataset.ids[i]}.png" for i in members]
                if not all(_is_made(path, dataset.size) for path in paths):
                    _label_group(depth_net, [dataset.load(i) for i in members], paths, device)
                bar.update(len(members))
    finally:
        depth_net.train(was_training)
    return out_dir


def _label_group(
    depth_net: nn.Module, items: list[dict[str, Any]], paths: list[Path], device: torch.device
) -> None:
    image, truth, mask = (
        torch.stack([item[key] for item in items]).to(device) for key in ("image", "depth", "mask")
    )
    error, mask = depth_error(depth_net(image).float(), truth, mask)
    for item, path, e, m in zip(items, paths, error.cpu().numpy(), mask.cpu().numpy(), strict=True):
        if not np.isfinite(e).all():
            raise DataError(f"{item['id']}: the depth net gives NaN or infinity; train it again")
        label = BytesIO()
        Image.fromarray(encode_label(e[0], m[0])).save(label, format="PNG")
        write_atomically(path, label.getvalue())


class LabelSet(FileDataset):
    """Stage 1's data: dict(image (3, H, W) in [0, 1], error (1, H, W) m, mask (1, H, W), id).

    Pictures come from `sun_dataset` (never mirrored there), labels from `label_dir`; kept in memory
    if `sun_dataset` is. With `weights_hash` only labels of that depth net are accepted. `flip` and
    `seed`: see `FileDataset`. Source: Section III-C, Eq. 2. Raises DataError if labels are missing,
    damaged, or made from other weights, other data or at another size.
    """

    def __init__(
        self,
        sun_dataset: SUNRGBD,
        label_dir: str | Path,
        weights_hash: str | None = None,
        *,
        flip: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(flip, seed, cache=sun_dataset.cached)
        self.sun, self.folder = sun_dataset, Path(label_dir)
        found = _read_manifest(self.folder)
        given = weights_hash or str(found.get("depth_net_sha256"))
        _compare(self.folder, found, _manifest(sun_dataset, given))
        absent = [i for i in sun_dataset.ids if not self._path(i).is_file()]
        if absent:
            raise DataError(
                f"{self.folder}: {len(absent)} of {len(sun_dataset)} labels are missing, the first "
                f"is {absent[0]}.png; run `python -m bradcn_nb labels` again to finish"
            )

    def _path(self, frame: str) -> Path:
        return self.folder / f"{frame}.png"

    def __len__(self) -> int:
        return len(self.sun)

    def read(self, index: int) -> dict[str, Any]:
        frame = self.sun.read(index)
        error, mask = decode_label(_read_label(self._path(frame["id"]), self.sun.size))
        return {
            "image": frame["image"],
            "error": error[None],
            "mask": mask[None],
            "id": frame["id"],
        }

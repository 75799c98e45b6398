"""Labels of the ADCN (Eq. 2): De = |Do - Dgt|, made once per depth net and kept as 16-bit PNGs.

A label is as good as the depth net is honest: SUN RGB-D reaches 8 m after clipping, while the depth
net stops at 1/0.1378 = 7.26 m, so a pixel at 8 m has a label of at least 0.74 m whatever the net
has learned (ledger: depth-floor).
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import nn
from tqdm import tqdm

from bradcn_nb import __version__
from bradcn_nb.data import SUNRGBD, FileDataset
from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.models.depth_error import depth_error, predict_depth
from bradcn_nb.training.devices import processes
from bradcn_nb.training.label_files import (
    WEIGHTS,
    compare,
    decode_label,
    is_made,
    label_path,
    manifest,
    open_folder,
    read_label,
    read_manifest,
    write_label,
)

AHEAD = 2  # groups that are read before the net asks for them, and that may wait to be written
THREADS = 4  # that read, encode and write while the net computes


@torch.inference_mode()
def make_labels(
    depth_net: nn.Module,
    dataset: SUNRGBD,
    out_dir: str | Path,
    weights_hash: str,
    batch: int = 8,
    progress: bool = True,
    weights_name: str | None = None,
) -> Path:
    """Write Eq. 2's label of every frame of `dataset` at the data set's size; return `out_dir`.

    * `depth_net`: maps (N, 3, H, W) in [0, 1] to metres (N, 1, H, W);
    * `dataset`: frames, never mirrored; at native size (`dataset.size` None) those of one size
      share a batch: see `predict_depth`;
    * `out_dir`: a label is `<frame id>.png`, 16 bit, millimetres, 65535 = no ground truth;
      `manifest.json` ties the folder to weights, size and data;
    * `weights_hash`, `weights_name`: of the net's file, as `models.weights.weights_hash` names it;
    * `batch`: frames; another one may move a label by rounding, one grey level;
    * `progress`: whether to show a bar.

    A killed run leaves whole labels only; started again it keeps them and ends with the bytes of an
    uninterrupted one. Several processes share the work and end with those bytes, too: which frames
    meet in a batch depends on the frames' names and `batch` alone.

    Source: Section III-C, Eq. 2. Raises DataError if the folder holds labels of something else or
    cannot be written, a frame is damaged, the net's depth is not finite, or another process ends;
    BradcnError for a relative depth net (ledger: depth-kind).
    """
    if getattr(getattr(depth_net, "cfg", None), "depth_kind", "metric") != "metric":
        raise BradcnError(
            "labels are metres, and a relative (MiDaS) depth net knows none; use metric weights"
        )
    out_dir, state = Path(out_dir), processes()
    made_by = {
        "bradcn_nb": __version__,
        "torch": torch.__version__,
        "device": _device(depth_net).type,
        "batch": batch,
        "depth_net": weights_name,
    }
    problem = None
    if state.is_main_process:
        try:
            open_folder(out_dir, manifest(dataset, weights_hash), made_by)
        except BradcnError as error:
            problem = error
    _agree(problem)
    was_training = depth_net.training
    depth_net.eval()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            _work(depth_net, dataset, out_dir, batch, progress and state.is_main_process, pool)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{out_dir}: stopped; finished labels are kept, the same command goes on"
        ) from None
    finally:
        depth_net.train(was_training)
    return out_dir


def _work(
    depth_net: nn.Module,
    dataset: SUNRGBD,
    out_dir: Path,
    batch: int,
    progress: bool,
    pool: ThreadPoolExecutor,
) -> None:
    """Make what is missing, this process's share of it; all processes do a group each, in step."""
    count, rank = processes().num_processes, processes().process_index
    paths = [label_path(out_dir, frame) for frame in dataset.ids]
    # Neighbours by name, so mostly of one sensor, meet in a batch.
    order = sorted(range(len(dataset)), key=dataset.ids.__getitem__)
    groups = [order[i : i + batch] for i in range(0, len(order), batch)]

    def is_finished(k: int) -> bool:
        return all(is_made(paths[i], dataset.size) for i in groups[k])

    # Whole groups, finished members included: a net's last bits depend on its batch.
    share = range(rank, len(groups), count)
    finished = pool.map(is_finished, share)
    unfinished = [k for k, done in zip(share, finished, strict=True) if not done]
    todo = [groups[k] for k in sorted(_gather(unfinished))]
    mine = todo[rank::count]
    reading = _ahead(pool, lambda group: [dataset.load(i) for i in group], mine)
    writing: deque[Future] = deque()
    done = len(dataset) - sum(map(len, todo))
    with tqdm(
        total=len(dataset), initial=done, desc="labels", unit="frame", disable=not progress
    ) as bar:
        for turn in range(math.ceil(len(todo) / count) + 1):  # the last one only waits for files
            problem = None
            try:
                for group in _same_size(next(reading, [])):
                    for frame, error, mask in _label(depth_net, group):
                        path = label_path(out_dir, frame)
                        writing.append(pool.submit(write_label, path, error, mask))
                waiting = AHEAD * batch if turn < len(mine) else 0
                while len(writing) > waiting:
                    writing.popleft().result()
            except (BradcnError, OSError) as error:
                problem = error
            _agree(problem)
            bar.update(sum(map(len, todo[turn * count : (turn + 1) * count])))


def _ahead(pool: ThreadPoolExecutor, function: Callable, items: Iterable) -> Iterator[Any]:
    """Yield `function` of each item in order; threads compute the next `AHEAD` meanwhile."""
    waiting: deque[Future] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _same_size(items: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    groups = defaultdict(list)
    for item in items:
        groups[item["image"].shape].append(item)
    return groups.values()


def _device(net: nn.Module) -> torch.device:
    return next(net.parameters(), torch.empty(0)).device


def _label(depth_net: nn.Module, items: list[dict[str, Any]]) -> list[tuple]:
    """Eq. 2 for frames of one size: (id, error (H, W) in metres, mask (H, W)) of each."""
    image, truth, mask = (
        torch.stack([item[key] for item in items]).to(_device(depth_net))
        for key in ("image", "depth", "mask")
    )
    predicted = predict_depth(depth_net, image)
    for item, sound in zip(items, predicted.isfinite().flatten(1).all(1).tolist(), strict=True):
        if not sound:
            raise DataError(f"{item['id']}: the depth net gives NaN or infinity; train it again")
    error, mask = (x[:, 0].cpu().numpy() for x in depth_error(predicted, truth, mask))
    return list(zip((item["id"] for item in items), error, mask, strict=True))


def _gather(values: list) -> list:
    """The values of all processes; raises DataError when one of them is gone."""
    try:
        return list(gather_object(values))
    except RuntimeError:
        raise DataError(
            "another process ended early; finished labels are kept, the same command goes on"
        ) from None


def _agree(problem: Exception | None) -> None:
    """Let all processes fail with the first problem of any: then no one waits for another."""
    problems = _gather([str(problem)] if problem else [])
    if problem:
        raise problem
    if problems:
        raise DataError(problems[0])


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
        made_from = read_manifest(self.folder)
        given = weights_hash or str(made_from.get(WEIGHTS))
        compare(self.folder, made_from, manifest(sun_dataset, given))
        absent = [i for i in sun_dataset.ids if not label_path(self.folder, i).is_file()]
        if absent:
            raise DataError(
                f"{self.folder}: {len(absent)} of {len(sun_dataset)} labels are missing, the first "
                f"is {absent[0]}.png; run `python -m bradcn_nb labels` again to finish"
            )

    def __len__(self) -> int:
        return len(self.sun)

    def read(self, index: int) -> dict[str, Any]:
        frame = self.sun.read(index)
        image, name = frame["image"], frame["id"]
        error, mask = decode_label(read_label(label_path(self.folder, name), image.shape[:2]))
        return {"image": image, "error": error[None], "mask": mask[None], "id": name}

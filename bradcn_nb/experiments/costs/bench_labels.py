"""What labels cost beyond the net that makes them: `python -m bradcn_nb bench labels`.

Three programs take turns on the same frames: `labels` makes them, files and all; `forward` is the
bare net on the same batches, in memory already; `files` reads every frame and writes every label,
one after the other and without a net: what would come on top if nothing overlapped. Beside the
clock's seconds stand the processor's, of all threads: on a busy machine they are the ones to
believe.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from torch import nn

from bradcn_nb.data import SUN_SENSORS, SUNRGBD, encode_depth, resize_nearest, resize_picture
from bradcn_nb.experiments.costs.bench_report import ratio
from bradcn_nb.experiments.costs.turns import take_turns
from bradcn_nb.files import data_root
from bradcn_nb.models import DepthNet
from bradcn_nb.models.depth_error import depth_error
from bradcn_nb.models.inference import for_inference
from bradcn_nb.presets import preset
from bradcn_nb.training.label_files import label_path, write_label
from bradcn_nb.training.labels import make_labels

SUN_SIZES = ((480, 640), (530, 730), (531, 681), (480, 640))  # of SUN_SENSORS, in their order
MINI_FRAMES = 64
WEIGHTS = "0" * 64  # random ones, which nobody trains on


def measure(results: dict[str, Any], repeats: int, quick: bool, progress: bool) -> None:
    """Fill results["labels"] as the rounds go: seconds of each program, ratios, text.

    At mini's size on mini-SUN, in batches of 8; then, unless `quick`, the full-size net at 768x512,
    one frame after the other, on four frames of mini-SUN enlarged to the sensors' own sizes.
    """
    record = results["labels"] = {"sizes": {}, "text": []}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        mini = data_root() / "mini-sun"
        _contest(record, "mini", _frames(mini, "mini", 8 if quick else MINI_FRAMES), 8, work,
                 repeats, progress)  # fmt: skip
        if not quick:
            large = _enlarged(SUNRGBD(mini, "train", (len(SUN_SIZES), 1)), work / "sun")
            _contest(record, "paper", _frames(large, "paper", 3), 1, work, repeats, progress)


def _frames(root: Path, preset_name: str, count: int) -> SUNRGBD:
    return SUNRGBD(root, "train", (count, 1), size=preset(preset_name).data.train_size)


def _enlarged(frames: SUNRGBD, root: Path) -> Path:
    """Write a frame for each sensor at the size that its files have in SUN RGB-D."""
    for i, (sensor, size) in enumerate(zip(SUN_SENSORS, SUN_SIZES, strict=True)):
        frame, where = frames.read(i), root / sensor / "frame"
        for kind in ("image", "depth_bfx"):
            (where / kind).mkdir(parents=True)
        picture = resize_picture(frame["image"], size)
        Image.fromarray(picture).save(where / "image" / "0.jpg", quality=92)
        depth = encode_depth(resize_nearest(frame["depth"][0], size))
        Image.fromarray(depth).save(where / "depth_bfx" / "0.png")
    return root


def _contest(
    record: dict[str, Any],
    name: str,
    frames: SUNRGBD,
    batch: int,
    work: Path,
    repeats: int,
    progress: bool,
) -> None:
    torch.manual_seed(0)
    net = for_inference(DepthNet(preset(name).model))
    programs = _programs(net, frames, batch, work / name)
    for program in programs.values():
        program()  # warms up
    seconds, cpu = ({program: [] for program in programs} for _ in range(2))
    timed = {key: partial(_on_the_cpu, program, cpu[key]) for key, program in programs.items()}
    size = {
        "frames": len(frames),
        "batch": batch,
        "size": list(frames.size),
        "seconds": seconds,
        "cpu_seconds": cpu,
    }
    record["sizes"][name] = size
    try:
        take_turns(timed, repeats, seconds, title=f"labels, {name}", progress=progress)
    finally:  # an interruption keeps the rounds before
        if all(seconds.values()):
            _finish(name, size)
            record["text"] = [line for told in record["sizes"].values() for line in told["text"]]


def _programs(
    net: nn.Module, frames: SUNRGBD, batch: int, folder: Path
) -> dict[str, Callable[[], object]]:
    order = sorted(range(len(frames)), key=frames.ids.__getitem__)  # as `make_labels` groups them
    items = [frames.load(i) for i in order]
    images = torch.stack([item["image"] for item in items]).split(batch)
    known = [
        depth_error(torch.full_like(item["depth"], 3.0), item["depth"], item["mask"])
        for item in items
    ]
    arrays = [(error[0].numpy(), mask[0].numpy()) for error, mask in known]

    @torch.inference_mode()
    def forward() -> None:
        for image in images:
            net(image)

    def files() -> None:
        for i, (error, mask) in zip(order, arrays, strict=True):
            write_label(label_path(folder, frames.load(i)["id"]), error, mask)

    make = partial(make_labels, net, frames, folder, WEIGHTS, batch, progress=False)
    return {
        "labels": partial(_afresh, make, folder),
        "forward": forward,
        "files": partial(_afresh, files, folder),
    }


def _on_the_cpu(program: Callable[[], object], seconds: list[float]) -> None:
    start = time.process_time()
    program()
    seconds.append(time.process_time() - start)


def _afresh(program: Callable[[], object], folder: Path) -> None:
    shutil.rmtree(
        folder, ignore_errors=True
    )  # some milliseconds, counted in favour of the bare net
    program()


def _finish(name: str, size: dict[str, Any]) -> None:
    """Add medians per frame, the ratios of the rounds, and the text to what was measured."""
    (height, width), frames = size["size"], size["frames"]
    size["text"] = [f"{name}: {frames} frames of {width}x{height} in batches of {size['batch']}"]
    for clock in ("seconds", "cpu_seconds"):
        runs = size[clock]
        middle = {key: median(times) / frames for key, times in runs.items()}
        told = ratio(runs["labels"], runs["forward"])
        serial = ratio(runs["files"], runs["forward"])["median"]
        size |= {f"{clock}_a_frame": middle, f"{clock}_ratio": told, f"{clock}_serial": serial}
        low, high = (quartile - 1 for quartile in told["quartiles"])
        each = ", ".join(f"{key} {1000 * value:.1f}" for key, value in middle.items())
        size["text"] += [
            f"  {clock.replace('_', ' ')}: {each} ms a frame, medians of {told['rounds']} "
            "rounds in turns",
            f"    overhead of labels over the bare forward pass {told['median'] - 1:+.1%} "
            f"(quartiles {low:+.1%} to {high:+.1%}), without overlap {serial:+.1%}",
        ]

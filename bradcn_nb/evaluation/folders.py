"""Judging folders of pictures: any method's output against the truth, resumable, every problem
named.

A measured value is kept in a cache under the hashes of both files and the words that describe the
metric. So a stopped run goes on where it was, and a changed file is measured again.
"""

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage

from bradcn_nb.errors import DataError
from bradcn_nb.evaluation.folder_files import ScoreCache, find_pictures, find_truths, measure_all
from bradcn_nb.evaluation.intervals import mean_interval, paired_interval
from bradcn_nb.evaluation.lpips import lpips_net
from bradcn_nb.evaluation.metrics import Protocol
from bradcn_nb.files import write_atomically

SIZES = ("height", "width", "pred_height", "pred_width")


@dataclass
class Scores:
    """What the pictures of one folder are worth, and what was wrong with the folder.

    `images` maps each stem to its values: the protocol's metrics, and the sizes in pixels of truth
    and prediction. The lists hold stems, `unreadable` whole messages, `ignored` names of files.
    """

    images: dict[str, dict[str, float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # truths without a prediction
    extra: list[str] = field(default_factory=list)  # predictions without a truth
    unreadable: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)  # not of their truth's size
    ignored: list[str] = field(default_factory=list)  # files of other kinds

    def problems(self) -> list[str]:
        """One line for each kind of problem, with the first names."""
        refusals = [
            (self.missing, "without a prediction"),
            (self.extra, "predictions without a true picture"),
            (self.resized, "predictions not of their truth's size, which were resized"),
        ]
        lines = [f"{len(names)} {text}: {first_few(names)}" for names, text in refusals if names]
        return lines + self.unreadable


def first_few(names: list[str], count: int = 5) -> str:
    """The first names of a list, and how many there are if that is not all."""
    return ", ".join(names[:count]) + (f", ... ({len(names)} in all)" if names[count:] else "")


def score(
    pred: str | Path,
    truth: str | Path,
    protocol: Protocol,
    cache: ScoreCache,
    *,
    strict: bool = False,
    workers: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Scores:
    """Judge the pictures of `pred` against those of `truth`, matched by stem.

    8 and 16 bits, any EXIF orientation; a prediction of another size is brought to its truth's by
    `val294`. A truth of 16 bits is rounded to 8. `workers` processes share the work (None: one a
    core, one alone beside a GPU); LPIPS runs on `device`; values already in `cache` are not
    measured again. `strict` turns every problem into a DataError. Raises DataError as the finders
    do and if no pair is left, WeightsError without LPIPS weights, RunError if a process dies,
    KeyboardInterrupt with what was kept.
    """
    truths, (predictions, ignored) = find_truths(Path(truth)), find_pictures(Path(pred))
    scores = Scores(
        missing=sorted(truths.keys() - predictions.keys()),
        extra=sorted(predictions.keys() - truths.keys()),
        ignored=ignored,
    )
    if strict:
        _refuse(pred, scores)
    words = _words(protocol)
    keys: dict[str, dict[str, str]] = {}
    open_jobs = {}
    for stem in sorted(truths.keys() & predictions.keys(), key=_by_number):
        pair = truths[stem], predictions[stem]
        try:
            hashes = " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in pair)
        except OSError as error:
            scores.unreadable.append(f"{pair[0]} or {pair[1]}: cannot be read ({error.strerror})")
            continue
        keys[stem] = {m: hashlib.sha256(f"{w} {hashes}".encode()).hexdigest() for m, w in words}
        if not all(key in cache.values for key in keys[stem].values()):
            open_jobs[stem] = pair
    kept = len(keys) - len(open_jobs)
    try:
        for stem, result in measure_all(open_jobs, protocol, workers, device, progress):
            if isinstance(result, str):
                scores.unreadable.append(result)
            else:
                cache.add({keys[stem][name]: value for name, value in result.items()})
                kept += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; {kept} of {len(keys)} pairs are kept, the same command goes on from there"
        ) from None
    for stem, wanted in keys.items():
        if all(key in cache.values for key in wanted.values()):
            entry = {name: cache.values[key] for name, key in wanted.items()}
            sizes = dict(zip(SIZES, entry["size"], strict=True))
            scores.images[stem] = {m: entry[m] for m in protocol.metrics} | sizes
            if entry["size"][:2] != entry["size"][2:]:
                scores.resized.append(stem)
    if strict:
        _refuse(pred, scores)
    if not scores.images:
        raise DataError(f"{pred}: no picture fits {truth}; {'; '.join(scores.problems())}")
    return scores


def summarise(scores: Scores, protocol: Protocol, seed: int = 0) -> dict[str, Any]:
    """Plain JSON of a folder's scores: means with 95 % intervals, problems, every picture's
    values."""
    means = {}
    for metric in protocol.metrics:
        values = [values[metric] for values in scores.images.values()]
        means[metric] = mean_interval(values, seed)._asdict()
    return {"n": len(scores.images), **means, **asdict(scores)}


def compare(a: Scores, b: Scores, protocol: Protocol, seed: int = 0) -> dict[str, Any]:
    """Plain JSON of the paired differences a - b over the pictures that both have.

    Per metric the mean difference with its bootstrap 95 % interval, and for how many pictures `a`
    is the better one. Raises DataError if they share no picture.
    """
    shared = [stem for stem in a.images if stem in b.images]
    if not shared:
        raise DataError("the two folders share no picture that could be compared")
    summary: dict[str, Any] = {"n": len(shared)}
    for metric in protocol.metrics:
        left, right = (np.array([s.images[stem][metric] for stem in shared]) for s in (a, b))
        better = left < right if metric == "lpips" else left > right
        summary[metric] = {
            **paired_interval(left, right, seed)._asdict(),
            "better": int(better.sum()),
        }
    return summary


def write_scores(stem: Path, result: dict[str, Any], metrics: tuple[str, ...]) -> list[Path]:
    """Write `stem`.json (all of `result`) and `stem`.csv (one line a picture); return both paths.

    Raises OSError if they cannot be written; each file is whole or as it was.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", *metrics, *SIZES])
    for name, values in result["images"].items():
        writer.writerow([name, *(values[column] for column in (*metrics, *SIZES))])
    paths = [stem.with_name(stem.name + end) for end in (".json", ".csv")]
    write_atomically(paths[0], (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
    write_atomically(paths[1], table.getvalue().encode())
    return paths


def _by_number(stem: str) -> tuple[int, str]:
    return (int(stem) if stem.isdecimal() else -1, stem)


def _refuse(pred: str | Path, scores: Scores) -> None:
    problems = scores.problems()
    if problems:
        raise DataError(f"{pred}: {'; '.join(problems)} (--strict)")


def _words(protocol: Protocol) -> list[tuple[str, str]]:
    """(metric, words that tell its definition from every other), for the keys of the cache."""
    words = {name: f"{name}: {text}" for name, text in protocol.describe().items()}
    words["ssim"] += f", scikit-image {skimage.__version__}"
    if protocol.backbone:
        words["lpips"] += f", {lpips_net(protocol.backbone).digest}"
    return [*words.items(), ("size", "size")]

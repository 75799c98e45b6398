"""What a training run has done so far: its curves as a picture, its state as a few lines of text.

Reads what the training loop writes, also while it writes: `log.csv` in a folder a stage, or logs
that were kept as `STAGE.csv.gz`. Columns are found by name (step, epoch, loss, lr, check); others
are ignored. Nothing of the run is changed.
"""

import csv
import gzip
import json
import re
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from bradcn_nb.errors import RunError
from bradcn_nb.figures.plots import COLOURS, STYLE
from bradcn_nb.files import write_atomically
from bradcn_nb.presets import PRESETS

NEEDED = ("step", "epoch", "loss")
CURVES = "curves.png"
WINDOWS = 50  # a smoothed curve has room for this many means side by side
MAPS = {"adcn": "error, m", "depth": "error, 1/m"}  # nets that draw no picture, and their check
ASIDE = re.compile(r"-old-\d+$")  # an earlier run that --fresh moved out of the way


@dataclass(frozen=True)
class StageLog:
    """One stage's log: what its rows say, and what the files beside it say of the stage."""

    name: str
    columns: dict[str, np.ndarray]  # float64, one value a row; NaN where a cell is empty
    cut: bool  # the last row was half-written and is left out
    planned: int | None = None  # steps of the whole stage
    finished: bool = False
    net: str | None = None  # which net it trains, where that is known
    seconds: float | None = None  # between its first and its last file, pauses included

    @property
    def rows(self) -> int:
        """How many whole rows there are."""
        return len(self.columns["step"])

    @property
    def checks(self) -> np.ndarray:
        """(n, 2): step and score of every check so far."""
        scores = self.columns.get("check", np.full(self.rows, np.nan))
        known = np.isfinite(scores)
        return np.stack((self.columns["step"][known], scores[known]), axis=1)

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and score of the best check: highest PSNR of pictures, else smallest error."""
        if not len(self.checks) or self.net is None:
            return None
        scores = self.checks[:, 1]
        index = scores.argmin() if self.net in MAPS else scores.argmax()
        return int(self.checks[index, 0]), float(scores[index])

    @property
    def unit(self) -> str:
        """What the check is measured in."""
        return MAPS.get(self.net, "PSNR, dB") if self.net else ""


def read_run(folder: Path) -> list[StageLog]:
    """Return the logs of a run directory, of one stage's folder, or of a folder of STAGE.csv(.gz).

    Raises RunError when the folder holds no log, or a log that is damaged before its last row.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; name a run directory, as `train --run` makes it")
    files = {path.parent.name: path for path in sorted(folder.glob("*/log.csv"))}
    if not files and (folder / "log.csv").is_file():
        files = {folder.resolve().name: folder / "log.csv"}
    if not files:
        kept = sorted((*folder.glob("*.csv"), *folder.glob("*.csv.gz")))
        files = {path.name.partition(".")[0]: path for path in kept}
    files = {name: path for name, path in files.items() if not ASIDE.search(name)}
    if not files:
        raise RunError(
            f"{folder}: no run: neither STAGE/log.csv nor STAGE.csv.gz; name the folder that "
            "`train --run` was given"
        )
    return [_stage(name, path) for name, path in files.items()]


def read_log(path: Path) -> tuple[dict[str, np.ndarray], bool]:
    """Return a log's columns, and whether a half-written last row was left out.

    A row counts as whole when its line has ended. Raises RunError for a missing column and for a
    damaged row in any other place.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise RunError(
            f"{path}: cannot be read ({type(error).__name__}); restore the log"
        ) from None
    whole, _, rest = text.rpartition("\n")
    lines = list(csv.reader(whole.splitlines()))
    header = lines[0] if lines else []
    if missing := [name for name in NEEDED if name not in header]:
        raise RunError(f"{path}: no column {', '.join(missing)}; it is no log of a training")
    cut, rows = bool(rest), []
    for number, line in enumerate(lines[1:], 2):
        try:
            rows.append([_number(cell) for cell in line])
            if len(line) != len(header):
                raise ValueError
        except ValueError:
            if number < len(lines):
                raise RunError(f"{path}: line {number} is damaged; restore the log") from None
            # A power cut may leave a line end behind zeros.
            rows, cut = rows[: number - 2], True
    table = np.array(rows, float).reshape(len(rows), len(header))
    return dict(zip(header, table.T, strict=True)), cut


def _number(cell: str) -> float:
    return float(cell) if cell else np.nan


def _stage(name: str, path: Path) -> StageLog:
    columns, cut = read_log(path)
    config, done = (_read(path.with_name(file)) for file in ("config.json", "done.json"))
    stages = {stage.name: stage.net for known in PRESETS.values() for stage in known.stages}
    try:
        stages |= {stage["name"]: stage["net"] for stage in config["preset"]["stages"]}
    except (KeyError, TypeError):
        pass  # a log alone, or settings of another version: then the presets' own stages
    seconds = None
    if config:
        last = path.with_name("done.json") if done else path
        seconds = max(0.0, last.stat().st_mtime - path.with_name("config.json").stat().st_mtime)
    return StageLog(
        name,
        columns,
        cut,
        planned=config.get("steps"),
        finished=bool(done) and done.get("steps") == config.get("steps"),  # else a trial
        net=stages.get(name),
        seconds=seconds,
    )


def _read(path: Path) -> dict:
    """The JSON object in a file that may be missing: a report does without it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Return the mean over `window` values around each of `values` (n,), over fewer at the ends.

    Values that are not finite do not count; where none is finite the mean is NaN.
    """
    finite = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    first = np.clip(np.arange(len(values)) - (window - 1) // 2, 0, None)
    last = np.clip(np.arange(len(values)) + window // 2 + 1, None, len(values))
    number = counts[last] - counts[first]
    return np.where(number > 0, (sums[last] - sums[first]) / np.maximum(number, 1), np.nan)


def window_of(log: StageLog) -> int:
    """Return how many steps a smoothed point averages: a fiftieth of all, but at least one."""
    return max(1, log.rows // WINDOWS)


def curves_of(logs: list[StageLog]) -> Figure:
    """Return a figure, a row a stage: loss (raw faint, smoothed strong), check, learning rate."""
    with rc_context(STYLE):
        figure = Figure(figsize=(10, 2.3 * len(logs) + 0.3), layout="constrained")
        grid = figure.subplots(len(logs), 3, squeeze=False)
        for axes, log, number in zip(grid, logs, range(len(logs)), strict=True):
            _plot_stage(axes, log, COLOURS[number % len(COLOURS)])
        for axis in grid[-1]:
            axis.set_xlabel("step")
    return figure


def _plot_stage(axes, log: StageLog, colour: str) -> None:
    step, loss, window = log.columns["step"], log.columns["loss"], window_of(log)
    raw, check, rate = axes
    if not log.rows:
        raw.set_title(f"{log.name}: no step yet")
        for axis in axes:
            axis.axis("off")
        return
    raw.plot(step, loss, color=colour, alpha=0.3, linewidth=0.6, marker=_mark(log.rows))
    raw.plot(step, smoothed(loss, window), color=colour)
    finite = loss[np.isfinite(loss)]
    if len(finite):  # a few wild steps must not flatten the rest
        raw.set_ylim(0, max(np.quantile(finite, 0.995) * 1.1, 1e-12))
    means = f", mean of {window} steps" if window > 1 else ""
    raw.set_title(f"{log.name}: loss{means}")
    check.set_title(f"check{log.unit and ': ' + log.unit}")
    if len(log.checks):
        check.plot(*log.checks.T, color=colour, marker=_mark(len(log.checks)))
    else:
        check.text(0.5, 0.5, "no check yet", ha="center", va="center", transform=check.transAxes)
        check.set_yticks([])
    if log.best:
        spot = {"marker": "o", "markerfacecolor": "white", "markersize": 7, "linestyle": ""}
        check.plot(*log.best, color=colour, label="best", **spot)
        check.legend()
    rate.set_title("learning rate")
    if "lr" in log.columns:
        rate.plot(step, log.columns["lr"], color=colour, marker=_mark(log.rows))
        rate.set_ylim(bottom=0)
        rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axis in axes:  # equal steps stand below each other
        axis.set_xlim(0, step[-1] * 1.02)
        axis.xaxis.get_major_locator().set_params(integer=True)


def _mark(points: int) -> str:
    """A line needs two points, and reads badly with few: then each gets a dot."""
    return "." if points < 40 else ""


def as_text(folder: Path, logs: list[StageLog]) -> str:
    """Return what has been reached, a line a stage."""
    finished = sum(log.finished for log in logs)
    lines = [f"{folder}: {len(logs)} stage{'s' * (len(logs) != 1)} begun, {finished} finished"]
    for log in logs:
        lines += ["", f"{log.name}: {_state(log)}"]
        if log.rows:
            mean = smoothed(log.columns["loss"], window_of(log))
            lines.append(f"  loss   {mean[0]:.4g} at first, {mean[-1]:.4g} at last")
            if "lr" in log.columns:
                lines[-1] += f"; learning rate {log.columns['lr'][-1]:.3g}"
        if len(log.checks):
            step, score = log.checks[-1]
            lines.append(f"  check  {score:.4g} at last, step {int(step):,}")
            if log.best:
                lines[-1] += f"; best {log.best[1]:.4g}, step {log.best[0]:,} ({log.unit})"
        if log.seconds is not None:
            lines.append(
                f"  time   {_duration(log.seconds)} from its first file to its last, pauses "
                "included"
            )
        if log.cut:
            lines.append(
                "  the last row is half-written and left out: the run goes on, or was killed"
            )
    return "\n".join(lines)


def _state(log: StageLog) -> str:
    if not log.rows:
        return "begun, no step logged yet"
    step, epoch = int(log.columns["step"][-1]), int(log.columns["epoch"][-1])
    of = f" of {log.planned:,}" if log.planned else ""
    return f"{'finished, ' if log.finished else ''}step {step:,}{of}, epoch {epoch}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def write_report(folder: Path, out: Path | None = None) -> tuple[str, Path]:
    """Plot a run's curves to `out`/curves.png (default: `folder`/report); return text and file.

    Raises RunError as `read_run` does, OSError where `out` cannot be written.
    """
    logs = read_run(folder)
    picture, path = BytesIO(), (out or folder / "report") / CURVES
    curves_of(logs).savefig(picture, format="png", dpi=130)
    write_atomically(path, picture.getvalue())
    return as_text(folder, logs), path

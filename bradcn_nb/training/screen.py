"""What a person sees of a stage: a bar in a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Self, TextIO

from tqdm import tqdm

LINE_SECONDS = 30.0  # between two lines in a log file
LINE_WIDTH = 100
KEEP = 0.98  # of the shown loss from step to step: about the last 50 count
KEEP_SPEED = 0.8  # of the shown speed from report to report

BAR = "{desc} {percentage:3.0f}%|{bar}|{remaining} left{postfix}"  # 80 columns hold all of it
LINE = "{desc} {percentage:3.0f}% {remaining} left{postfix}"


class Lines:
    """A text stream that turns a bar's redrawing into lines of their own, for a file or a pipe."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            self.stream.write(line + "\n")

    def flush(self) -> None:
        self.stream.flush()


class Screen:
    """A stage's progress: epoch, share done, time left, pictures a second, loss, rate, memory.

    `total` and `done` count items. The loss is a running mean, as that of one step jumps about.
    """

    def __init__(self, name: str, epochs: int, total: int, done: int, show: bool):
        self.name, self.epochs = name, epochs
        self.mean, self.weight = 0.0, 0.0
        self.terminal = sys.stderr.isatty()
        kind = (
            {"bar_format": BAR, "dynamic_ncols": True}
            if self.terminal
            else {"bar_format": LINE, "file": Lines(sys.stderr), "ncols": LINE_WIDTH}
            | {"mininterval": LINE_SECONDS, "maxinterval": LINE_SECONDS}
        )
        self.bar = tqdm(total=total, initial=done, desc=name, disable=not show, **kind)
        self.items = self.seconds = 0.0
        self.since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        if self.bar.n == self.bar.total:
            self.bar.set_description_str(self.name, refresh=False)
        self.bar.close()

    def update(self, epoch: int, items: int, losses: list[float], lr: float, memory: int) -> float:
        """Count `items` more, show the numbers; return the items a second since the last call."""
        for loss in losses:
            self.mean = KEEP * self.mean + (1 - KEEP) * loss
            self.weight = KEEP * self.weight + 1 - KEEP
        seconds = max(time.monotonic() - self.since, 1e-9)
        self.since += seconds
        self.items = KEEP_SPEED * self.items + items
        self.seconds = KEEP_SPEED * self.seconds + seconds
        speed, loss = self.items / self.seconds, self.mean / self.weight
        text = f"{speed:.3g} img/s, loss {loss:.4f}, lr {lr:.1e}, {memory / 1e9:.1f} GB"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.set_description_str(f"{self.name} {epoch}/{self.epochs}", refresh=False)
        self.bar.update(items)
        return items / seconds

    def phase(self, what: str) -> None:
        """Say in a terminal what the stage does between two steps, since that may take a while."""
        if self.terminal:
            self.bar.set_description_str(f"{self.name} {what}")

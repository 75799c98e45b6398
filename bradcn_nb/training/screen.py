"""What a person sees of a stage while it trains: a bar in a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Self, TextIO

from tqdm import tqdm

LINE_SECONDS = 30.0  # between two lines in a log file
LINE_WIDTH = 100
MEMORY = 0.98  # of the shown loss: about the last 50 steps

_NUMBERS = "{remaining} left, {rate_fmt}{postfix}"
BAR = "{desc} {percentage:3.0f}%|{bar}| " + _NUMBERS
LINE = "{desc} {percentage:3.0f}% " + _NUMBERS


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
        self.bar = tqdm(total=total, initial=done, desc=name, unit="img", disable=not show, **kind)
        self.items, self.since = 0, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.bar.close()

    def update(self, epoch: int, items: int, losses: list[float], lr: float, memory: int) -> float:
        """Count `items` more and show the numbers; return the items a second since the last call."""
        for loss in losses:
            self.mean = MEMORY * self.mean + (1 - MEMORY) * loss
            self.weight = MEMORY * self.weight + 1 - MEMORY
        text = f"loss {self.mean / self.weight:.4f}, lr {lr:.1e}, {memory / 1e9:.1f} GB"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.set_description_str(f"{self.name} {epoch}/{self.epochs}", refresh=False)
        self.bar.update(items)
        now, before = time.monotonic(), self.since
        self.since = now
        return items / max(now - before, 1e-9)

    def phase(self, what: str) -> None:
        """Say in a terminal what the stage does between two steps, since that may take a while."""
        if self.terminal:
            self.bar.set_description_str(f"{self.name} {what}")

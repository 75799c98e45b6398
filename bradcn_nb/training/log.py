"""What a run writes while it trains: a CSV file, TensorBoard's events, and strips of pictures."""

import os
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from bradcn_nb.errors import RunError
from bradcn_nb.files import write_atomically
from bradcn_nb.training.checkpoint import writing


class Row(NamedTuple):
    """One step in the log, counted from 1."""

    step: int
    epoch: int
    loss: float  # mean over all items of the step
    lr: float
    check: float | None = None  # after an epoch: PSNR in dB of pictures, else mean absolute error
    norm: float | None = None  # of the gradient before it was cut, with `Recipe.clip`


class Log:
    """A CSV file with one `Row` a step, cut back to the checkpoint's step when a run goes on."""

    header = ",".join(Row._fields) + "\n"

    def __init__(self, path: Path, size: int | None):
        """Start a new log, or keep `size` bytes of the old one; RunError if it is shorter."""
        self.path = path
        if size is not None and (not path.is_file() or path.stat().st_size < size):
            raise RunError(
                f"{path}: shorter than its checkpoint says; start over with --resume fresh"
            )
        with writing(path):
            # Unbuffered: a row that could not be written must not be tried again at the end.
            self.file = path.open("ab", buffering=0)
            self.file.truncate(size or 0)
            if size is None:
                self._write(self.header)

    def rows(self, rows: list[Row]) -> None:
        """Add rows; 9 digits tell any two float32 values apart. RunError if that fails."""
        lines = []
        for row in rows:
            numbers = ["" if v is None else f"{v:.9g}" for v in row[2:]]
            lines.append(",".join([str(row.step), str(row.epoch), *numbers]) + "\n")
        with writing(self.path):
            self._write("".join(lines))

    def sync(self) -> int:
        """Bring all rows to the disk and return the file's size in bytes."""
        with writing(self.path):
            os.fsync(self.file.fileno())
            return os.fstat(self.file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:  # a disk that fills up takes a part, and fails at the next try
            data = data[self.file.write(data) :]


class Board:
    """TensorBoard's events of one stage: what the CSV has, and rate, memory and strips.

    Events of steps behind `step` that an interrupted run left are hidden. Raises RunError when the
    package tensorboard is missing or the disk is full.
    """

    def __init__(self, folder: Path, step: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RunError(
                "--tensorboard needs the package tensorboard: pip install tensorboard"
            ) from None
        self.folder = folder
        with writing(folder):
            self.writer = SummaryWriter(folder, purge_step=step + 1)

    def rows(self, rows: list[Row], **extra: float) -> None:
        """Add rows, and `extra` numbers to the last of them."""
        with writing(self.folder):
            for row in rows:
                for name in ("loss", "lr", "check", "norm"):
                    if (value := getattr(row, name)) is not None:
                        self.writer.add_scalar(name, value, row.step)
            for name, value in extra.items():
                self.writer.add_scalar(name, value, rows[-1].step)
            self.writer.flush()

    def strip(self, sheet: np.ndarray, step: int) -> None:
        """Add a strip of pictures (H, W, 3)."""
        with writing(self.folder):
            self.writer.add_image("samples", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        with writing(self.folder):
            self.writer.close()


def strip_of(rows: list[list[torch.Tensor]]) -> np.ndarray:
    """Put rows of equally large (3, H, W) pictures in [0, 1] on one sheet, uint8 (H, W, 3)."""
    height, width = rows[0][0].shape[-2:]
    gap = 2
    across, down = len(rows[0]), len(rows)
    sheet = np.full((down * (height + gap) - gap, across * (width + gap) - gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            y, x = i * (height + gap), j * (width + gap)
            picture = (panel.float().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            sheet[y : y + height, x : x + width] = picture
    return sheet


def save_strip(path: Path, sheet: np.ndarray) -> None:
    """Write a sheet of `strip_of` as PNG, whole or not at all; RunError if that fails."""
    png = BytesIO()
    Image.fromarray(sheet).save(png, format="PNG")
    with writing(path):
        write_atomically(path, png.getvalue())

"""A toy depth net, and the program that `accelerate launch` starts in `test_labels_processes.py`.

    label_worker.py SUN OUT

makes the labels of SUN in OUT/whole, then those in OUT/killed, where process 1 kills itself.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from bradcn_nb import data
from bradcn_nb.training import labels

SIZE = (16, 24)


class Depth(nn.Module):
    """A depth net small enough to be recomputed by hand: a weighted sum of the colours, in
    metres."""

    def __init__(self, weights=(1.0, 2.5, 3.0), stride=1):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weights).view(1, 3, 1, 1))
        self.stride = stride
        self.batches = []

    def forward(self, image):
        assert not self.training
        assert image.shape[-2] % self.stride == 0 and image.shape[-1] % self.stride == 0
        self.batches.append(len(image))
        return (image * self.weight).sum(1, keepdim=True) + 0.5


class Killed(Depth):
    """The same, killed by the system in its second batch where it runs in process 1."""

    def forward(self, image):
        if labels.processes().process_index == 1 and len(self.batches) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(image)


def frames(root, split="train", size=SIZE, **options):
    """The toy frames as a data set; five to train on, two to test."""
    return data.SUNRGBD(root, split, (5, 2), size=size, **options)


def make(root, out, net=None, weights="w" * 64, batch=1, size=SIZE, **options):
    """Labels of the toy frames."""
    net = net or Depth()
    return labels.make_labels(
        net, frames(root, size=size), out, weights, batch, progress=False, **options
    )


if __name__ == "__main__":
    sun, out = map(Path, sys.argv[1:])
    net = Depth()
    make(sun, out / "whole", net)
    rank = labels.processes().process_index
    (out / f"batches-{rank}").write_text(str(sum(net.batches)))
    labels.processes().wait_for_everyone()
    make(sun, out / "killed", Killed())

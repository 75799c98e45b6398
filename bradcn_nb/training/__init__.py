"""Training: one loop, its stages as data, and checkpoints that survive being killed at any step."""

from bradcn_nb.training.loop import train
from bradcn_nb.training.pipeline import make_run_labels, train_all

__all__ = ["make_run_labels", "train", "train_all"]

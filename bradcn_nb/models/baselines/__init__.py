"""What Table I compares BRADCN with: each method's net in a module of its own, built by name."""

from bradcn_nb.models.baselines.registry import NAMES, SIZES, TRAINED, WITH_DEPTH_NET, build

__all__ = ["NAMES", "SIZES", "TRAINED", "WITH_DEPTH_NET", "build"]

"""BRADCN from the paper to a running program: scenes, data, nets, training and judging."""

__version__ = "0.1.0"

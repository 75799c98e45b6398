"""Shared by the unit tests and the notebooks: a calm, offline machine, and nbval's two
exceptions."""

import os

# Before anything imports torch; notebook kernels inherit them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collectstart(collector) -> None:
    """Let nbval skip stderr (progress bars) and HTML (checked in a browser); the rest is strict."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "text/html")

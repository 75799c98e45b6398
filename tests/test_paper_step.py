"""One full training step at the paper's size; minutes and several GB, so only with `-m slow`."""

from pathlib import Path

import pytest

from bradcn_nb.experiments.costs import bench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory: Linux only"),
]


def test_a_paper_step_runs_and_checkpointing_saves_memory():
    results = {}
    bench.run(["checkpointing"], results, repeats=1, quick=False, progress=False)
    facts = results["checkpointing"]["facts"]
    assert facts["loss"]["with"] == pytest.approx(facts["loss"]["without"], rel=1e-5)
    assert facts["peak, with / without"] <= 0.6

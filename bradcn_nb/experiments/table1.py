"""Table I at mini's size: BRADCN beside the methods that the paper compares it with.

Every net that learns sees the same pictures for the same number of steps, with as many weights to
train as BRADCN to within 20 % (ledger id "baseline-widths"); DBSI's depth net is fine-tuned as
BRADCN's. What ends in "-skip" mixes its input in as mini BRADCN does (ledger id "baseline-skip"):
without it, a comparison would mostly measure that.
"""

from bradcn_nb.experiments import table2
from bradcn_nb.experiments.runs import mini_arm
from bradcn_nb.experiments.tables import Table, two_phases
from bradcn_nb.models import baselines
from bradcn_nb.presets import Preset

BRADCN = "bradcn"
TITLES = {
    "identity": "input, unchanged",
    "blur": "one blur for all",
    "classical": "predicted depth + lens",
    "skn": "SKN",
    "dbsi": "DBSI",
    "dmshn": "DMSHN",
    "stacked-dmshn": "stacked DMSHN",
    "brvit": "BRViT",
    "skn-skip": "SKN, input mixed in",
    "dmshn-skip": "DMSHN, input mixed in",
    "stacked-dmshn-skip": "stacked DMSHN, input mixed in",
    "brvit-skip": "BRViT, input mixed in",
    BRADCN: "BRADCN",
}
COMPARISONS = (
    *((BRADCN, name) for name in TITLES if name != BRADCN),
    *((name, name.removesuffix("-skip")) for name in TITLES if name.endswith("-skip")),
)


def arm_preset(name: str, seed: int) -> Preset:
    """Return what trains a method: both phases of stage 2; no stages for what has nothing to learn.

    BRADCN's is that of Table II's `tuned-full`.
    """
    if name == BRADCN:
        return table2.arm_preset("tuned-full", seed)
    if name not in baselines.TRAINED:
        return mini_arm((), seed)
    return mini_arm(two_phases(name), seed)


TABLE1 = Table("table1", TITLES, arm_preset, COMPARISONS)

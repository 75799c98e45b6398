"""The methods that Table I compares with BRADCN, by name and size."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from bradcn_nb.baselines.brvit import BRViT
from bradcn_nb.baselines.classical import Classical
from bradcn_nb.baselines.dbsi import DBSI, DBSIConfig
from bradcn_nb.baselines.dmshn import DMSHN, DMSHNConfig, StackedDMSHN
from bradcn_nb.baselines.identity import Identity
from bradcn_nb.baselines.skn import SKN, SKNConfig
from bradcn_nb.errors import BradcnError
from bradcn_nb.presets import preset

SIZES = ("mini", "full")
SKIP = "-skip"  # ends the name of a baseline that mixes its input in as mini BRADCN does

_MINI, _FULL = preset("mini").model, preset("paper").model
_PUBLISHED = DMSHNConfig()
_BRVIT_MINI = replace(
    _MINI,
    skip=False,
    stem_width=24,
    stage_widths=(48, 96, 384),
    embed_dim=176,
    features=48,
    head_widths=(24, 24),
)

# Name -> size -> how to build it. What learns at `mini` has as many trained weights as mini BRADCN
# in stage 2, 3,030,833, to within 20 % (ledger id "baseline-widths").
_BUILDERS: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "identity": {"mini": Identity, "full": Identity},
    "classical": {"mini": partial(Classical, _MINI), "full": partial(Classical, _FULL)},
    "dbsi": {
        "mini": partial(DBSI, DBSIConfig(_MINI, (16, 32, 64, 120))),
        "full": partial(DBSI, DBSIConfig(_FULL)),
    },
}
for _name, _net, _mini, _full in (
    ("skn", SKN, SKNConfig((24, 48, 104, 208)), SKNConfig()),
    ("dmshn", DMSHN, DMSHNConfig((24, 48, 96)), _PUBLISHED),
    ("stacked-dmshn", StackedDMSHN, DMSHNConfig((16, 32, 64)), _PUBLISHED),
    ("brvit", BRViT, _BRVIT_MINI, _FULL),
):
    for _ending, _skip in (("", False), (SKIP, True)):
        _BUILDERS[_name + _ending] = {
            size: partial(_net, replace(cfg, skip=_skip))
            for size, cfg in (("mini", _mini), ("full", _full))
        }

NAMES = tuple(_BUILDERS)
TRAINED = tuple(name for name in NAMES if name not in ("identity", "classical"))


def build(name: str, size: str = "mini") -> nn.Module:
    """Return a baseline with fresh weights; `size` is "mini" or "full" (published, where it was).

    Each takes pictures (N, 3, H, W) in [0, 1] and returns a BRADCNOutput. Names that end in "-skip"
    mix their input in (ledger id "baseline-skip"). `classical` and `dbsi` want a trained depth net:
    `load_weights(path, net.depth_net, preset_name)`. Raises BradcnError for another name or size.
    """
    if name not in NAMES:
        raise BradcnError(f"unknown baseline {name!r}: choose one of {', '.join(NAMES)}")
    if size not in SIZES:
        raise BradcnError(f"unknown size {size!r} of {name}: choose {' or '.join(SIZES)}")
    return _BUILDERS[name][size]()

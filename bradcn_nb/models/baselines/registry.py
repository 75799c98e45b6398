"""The methods that Table I compares with BRADCN, by name and size."""

from dataclasses import replace

from torch import nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.models.baselines.blur import BlindBlur
from bradcn_nb.models.baselines.brvit import BRViT
from bradcn_nb.models.baselines.classical import Classical
from bradcn_nb.models.baselines.dbsi import DBSI, DBSIConfig
from bradcn_nb.models.baselines.dmshn import DMSHN, DMSHNConfig, StackedDMSHN
from bradcn_nb.models.baselines.identity import Identity
from bradcn_nb.models.baselines.skn import SKN, SKNConfig
from bradcn_nb.presets import preset

SIZES = ("mini", "full")
SKIP = "-skip"  # ends the name of a baseline that mixes its input in as mini BRADCN does

_MINI, _FULL = preset("mini").model, preset("paper").model
_BRVIT_MINI = replace(
    _MINI,
    skip=False,
    stem_width=24,
    stage_widths=(48, 96, 384),
    embed_dim=176,
    features=48,
    head_widths=(24, 24),
)

# Name -> net, its configuration at the size `mini`, and at `full`. What learns has at `mini` as
# many weights as mini BRADCN trains in stage 2, 3,030,833, to within 20 % (ledger id
# "baseline-widths").
_NETS = {
    "classical": (Classical, _MINI, _FULL),
    "skn": (SKN, SKNConfig((24, 48, 104, 208)), SKNConfig()),
    "dbsi": (DBSI, DBSIConfig(_MINI, (16, 32, 64, 120)), DBSIConfig(_FULL)),
    "dmshn": (DMSHN, DMSHNConfig((24, 48, 96)), DMSHNConfig()),
    "stacked-dmshn": (StackedDMSHN, DMSHNConfig((16, 32, 64)), DMSHNConfig()),
    "brvit": (BRViT, _BRVIT_MINI, _FULL),
}
_WITH_SKIP = tuple(name + SKIP for name in ("skn", "dmshn", "stacked-dmshn", "brvit"))

_PLAIN = {"identity": Identity, "blur": BlindBlur}  # without weights and sizes

NAMES = (*_PLAIN, *_NETS, *_WITH_SKIP)
WITH_DEPTH_NET = ("classical", "dbsi")  # want a trained one, as `net.depth_net`
TRAINED = tuple(name for name in NAMES if name not in (*_PLAIN, "classical"))


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
    if name in _PLAIN:
        return _PLAIN[name]()
    net, *cfgs = _NETS[name.removesuffix(SKIP)]
    cfg = cfgs[SIZES.index(size)]
    return net(replace(cfg, skip=True) if name.endswith(SKIP) else cfg)

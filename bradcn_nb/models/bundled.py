"""The trained nets that come with the book."""

from pathlib import Path

from bradcn_nb.files import data_root
from bradcn_nb.models.bradcn import BRADCN
from bradcn_nb.models.defocus_net import DefocusNet
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.models.weights import load_weights
from bradcn_nb.presets import preset


def load_depth_net() -> DepthNet:
    """Return mini's depth net as stage 0 left it, ready for use (eval mode, CPU).

    BRADCN's own is fine-tuned for pictures in stage 2 and no longer says metres (ledger id
    "freezing"). Raises WeightsError when the bundled file is missing or damaged.
    """
    net = DepthNet(preset("mini").model)
    load_weights(data_root() / "weights" / "depth-mini.safetensors", net, "mini")
    return net.eval()


def load_defocus_net() -> DefocusNet:
    """Return mini's DefocusNet, which has learned from pairs, ready for use (eval mode, CPU).

    It wants the depth of `load_depth_net`. Raises WeightsError as that does.
    """
    net = DefocusNet(preset("mini").model)
    load_weights(data_root() / "weights" / "defocus-mini.safetensors", net, "mini")
    return net.eval()


def load_bradcn(preset_name: str = "mini", path: str | Path | None = None) -> BRADCN:
    """Return BRADCN of a preset with trained weights, ready for use (eval mode, CPU).

    Without `path` the bundled weights are read (`data/weights/bradcn-mini.safetensors`). Raises
    WeightsError when the file does not fit, BradcnError for an unknown preset.
    """
    model = BRADCN(preset(preset_name).model)
    path = path or data_root() / "weights" / f"bradcn-{preset_name}.safetensors"
    load_weights(path, model, preset_name)
    return model.eval()

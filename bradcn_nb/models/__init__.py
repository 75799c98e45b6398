"""The three nets of the paper, BRADCN that joins them, and the files that hold their weights."""

from bradcn_nb.models.adcn import ADCN
from bradcn_nb.models.bradcn import BRADCN, BRADCNOutput
from bradcn_nb.models.bundled import load_bradcn, load_depth_net
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.models.render_net import RenderNet
from bradcn_nb.models.weights import load_weights, read_metadata, save_weights

__all__ = [
    "ADCN",
    "BRADCN",
    "BRADCNOutput",
    "DepthNet",
    "RenderNet",
    "load_bradcn",
    "load_depth_net",
    "load_weights",
    "read_metadata",
    "save_weights",
]

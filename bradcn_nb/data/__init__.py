"""EBB!, SUN RGB-D and generated scenes as PyTorch data sets; the mini sets use the same readers.

Every reader is deterministic: item `index` of epoch `epoch` is a pure function of the files, the
seed, the epoch and the index, so that an interrupted training can be resumed bit for bit.
The command line's `data verify` and `data prepare` are the modules `verify`, `verify_sun`,
`prepare`.
"""

from bradcn_nb.data.base import FileDataset, Part, flips
from bradcn_nb.data.ebb import EBB, EBB_SPLITS
from bradcn_nb.data.files import (
    decode_depth,
    encode_depth,
    read_depth,
    read_picture,
    resize_nearest,
    resize_picture,
    to_tensor,
)
from bradcn_nb.data.generated import Scenes
from bradcn_nb.data.maps import DefocusPairs, MappedEBB, MapStack
from bradcn_nb.data.splits import is_nyu, leaks, scene_of, split_frames
from bradcn_nb.data.sunrgbd import SUN_KINDS, SUN_SENSORS, SUNRGBD

__all__ = [
    "EBB",
    "EBB_SPLITS",
    "SUNRGBD",
    "SUN_KINDS",
    "SUN_SENSORS",
    "DefocusPairs",
    "FileDataset",
    "MapStack",
    "Part",
    "MappedEBB",
    "Scenes",
    "decode_depth",
    "encode_depth",
    "flips",
    "is_nyu",
    "leaks",
    "read_depth",
    "read_picture",
    "resize_nearest",
    "resize_picture",
    "scene_of",
    "split_frames",
    "to_tensor",
]

"""EBB!, SUN RGB-D and generated scenes as PyTorch data sets; the mini sets use the same readers.

Every reader is deterministic: item `index` of epoch `epoch` is a pure function of the files, the
seed, the epoch and the index, so that an interrupted training can be resumed bit for bit.
The command line's `data verify` and `data prepare` are the modules `verify`, `verify_sun`,
`prepare`. Names are looked up when they are used: who renders a photograph needs no data set, and
torch takes seconds to import.
"""

from importlib import import_module

_NAMES_OF = {
    "base": (
        "FileDataset",
        "Part",
        "flips",
    ),
    "ebb": (
        "EBB",
        "EBB_SPLITS",
    ),
    "files": (
        "decode_depth",
        "encode_depth",
        "read_depth",
        "read_picture",
        "resize_nearest",
        "resize_picture",
        "to_tensor",
    ),
    "generated": ("Scenes",),
    "maps": (
        "DefocusPairs",
        "MappedEBB",
        "MapStack",
    ),
    "splits": (
        "is_nyu",
        "leaks",
        "scene_of",
        "split_frames",
    ),
    "sunrgbd": (
        "SUN_KINDS",
        "SUN_SENSORS",
        "SUNRGBD",
    ),
}
_HOMES = {name: module for module, names in _NAMES_OF.items() for name in names}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'bradcn_nb.data' has no attribute {name!r}")
    return getattr(import_module(f"bradcn_nb.data.{_HOMES[name]}"), name)

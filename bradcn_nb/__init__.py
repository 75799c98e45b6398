"""BRADCN: bokeh from one photograph, with depth and the error of that depth. Where to look:

Eq. 1, Eq. 3    models/bradcn.py: Di = Eo + Reassemble(Adap(Do)),
                DI = Di + Reassemble(Adap(De))
Eq. 2           models/depth_error.py: De = |Do - Dgt|
the three nets  models/render_net.py, models/depth_net.py, models/adcn.py
the lens        lens/thin_lens.py, lens/by_depth.py, lens/reference.py
the losses      training/losses.py
the schedule    presets.py, as PAPER_STAGES; training/loop.py runs a stage of it
the protocol    evaluation/metrics.py, as val294
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = dict.fromkeys(("BRADCN", "RenderNet", "DepthNet", "ADCN"), "models")
_HOMES |= {"preset": "presets", "render_photo": "photograph"}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'bradcn_nb' has no attribute {name!r}")
    return getattr(import_module(f"bradcn_nb.{_HOMES[name]}"), name)

"""A net as an ONNX file: for onnxruntime, in a program of any language or in a web page."""

import json
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from bradcn_nb.errors import BradcnError
from bradcn_nb.files import replacing
from bradcn_nb.models.adcn import ADCN
from bradcn_nb.models.bradcn import BRADCN
from bradcn_nb.models.depth_net import DepthNet
from bradcn_nb.models.hub import HubNet
from bradcn_nb.models.inference import for_inference
from bradcn_nb.models.render_net import RenderNet
from bradcn_nb.presets import preset_of

OUTPUTS: dict[type[HubNet], tuple[str, ...]] = {  # names of what each net returns
    BRADCN: ("bokeh", "depth", "depth_error"),
    RenderNet: ("bokeh",),
    DepthNet: ("depth",),
    ADCN: ("depth_error",),
}
OPSET = 18
# Sizes on which a file is checked, (height, width) in strides: the net's own number of tokens, an
# upright one, a square, a panorama, a larger one. The first traces: none of them is special.
CHECKED = ((4, 6), (6, 4), (5, 5), (3, 8), (6, 9))
TRACED = (5, 7)
CLOSE, CLOSE_HALF = 1e-4, 1e-2  # greatest difference from torch, in shares of the output's size
SMALL = 256  # numbers; fewer are not worth a cast


class _Traced(nn.Module):
    """The net with a plain tuple of outputs, as ONNX has it."""

    def __init__(self, net: HubNet):
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        answer = self.net(image)
        return (answer,) if isinstance(answer, Tensor) else tuple(answer)


def export_onnx(net: HubNet, path: str | Path, half: bool = False) -> dict[str, float]:
    """Write `net` to `path` as ONNX, and compare it with torch in onnxruntime before it is kept.

    Input "image": (1, 3, H, W) in [0, 1], H and W any multiples of `net.cfg.stride`, which the
    file's metadata name. Outputs: `OUTPUTS` of the net's class. `half` stores the weights as 16-bit
    floats, which the graph casts back: half the size, the same speed. Returns for each output the
    greatest difference from torch on the sizes `CHECKED`, in shares of its largest value.

    Raises BradcnError for another kind of net, where onnx or onnxruntime is missing, and for a file
    that differs by more than `CLOSE` (`CLOSE_HALF`); then nothing is written.
    """
    names = OUTPUTS.get(type(net))
    if names is None:
        raise BradcnError(f"{type(net).__name__} has no ONNX form here; BRADCN and its nets have")
    onnx, _ = _libraries()
    traced = _Traced(for_inference(net)).eval()
    stride = net.cfg.stride
    example = torch.rand(1, 3, *(stride * side for side in TRACED))
    with replacing(path) as temporary:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not its successor (dynamo=True): that one fixes the size of the picture, or with
            # symbols for height and width takes minutes and fixes the batch.
            torch.onnx.export(
                traced, (example,), temporary, dynamo=False, opset_version=OPSET,
                input_names=["image"], output_names=list(names),
                dynamic_axes={name: {2: "height", 3: "width"} for name in ("image", *names)},
            )  # fmt: skip
        model = onnx.load(temporary)
        if half:
            _store_half(model, onnx)
        about = {"net": type(net).__name__, "preset": preset_of(net.cfg), "stride": stride}
        onnx.helper.set_model_props(
            model, {key: value if isinstance(value, str) else json.dumps(value)
                    for key, value in about.items()}
        )  # fmt: skip
        onnx.save(model, temporary)
        return _checked(temporary, traced, names, stride, CLOSE_HALF if half else CLOSE)


def open_session(model: bytes, threads: int):
    """Return an onnxruntime session on `threads` threads of the CPU for an ONNX file's bytes.

    Raises BradcnError where onnxruntime is missing.
    """
    _, onnxruntime = _libraries()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise BradcnError(
            f"{error.name} is not installed; `pip install onnx onnxruntime` brings both"
        ) from None
    return onnx, onnxruntime


def _store_half(model, onnx: ModuleType) -> None:
    """Store the large fp32 weights of an ONNX model as fp16, and cast them back in its graph."""
    kinds, graph = onnx.TensorProto, model.graph
    casts = []
    for stored in graph.initializer:
        values = onnx.numpy_helper.to_array(stored)
        if stored.data_type != kinds.FLOAT or values.size < SMALL:
            continue
        name = stored.name
        stored.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [stored.name], [name], to=kinds.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _checked(
    path: Path, traced: nn.Module, names: tuple[str, ...], stride: int, close: float
) -> dict[str, float]:
    """Run the file on all sizes; return the greatest differences, or raise BradcnError."""
    session = open_session(path.read_bytes(), torch.get_num_threads())
    differences = dict.fromkeys(names, 0.0)
    for index, size in enumerate(CHECKED):
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(1, 3, *(stride * side for side in size), generator=generator)
        with torch.inference_mode():
            wanted = traced(image)
        got = session.run(list(names), {"image": image.numpy()})
        for name, ours, theirs in zip(names, got, wanted, strict=True):
            theirs = theirs.numpy()
            greatest = float(np.abs(ours - theirs).max() / max(1e-6, np.abs(theirs).max()))
            differences[name] = max(differences[name], greatest)
    if not max(differences.values()) <= close:
        said = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        raise BradcnError(
            f"the ONNX form differs from torch by more than {close:.0e} ({said}); nothing was "
            "written: please report it with the versions of torch and onnxruntime"
        )
    return differences

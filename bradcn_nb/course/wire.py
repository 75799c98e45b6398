"""Plain values through a socket: a JSON header and raw arrays, never pickle.

What arrives was written by a stranger: sizes are bounded, types are those of a short list, and
everything else is a `WireError`.
"""

import json
import math
import socket
import struct
import time
from typing import Any

import numpy as np

# Kept under names of their own: a student's cell may replace numpy's.
_asarray, _contiguous, _frombuffer = np.asarray, np.ascontiguousarray, np.frombuffer
_ndarray, _generic, _dtype = np.ndarray, np.generic, np.dtype
_integer, _floating = np.integer, np.floating
LIMIT = 1 << 27  # bytes of a message's arrays
HEADER_LIMIT = 1 << 23
DEPTH = 30
KINDS = frozenset("?bhilqBHILQefdFD")
TENSORS = frozenset("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split())
TENSORS |= {"complex64", "complex128"}
# Said by name when a function returns one; other names might carry a message to the report.
OTHERS = ("function", "generator", "set", "range", "map", "zip", "Figure", "Axes", "Image", "type")


class WireError(Exception):
    """What arrived is no message, or one that is too large."""


class Other:
    """A value of another type than those that can be sent; `name` says which, where known."""

    def __init__(self, name: str) -> None:
        self.name = name


def pack(value: Any, arrays: list[bytes], depth: int = 0) -> Any:
    """Return `value` as JSON can say it; the bytes of its arrays are appended to `arrays`.

    Raises WireError if it is nested too deeply, as a list that holds itself is.
    """
    if depth > DEPTH:
        raise WireError("the value is nested too deeply")
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        return value if abs(value) < 1 << 63 else {"t": "int", "v": hex(value)}
    if type(value) is complex:
        return {"t": "complex", "v": [value.real, value.imag]}
    if isinstance(value, Other):
        return {"t": "other", "v": value.name}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {"t": kind, "v": [pack(one, arrays, depth + 1) for one in value]}
    if isinstance(value, dict):
        items = [[pack(part, arrays, depth + 1) for part in item] for item in value.items()]
        return {"t": "dict", "v": items}
    if isinstance(value, (_ndarray, _generic)):
        array = _asarray(value)
        if array.dtype.char in KINDS:
            kind = "scalar" if isinstance(value, _generic) else "array"
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            return _pack_array(array, kind, array.dtype.char, arrays)
        if array.dtype.kind == "U" and array.ndim == 0:
            return str(array)
    elif hasattr(value, "detach") and hasattr(value, "layout"):
        import torch

        if value.layout == torch.strided:
            tensor, name = value.detach().cpu(), str(value.dtype).removeprefix("torch.")
            if name == "bfloat16":
                return _pack_array(tensor.view(torch.int16).numpy(), "tensor", name, arrays)
            return _pack_array(tensor.resolve_conj().numpy(), "tensor", name, arrays)
    for plain in (bool, int, float, str):  # a subclass, such as an Enum's
        if isinstance(value, plain):
            return pack(plain(value), arrays, depth + 1)
    name = type(value).__name__
    return {"t": "other", "v": name if name in OTHERS else ""}


def _pack_array(array: np.ndarray, kind: str, name: str, arrays: list[bytes]) -> dict:
    arrays.append(_contiguous(array).tobytes())
    return {"t": kind, "d": name, "s": list(array.shape), "i": len(arrays) - 1}


def unpack(value: Any, arrays: list[memoryview], depth: int = 0) -> Any:
    """Return the value that `pack` described; raises WireError for anything else."""
    if depth > 2 * DEPTH:
        raise WireError("nested too deeply")
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise WireError("a bare list")
        return value
    try:
        kind, held = value["t"], value.get("v")
        if kind == "int":
            return int(held, 16)
        if kind == "complex":
            return complex(float(held[0]), float(held[1]))
        if kind == "other":
            return Other(held if held in OTHERS else "")
        if kind in ("list", "tuple"):
            found = [unpack(one, arrays, depth + 1) for one in held]
            return found if kind == "list" else tuple(found)
        if kind == "dict":
            return {_key(unpack(k, arrays)): unpack(v, arrays, depth + 1) for k, v in held}
        if kind in ("array", "scalar", "tensor"):
            return _unpack_array(value, kind, arrays)
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise WireError(f"a damaged value: {type(error).__name__}") from None
    raise WireError("a value of no known kind")


def _key(key: Any) -> Any:
    """A dict's key, of a kind of which many with one hash cannot be made to stall who reads."""
    if not (key is None or isinstance(key, (str, int, float, _integer, _floating))):
        raise WireError("a key of no known kind")
    if type(key) is int and abs(key) >> 60:
        raise WireError("a key that is too large")
    return key


def _unpack_array(value: dict, kind: str, arrays: list[memoryview]) -> Any:
    name, shape, raw = value["d"], value["s"], arrays[value["i"]]
    if kind == "tensor":
        import torch

        if name not in TENSORS:
            raise WireError("a tensor of no known dtype")
        dtype = getattr(torch, name)
        size = dtype.itemsize
    else:
        if name not in KINDS:
            raise WireError("an array of no known dtype")
        dtype = _dtype(name)
        size = dtype.itemsize
    if len(shape) > 8 or any(n > LIMIT for n in shape if type(n) is int):
        raise WireError("an array of an odd shape")  # empty, with a message in its shape
    if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) * size != len(raw):
        raise WireError("an array whose bytes do not fit its shape")
    if kind == "tensor":
        if not len(raw):
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
    array = _frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
    return array[()] if kind == "scalar" else array


def send(channel: socket.socket, value: Any, deadline: float) -> None:
    """Send one message by `deadline` (of time.monotonic); raises WireError, TimeoutError, OSError.

    A value that is too large is a WireError before anything was sent.
    """
    arrays: list[bytes] = []
    body = pack(value, arrays)
    header = json.dumps([body, [len(one) for one in arrays]]).encode()
    total = sum(map(len, arrays))
    if len(header) > HEADER_LIMIT or total > LIMIT:
        raise WireError("the value is too large to be sent")
    channel.settimeout(max(deadline - time.monotonic(), 0.01))
    channel.sendall(struct.pack("<QQ", len(header), total) + header + b"".join(arrays))


def receive(channel: socket.socket, deadline: float) -> Any:
    """Return the next message; raises WireError, TimeoutError at `deadline`, EOFError at its end.

    Reads no more than the limits say, whatever the other side sends.
    """
    length, total = struct.unpack("<QQ", _exactly(channel, 16, deadline))
    if length > HEADER_LIMIT or total > LIMIT:
        raise WireError("a message that is too large")
    header = _exactly(channel, length, deadline)
    raw = memoryview(_exactly(channel, total, deadline))
    try:
        body, lengths = json.loads(bytes(header).decode())
        if any(type(n) is not int or n < 0 for n in lengths) or sum(lengths) != total:
            raise WireError("arrays that do not fill the message")
        arrays, at = [], 0
        for length in lengths:
            arrays.append(raw[at : at + length])
            at += length
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"no message: {type(error).__name__}") from None
    return unpack(body, arrays)


def _exactly(channel: socket.socket, count: int, deadline: float) -> bytearray:
    found, at = bytearray(count), 0
    while at < count:
        channel.settimeout(max(deadline - time.monotonic(), 0.01))
        got = channel.recv_into(memoryview(found)[at:])
        if not got:
            raise EOFError
        at += got
    return found

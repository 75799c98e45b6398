"""Where a run computes: devices and processes, precision, order of memory, and how much of it."""

import ctypes
import os
import time
import warnings
from collections.abc import Callable

import psutil
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from bradcn_nb.errors import RunError

ACCELERATE_NAMES = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
PLAIN = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
MOST_LOADERS = 4  # processes that load data for one GPU
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
BLOCK = 1 << 20  # bytes


def needs_gloo() -> bool:
    """Whether this is one of several processes without a GPU.

    Accelerate takes them for so many single ones unless told to use the CPU.
    """
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()


def processes() -> PartialState:
    """Return the processes that `accelerate launch` or `torchrun` started."""
    return PartialState(cpu=needs_gloo())


def make_accelerator(precision: str = "fp32") -> Accelerator:
    """Return Accelerate's view of this process: its device, its peers, its precision.

    Raises RunError where the device lacks the precision, or the launcher asks for something else.
    """
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked not in ("no", ACCELERATE_NAMES[precision]):
        raise RunError(
            f"accelerate was told {asked}, this run {precision}: add --precision {asked},"
            " or launch with --mixed_precision no"
        )
    AcceleratorState._reset_state()  # else the precision of an earlier run in this process stays
    try:
        accelerator = Accelerator(mixed_precision=ACCELERATE_NAMES[precision], cpu=needs_gloo())
    except ValueError as error:
        raise RunError(f"precision {precision}: {error}; choose another by --precision") from None
    if precision == "fp16" and accelerator.device.type == "cpu":  # Accelerate would go on in fp32
        raise RunError("precision fp16 needs a GPU; on a CPU choose fp32 or bf16")
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started > 1:  # of 1x1 convolutions, whose memory has the same order under either name
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if accelerator.distributed_type not in PLAIN or accelerator.num_processes != started:
        raise RunError(
            f"{started} processes of kind {accelerator.distributed_type.value} are not supported;"
            " use `accelerate launch --multi_gpu`, or torchrun on CPUs"
        )
    return accelerator


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether an exchange failed because another process is gone; gloo has no class of its own."""
    known = torch.distributed.is_available() and isinstance(error, torch.distributed.DistError)
    return known or "gloo/transport" in str(error)


def net_of(model: torch.nn.Module) -> torch.nn.Module:
    """Return the net inside a wrapper that spreads it over several processes."""
    return getattr(model, "module", model)


def loader_processes(device: torch.device, training: int = 1) -> int:
    """Return how many processes load data for each of the `training` ones on this machine.

    On a CPU there are none beside them: they have its cores. A GPU gets up to 4, as cores allow.
    """
    if device.type == "cpu":
        return 0
    return min(MOST_LOADERS, max(1, (os.cpu_count() or 1) // training))


def memory_layout(device: torch.device, precision: str) -> torch.memory_format | None:
    """Return in which order a net's maps lie in memory; None where only a trial tells.

    Channels last is a quarter faster on a CPU, and what a GPU's 16-bit units compute with. In fp32
    it is slower on some GPUs (V100) and not on others.
    """
    if device.type == "cpu" or (device.type == "cuda" and precision != "fp32"):
        return torch.channels_last
    return None if device.type == "cuda" else torch.contiguous_format


def faster_layout(
    step: Callable[[torch.memory_format], None], clock: Callable[[], float] = time.perf_counter
) -> torch.memory_format:
    """Return the order of memory in which `step`, which takes it, is faster: the best of three.

    `step` returns when its work is done; a first one in each order warms up.
    """
    seconds = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        times = [clock()]
        for _ in range(4):
            step(layout)
            times.append(clock())
        seconds[layout] = min(b - a for a, b in zip(times[1:], times[2:], strict=False))
    return min(seconds, key=seconds.__getitem__)


def memory_bytes(device: torch.device) -> int:
    """Return the most that tensors took on a GPU so far, or what this process holds on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return psutil.Process().memory_info().rss


def return_freed_blocks() -> bool:
    """Let glibc give each freed block of 1 MiB or more back to the system at once; say if it does.

    Left alone, glibc raises that limit to 32 MiB as it goes and keeps smaller blocks, whose gaps
    fit no later tensor: a training step with checkpointing then holds a gigabyte that nobody uses.
    The price is a system call for every such tensor, so this is for large nets. Elsewhere than on
    glibc, nothing happens. Source: mallopt(3).
    """
    try:
        return ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BLOCK) == 1
    except (AttributeError, OSError, TypeError):  # another C library
        return False

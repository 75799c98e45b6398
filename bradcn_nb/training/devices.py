"""Where a run computes: one device or several, in which precision, and how much memory it takes."""

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
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    # Accelerate takes several processes without a GPU for so many single ones unless told.
    cpu = processes > 1 and not torch.cuda.is_available()
    AcceleratorState._reset_state()  # else the precision of an earlier run in this process stays
    try:
        accelerator = Accelerator(mixed_precision=ACCELERATE_NAMES[precision], cpu=cpu)
    except ValueError as error:
        raise RunError(f"precision {precision}: {error}; choose another by --precision") from None
    if precision == "fp16" and accelerator.device.type == "cpu":  # Accelerate would go on in fp32
        raise RunError("precision fp16 needs a GPU; on a CPU choose fp32 or bf16")
    if processes > 1:  # of 1x1 convolutions, whose memory has the same order under either name
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if accelerator.distributed_type not in PLAIN or accelerator.num_processes != processes:
        raise RunError(
            f"{processes} processes of kind {accelerator.distributed_type.value} are not supported;"
            " use `accelerate launch --multi_gpu`, or torchrun on CPUs"
        )
    return accelerator


def loader_processes(device: torch.device) -> int:
    """Return how many processes should load data: a GPU waits for none; a CPU has its work to
    do."""
    return min(4, os.cpu_count() or 1) if device.type == "cuda" else 0


def memory_layout(device: torch.device, precision: str) -> torch.memory_format | None:
    """Return in which order a net's maps should lie in memory; None where only a trial tells.

    Channels last is a quarter faster on a CPU, and what a GPU's half-precision units want. In
    float32 an older GPU (V100) is slower with it; of newer ones it depends.
    """
    if device.type == "cpu" or (device.type == "cuda" and precision != "fp32"):
        return torch.channels_last
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return None
    return torch.contiguous_format


def faster_layout(
    net: torch.nn.Module, step: Callable[[], None], clock: Callable[[], float] = time.perf_counter
) -> torch.memory_format:
    """Return the order of memory in which `step` of `net` takes less time, the best of three.

    `step` ends when its work is done. The net's weights keep their values.
    """
    seconds = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=layout)
        step()  # warms up
        times = []
        for _ in range(3):
            start = clock()
            step()
            times.append(clock() - start)
        seconds[layout] = min(times)
    return min(seconds, key=seconds.get)


def net_of(model: torch.nn.Module) -> torch.nn.Module:
    """Return the net inside a wrapper that spreads it over several processes."""
    return getattr(model, "module", model)


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether an exchange failed because another process is gone; gloo has no class of its own."""
    known = (
        isinstance(error, torch.distributed.DistError) if torch.distributed.is_available() else 0
    )
    return bool(known) or "gloo/transport" in str(error)


def memory_bytes(device: torch.device) -> int:
    """Return the most that tensors have taken on a GPU so far, or what this process holds on a
    CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return psutil.Process().memory_info().rss


def processes() -> PartialState:
    """The processes that `accelerate launch` or `torchrun` started, gloo's where there is no GPU.

    Accelerate by itself takes processes on a CPU for strangers to each other unless told to use it.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=several and not torch.cuda.is_available())


M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


BLOCK = 1 << 20


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

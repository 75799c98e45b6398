"""What the C library does with freed memory, which decides the peak of a long computation."""

import ctypes

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
BLOCK = 1 << 20


def return_freed_blocks() -> bool:
    """Let glibc give each freed block of 1 MiB or more back to the system at once; say if it does.

    Left alone, glibc raises that limit to 32 MiB as it goes and keeps smaller blocks, whose gaps fit
    no later tensor: a training step with checkpointing then holds a gigabyte that nobody uses. The
    price is a system call for every such tensor, so this is for large nets. Elsewhere than on
    glibc, nothing happens. Source: mallopt(3).
    """
    try:
        return ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BLOCK) == 1
    except (AttributeError, OSError, TypeError):  # another C library
        return False

"""Memory settings of the C library for training processes."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_MAX_MMAP_THRESHOLD = 32 << 20  # the largest that glibc accepts
_TRIM_THRESHOLD = (1 << 31) - 1  # the largest C int


def retain_freed_memory() -> None:
    """Make glibc retain up to 2 GiB of freed memory; no effect with other C libraries.

    A training step on a CPU frees and reallocates megabytes: getting them from the kernel takes a fifth of its time.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)

"""Reuse of memory that a training frees.

By default glibc gives large blocks back to the system when they are freed, and the system clears each page
again when they are reused: a fifth of the time of a training step on the CPU.
"""

import ctypes

# of malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Have this process keep what it frees, for its next step; returns whether that can be had here."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return False
    return bool(set_option(_M_MMAP_MAX, 0) and set_option(_M_TRIM_THRESHOLD, -1))

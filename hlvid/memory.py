"""What a process does with memory that it has freed: give it back, or keep it for the next use."""

import ctypes
from collections.abc import Mapping

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
"""`mallopt`'s numbers of these settings (malloc.h of the GNU C library)."""
_LARGE_BYTES = 8 * 2**20
"""Less than a decoded 4K frame has."""
_NEVER = 2**31 - 1


def give_memory_back() -> bool:
    """Keep a process that reads many large frames from growing. To be called before threads are.

    The GNU C library gives each thread an arena of its own, in which others cannot use what is
    freed; and once a frame is freed it takes the next ones from the heap, which only shrinks from
    its end. So gazing at a 4K video takes more memory the longer the video is
    (`benchmarks/gaze_memory.py`). Here all threads share one arena, and large blocks go back to the
    system as soon as they are freed.

    Returns:
        Whether it is so now; other C libraries have no such settings.
    """
    return _set({_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: _LARGE_BYTES})


def keep_memory() -> bool:
    """Keep what is freed, for a process that takes the same large blocks again and again.

    A step of training on a CPU frees its activations and takes them again in the next; were they
    given back, the system would hand out every page anew, and clear it.

    Returns:
        Whether it is so now; other C libraries have no such settings.
    """
    return _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER})


def _set(settings: Mapping[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([mallopt(number, value) for number, value in settings.items()])

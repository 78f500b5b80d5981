"""How a process that lives long gives back what it has freed."""

import ctypes

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
"""`mallopt`'s numbers of these settings (malloc.h of the GNU C library)."""
_LARGE_BYTES = 8 * 2**20
"""Less than a decoded 4K frame has."""


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
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1) and mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))

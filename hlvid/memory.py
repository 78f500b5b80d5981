"""How a process that lives long keeps what it has freed."""

import ctypes

_M_ARENA_MAX = -8
"""`mallopt`'s number of this setting (malloc.h of the GNU C library)."""


def share_one_arena() -> bool:
    """Let all threads allocate from one arena, which keeps a long process from growing.

    The GNU C library otherwise gives each thread an arena of its own. Decoding threads free frames
    of many megabytes there, which no other thread can use: gazing at a 4K video then takes more
    memory the longer the video is (`benchmarks/gaze_memory.py`). To be called before threads are.

    Returns:
        Whether it is so now; other C libraries have no such setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))

"""Freed memory is shared between threads."""

import platform
import subprocess
import sys

import pytest

LEFT_AFTER = """
import threading, sys
from hlvid.memory import share_one_arena

if sys.argv[1] == "one":
    assert share_one_arena()

def arenas():
    # Every arena but the main one is mapped in heaps of 64 MiB, most of it not yet readable.
    lines = open("/proc/self/maps").read().splitlines()
    starts = [int(line.split("-")[0], 16) for line in lines if " rw-p 00000000 00:00 0" in line]
    return sum(start % (64 * 2**20) == 0 for start in starts)

held, barrier = [], threading.Barrier(5)
def work():
    held.append([bytearray(2000) for _ in range(500)])
    barrier.wait()
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
barrier.wait()
print(arenas())
barrier.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of the GNU C library")
def test_threads_have_no_arenas_of_their_own():
    def arenas(how: str) -> int:
        words = [sys.executable, "-c", LEFT_AFTER, how]
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    assert arenas("many") >= 2
    assert arenas("one") == 0

"""What is freed can be used by all threads, and goes back to the system or is kept, as asked."""

import platform
import subprocess
import sys

import pytest

NUM_ARENAS = """
import threading, sys
from hlvid.memory import give_memory_back

if sys.argv[1] == "ours":
    assert give_memory_back()

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
IN_HEAP = """
import ctypes, sys
from hlvid.memory import give_memory_back

if sys.argv[1] == "ours":
    assert give_memory_back()
frame = bytearray(25_000_000)
del frame
frame = bytearray(25_000_000)
at = ctypes.addressof((ctypes.c_char * len(frame)).from_buffer(frame))
(heap,) = [line for line in open("/proc/self/maps") if line.rstrip().endswith("[heap]")]
first, last = (int(part, 16) for part in heap.split()[0].split("-"))
print(int(first <= at < last))
"""
KEPT = """
import sys
from hlvid.memory import give_memory_back, keep_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

assert give_memory_back()
if sys.argv[1] == "kept":
    assert keep_memory()
before = resident()
activations = [bytearray(25_000_000) for _ in range(8)]
del activations
print(int(resident() - before > 150e6))
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="settings of the GNU C library"
)


def told(program: str, how: str) -> int:
    words = [sys.executable, "-c", program, how]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def test_threads_have_no_arenas_of_their_own():
    assert told(NUM_ARENAS, "as it is") >= 2
    assert told(NUM_ARENAS, "ours") == 0


def test_a_frame_is_not_taken_from_the_heap_once_one_was_freed():
    assert told(IN_HEAP, "as it is") == 1
    assert told(IN_HEAP, "ours") == 0


def test_a_process_that_trains_keeps_what_it_frees():
    assert told(KEPT, "given back") == 0
    assert told(KEPT, "kept") == 1

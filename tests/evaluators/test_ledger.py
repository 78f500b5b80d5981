import resource
import subprocess
import sys

import pytest

from evaluators.ledger import Ledger, LedgerError


def fill(path, num):
    with Ledger(path) as ledger:
        for i in range(num):
            ledger.append(f"answer/{i}", {"text": f"line\n{i}\r\x85\u2028", "share": i / 7})


def test_what_was_kept_is_there_for_the_next_process(tmp_path):
    path = tmp_path / "a" / "ledger.jsonl"
    fill(path, 3)
    with Ledger(path) as ledger:
        assert len(ledger) == 3
        assert ledger.get("answer/2") == {"text": "line\n2\r\x85\u2028", "share": 2 / 7}
        assert ledger.get("answer/3") is None


def test_the_last_line_of_a_key_counts(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append("a", 1)
        ledger.append("a", [2, None, "ü"])
        assert ledger.get("a") == [2, None, "ü"]
    with Ledger(path) as ledger:
        assert ledger.get("a") == [2, None, "ü"]
        assert len(ledger) == 1


@pytest.mark.parametrize("cut", [1, 2, 30, 70])
def test_a_torn_last_line_is_cut_off_and_written_again(tmp_path, cut):
    path = tmp_path / "ledger.jsonl"
    fill(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Ledger(path) as ledger:
        assert len(ledger) == 2
        ledger.append("answer/2", {"text": "line\n2\r\x85\u2028", "share": 2 / 7})
    assert path.read_bytes() == whole


def test_zeros_after_a_power_failure_count_as_torn(tmp_path):
    path = tmp_path / "ledger.jsonl"
    fill(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 512)
    with Ledger(path) as ledger:
        assert len(ledger) == 2
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"share":0.14', b'"share":0.94'), (b'{"check"', b'"check"'), (b"answer/1", b"answer/9")],
)
def test_a_damaged_earlier_line_is_named_and_nothing_is_changed(tmp_path, old, new):
    path = tmp_path / "ledger.jsonl"
    fill(path, 3)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    damaged = first + second.replace(old, new, 1) + third
    assert damaged != first + second + third
    path.write_bytes(damaged)
    with pytest.raises(LedgerError, match=r"ledger.jsonl:2: line is damaged"):
        Ledger(path)
    assert path.read_bytes() == damaged


HOLD = """
import sys
from pathlib import Path
from evaluators.ledger import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    ledger.append("a", 1)
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_while_the_first_writes(tmp_path):
    path = tmp_path / "ledger.jsonl"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], **pipes) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(LedgerError, match="another hlvid-eval"):
            Ledger(path)
        holder.communicate("")
    with Ledger(path) as ledger:
        assert ledger.get("a") == 1


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path):
    path = tmp_path / "ledger.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger(path) as ledger:
        ledger.append("a", "kept")
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
        try:
            with pytest.raises(LedgerError, match=r"cannot be written .*finished before is safe"):
                ledger.append("b", "x" * 200)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.stat().st_size == size
        assert ledger.get("b") is None
        ledger.append("b", "after some space was freed")
    with Ledger(path) as ledger:
        assert (ledger.get("a"), ledger.get("b")) == ("kept", "after some space was freed")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "file" / "ledger.jsonl")

"""What a user sees when something goes wrong from outside, and that no finished answer is lost."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from evaluators.cli import app
from hlvid.runs import read_run

COMMAND = Path(sys.executable).with_name("hlvid-eval")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def kept(ledger):
    """Key -> value of every whole line."""
    lines = [line for line in ledger.read_bytes().split(b"\n") if line]
    return {json.loads(line)["key"]: json.loads(line)["value"] for line in lines}


def test_ctrl_c_twice_ends_at_once_and_the_same_command_goes_on(tiny, tmp_path):
    ledger = tmp_path / "ledger" / "finished.jsonl"
    arguments = ["--model", "ocr", "--benchmark", tiny, "--frames", 3, "--out", tmp_path]
    command = [str(COMMAND), *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not ledger.is_file() or ledger.read_bytes().count(b"\n") < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        while "Ctrl-C again stops at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        code = process.wait(60)
    assert code == 130
    assert "Traceback" not in told
    before = kept(ledger)
    assert not list(tmp_path.glob("*/run.json"))
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    assert kept(ledger).items() >= before.items()


def test_a_full_disk_is_one_sentence_and_the_answers_before_it_stay(tiny, tmp_path, cache):
    arguments = ["--model", "random-letter", "--benchmark", tiny, "--out", tmp_path]
    ledger = tmp_path / "ledger" / "finished.jsonl"
    done = subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "HLVID_CACHE": str(cache), "PYTHONDONTWRITEBYTECODE": "1"},
        # The kernel refuses to let any file grow beyond this, as a full disk would.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500)),
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "finished.jsonl: cannot be written (File too large)" in done.stderr
    assert "finished before is safe" in done.stderr
    assert "Traceback" not in done.stderr
    before = kept(ledger)
    assert 0 < sum(key.startswith("answer/") for key in before) < 8
    assert invoke(*arguments, "--json").exit_code == 0
    assert kept(ledger).items() >= before.items()


def lie(content: bytes) -> bytes:
    """An MP4 that claims to last a hundred times as long (ISO/IEC 14496-12, 8.2.2 to 8.4.2)."""
    edited = bytearray(content)
    for box, place in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = content.index(box) + place
        (duration,) = struct.unpack_from(">I", content, at)
        struct.pack_into(">I", edited, at, duration * 100)
    return bytes(edited)


def test_a_video_that_lies_about_its_length_gives_the_frames_that_it_has(tiny, tmp_path):
    liar = tmp_path / "liar"
    shutil.copytree(tiny, liar)
    path = liar / "videos" / "v0.mp4"
    path.write_bytes(lie(path.read_bytes()))
    found = []
    for folder in (tiny, liar):
        out = tmp_path / f"runs-{folder.name}"
        done = invoke(
            "--model", "ocr", "--benchmark", folder, "--frames", 1, "--out", out, "--json"
        )
        assert done.exit_code == 0, done.exception
        (row,) = json.loads(done.stdout)["runs"]
        found.append(read_run(out / row["run_id"]).predictions)
    for honest, lying in zip(*found, strict=True):
        assert honest.frames_sha256 == lying.frames_sha256
        assert honest.canvas_sha256 == lying.canvas_sha256


def test_a_missing_video_is_named_and_its_questions_are_answered_once_it_is_there(tiny, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(tiny, folder)
    (folder / "videos" / "v1.mp4").unlink()
    arguments = ["--model", "ocr", "--benchmark", folder, "--frames", 1, "--out", tmp_path / "o"]
    done = invoke(*arguments)
    assert done.exit_code == 3
    assert "1 videos are missing, their questions will be FAILED: v1" in done.stderr
    ledger = tmp_path / "o" / "ledger" / "finished.jsonl"
    before = {k: v for k, v in kept(ledger).items() if k.startswith("answer/v0")}
    assert len(before) == 4
    shutil.copy(tiny / "videos" / "v1.mp4", folder / "videos")
    assert invoke(*arguments).exit_code == 0
    assert kept(ledger).items() >= before.items()

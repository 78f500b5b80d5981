"""Several processes give what one gives, and a run goes on with any other number of them."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from evaluators.cli import app
from evaluators.ledger import Ledger
from evaluators.ranks import Ranks, deal
from hlvid.runs import read_run

BIN = Path(sys.executable).parent
VARYING = {"stage_ms", "peak_memory_bytes", "sitting"}


def launch(cache, *arguments, **settings):
    """Start a command as two processes, as the documentation says."""
    command = [
        *(BIN / "accelerate", "launch", "--multi_gpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", BIN / "hlvid-eval", *arguments),
    ]
    environment = {**os.environ, "HLVID_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        **settings,
    )


def invoke(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.exception
    return [read_run(Path(row["folder"])) for row in json.loads(done.stdout)["runs"]]


def answers(run):
    return [p.model_dump(exclude=VARYING) for p in run.predictions]


def test_two_processes_give_the_summary_of_one(tiny, tmp_path, cache):
    arguments = ["--model", "random-letter", "--benchmark", tiny, "--limit", 7, "--json"]
    (alone,) = invoke(*arguments, "--out", tmp_path / "one")
    with launch(cache, *arguments, "--out", tmp_path / "two") as process:
        out, told = process.communicate(timeout=200)
    assert process.returncode == 0, told
    (row,) = json.loads(out)["runs"]
    together = read_run(Path(row["folder"]))
    assert together.record.run_id == alone.record.run_id
    assert together.record.summary == alone.record.summary
    assert answers(together) == answers(alone)
    assert all(p.stage_ms for p in alone.predictions)
    assert not any(p.stage_ms for p in together.predictions)
    assert told.count("7 of 7 answers stand without times") == 1
    left = sorted(path.name for path in (tmp_path / "two" / "ledger").iterdir())
    assert left == ["finished.jsonl"]


def test_what_two_processes_left_when_they_were_killed_one_takes_up(tiny, tmp_path, cache):
    arguments = ["--model", "ocr", "--benchmark", tiny, "--frames", 3, "--json"]
    out = tmp_path / "runs"
    ledgers = [out / "ledger" / name for name in ("finished.jsonl", "finished-1.jsonl")]
    with launch(cache, *arguments, "--out", out) as process:
        while not all(path.is_file() and b'"look/' in path.read_bytes() for path in ledgers):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children(recursive=True)
        for one in (*workers, process):
            one.kill()
        psutil.wait_procs(workers, timeout=60)
    looks = [path.read_bytes().splitlines() for path in ledgers]
    (resumed,) = invoke(*arguments, "--out", out)
    (alone,) = invoke(*arguments, "--out", tmp_path / "one")
    assert answers(resumed) == answers(alone)
    kept = ledgers[0].read_bytes()
    keys = [json.loads(line)["key"] for line in kept.splitlines()]
    assert sum(key.startswith("look/") for key in keys) == 2, "no video was looked at twice"
    assert all(line in kept for lines in looks for line in lines if line.endswith(b"}"))
    assert not ledgers[1].exists()


def test_a_process_waits_for_the_others_as_long_as_it_takes():
    """A contract with accelerate and torch: what is asked for is what the process group has."""
    code = (
        "from evaluators.ranks import PATIENCE, find_ranks; ranks = find_ranks(); "
        "import torch.distributed as group; "
        "from torch.distributed.distributed_c10d import _get_default_group; "
        "found = _get_default_group()._get_backend(__import__('torch').device('cpu')); "
        "assert found.options._timeout == PATIENCE, found.options._timeout; "
        "print(ranks.number, ranks.num); group.destroy_process_group()"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    told = [process.communicate(timeout=400) for process in started]
    assert [out.split() for out, _ in told] == [["0", "2"], ["1", "2"]], told


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 5])
def test_all_questions_of_a_video_go_to_one_process(num_ranks):
    sizes = {"a": 5, "b": 1, "c": 2, "d": 2}
    docs = [
        {"video_id": v, "number": i, "is_padding": False} for v in sizes for i in range(sizes[v])
    ]
    dealt = deal(docs, num_ranks)
    owners = {}
    for place, doc in enumerate(dealt):
        if not doc["is_padding"]:
            owners.setdefault(doc["video_id"], set()).add(place % num_ranks)
    assert all(len(ranks) == 1 for ranks in owners.values())
    asked = [(d["video_id"], d["number"]) for d in dealt if not d["is_padding"]]
    assert sorted(asked) == sorted((d["video_id"], d["number"]) for d in docs)
    assert len(dealt) % num_ranks == 0


def test_a_ledger_takes_over_what_others_left_beside_it(tmp_path):
    path = tmp_path / "finished.jsonl"
    with Ledger(path) as first:
        first.append("a", 1)
    with Ledger(tmp_path / "finished-1.jsonl", base=path) as other:
        assert other.get("a") == 1
        other.append("b", 2)
    with Ranks().open_ledger(path) as ledger:
        assert (ledger.get("a"), ledger.get("b")) == (1, 2)
    with Ledger(path) as again:
        assert again.get("b") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["finished.jsonl"]

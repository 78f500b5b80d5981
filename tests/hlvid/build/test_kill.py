"""kill -9 at any moment, and the same command again: the same in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hlvid.build.dedup import DEDUP
from hlvid.build.questions import Draft, Reply, add
from hlvid.build.stages import STAGES, by_name
from hlvid.types import Evidence

DRIVER = """
import collections, json, os, random, signal, sys
from pathlib import Path

import numpy, av
from hlvid.build import clip, dedup, download, probe, sites
from hlvid.build.engine import run_stage
from hlvid.build.report import content_digests, reconcile
from hlvid.build.stages import STAGES
from hlvid.build.work import Work

folder, spec, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
CHANGES = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "os.chmod"}
state = {"left": -1, "stage": "none", "wanted": "none", "pwrite": os.pwrite}


def step():
    state["left"] -= state["stage"] == state["wanted"]
    if state["left"] == 0:
        os.write(state["told"], b"killed")
        os.kill(os.getpid(), signal.SIGKILL)


def watch(event, args):
    # Whatever is about to change in the work folder may be the last thing that happens.
    is_reading = event == "open" and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR)
    if event in CHANGES and not is_reading and str(folder) in str(args[0]):
        step()


def torn(descriptor, data, offset):
    # A line may be half written, too.
    half = len(data) // 2
    state["pwrite"](descriptor, data[:half], offset)
    step()
    return state["pwrite"](descriptor, data[half:], offset + half) + half


def build():
    for stage in STAGES:
        state["stage"] = stage.name
        run_stage(Work.open(folder, spec), stage, num_workers=0)
        if stage.name == state["wanted"]:
            break
    os._exit(0)


def is_killed(wanted, left):
    # A process of its own that is killed at a change of this stage, or ends with the stage.
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            os.close(read)
            state.update(left=left, told=write, wanted=wanted)
            os.pwrite = torn
            sys.addaudithook(watch)
            build()
        finally:
            os._exit(1)
    os.close(write)
    told = os.read(read, 100).decode()
    os.close(read)
    code = os.waitstatus_to_exitcode(os.wait()[1])
    assert code == (-signal.SIGKILL if told else 0), (code, told)
    return bool(told)


chance = random.Random(seed)
kills = collections.Counter()
for stage in STAGES if seed else ():
    left = 1
    while is_killed(stage.name, left):
        kills[stage.name] += 1
        left += chance.randint(1, 2)
is_killed("adjudicate", -1)
work = Work.open(folder, spec)
print(json.dumps({
    "digests": content_digests(work),
    "media": sorted(media.sha256 for media in work.store.all()),
    "scratch": sorted(p.name for p in (folder / "scratch").iterdir()),
    "problems": reconcile(work, verify=True),
    "kills": kills,
}))
"""


@pytest.fixture
def shop(workshop, clips, site):
    workshop.take(clips.make(name="a"))
    body = clips.make(name="killed", num_frames=24).read_bytes()
    workshop.url("one", site.put("/film.mp4", body))
    return workshop


def drive(shop, work, seed):
    script = shop.folder / "driver.py"
    script.write_text(DRIVER)
    ran = subprocess.run(
        [sys.executable, script, shop.folder / work, shop.spec, str(seed)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def ask_about(shop, work):
    """Write a question about each clip, and two blind answers to it."""
    folder = shop.folder / "annotations"
    seen = Evidence(start_seconds=0.2, end_seconds=1.2, boxes=((0.2, 4.0, 4.0, 30.0, 20.0),))
    drafts = [
        Draft(
            question_id=f"q-{number}",
            video_id=item.id,
            stem="Which number is on the door of the house at the left?",
            choices=("101", "102", "103", "104"),
            evidence=(seen,),
            author="ann",
        )
        for number, (item, _) in enumerate(shop.open(work).passed(DEDUP))
    ]
    add(folder / "questions", "ann", drafts)
    for name in ("bob", "eve"):
        replies = [
            Reply(
                question_id=draft.question_id,
                wording_sha256=draft.wording_sha256,
                annotator=name,
                choice=draft.choices[0],
            )
            for draft in drafts
        ]
        add(folder / "replies", name, replies)


def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(shop):
    drive(shop, "work", 0)
    ask_about(shop, "work")
    undisturbed = drive(shop, "work", 0)
    assert len(list(shop.open("work").passed(by_name("adjudicate")))) > 0
    assert undisturbed["problems"] == []
    assert undisturbed["scratch"] == []
    killed = drive(shop, "killed", 1)
    kills = killed.pop("kills")
    assert undisturbed.pop("kills") == {}
    assert killed == undisturbed
    assert sorted(kills) == sorted(stage.name for stage in STAGES)
    assert all(number >= 3 for number in kills.values())


POOLED = """
import sys
from pathlib import Path
from hlvid.build.engine import run_stage
from hlvid.build.stages import STAGES
from hlvid.build.work import Work

if __name__ == "__main__":
    for stage in STAGES[:5]:
        work = Work.open(Path(sys.argv[1]), Path(sys.argv[2]))
        run_stage(work, stage, num_workers=1, tell=lambda num, note: print(note, flush=True))
"""


def test_workers_end_with_a_run_that_is_killed(shop):
    script = shop.folder / "pooled.py"
    script.write_text(POOLED)
    command = [sys.executable, script, shop.folder / "work", shop.spec]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        for _ in range(9):
            line = running.stdout.readline()
        assert "passed" in line
        running.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while members(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert members(running.pid) == []
    subprocess.run(command, check=True, capture_output=True)
    work = shop.open()
    assert len(work.entries(by_name("probe"))) == 2


def members(session):
    """Processes of a session that are still there and no corpses."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found

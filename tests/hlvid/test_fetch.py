"""Published benchmarks come from a hub on the loopback address, through the real client."""

import subprocess
import sys
import zipfile

import pytest

from hlvid import datasets
from hlvid.datasets.archives import unpack
from hlvid.datasets.faults import find_faults
from hlvid.datasets.hub import STATE_FILE
from hlvid.errors import UserError

HLVID = datasets.source_of("hlvid")
MP4 = (24).to_bytes(4, "big") + b"ftypmp42" + bytes(12)
FETCH = """
import sys
from pathlib import Path
from hlvid import datasets
from hlvid.datasets import hub
from hlvid.errors import UserError
name, root = sys.argv[1], Path(sys.argv[2])
try:
    offer = hub.ask(datasets.source_of(name))
    hub.fetch(offer, root, load=lambda folder: datasets.load(name, data=folder), tell=print)
except UserError as error:
    print("error:", error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def offered(hub, published):
    """HLVid's layout with two questions on two videos in two tars, one of them hostile."""
    text = "What does sign {} say?\nA. one\nB. two\nC. three\nD. four\nAnswer."
    rows = [
        {
            "question_id": number,
            "category": "av",
            "video_path": f"clip_{number}.mp4",
            "question": text.format(number),
            "answer": "B",
        }
        for number in range(2)
    ]
    first = {"videos/clip_0.mp4": MP4 * 90, "../../out.mp4": MP4}
    second = {"clip_1.mp4": MP4 * 95, "clip_2.mp4": None}
    hub.add(
        HLVID.repository,
        {
            HLVID.questions: published.parquet(rows),
            "README.md": b"of no interest",
            "videos_part_0001.tar": published.tar(first),
            "videos_part_0002.tar": published.tar(second),
        },
        commit=HLVID.revision,
    )
    return hub


def fetch(hub, root, *, code=0, name="hlvid"):
    done = subprocess.run(
        [sys.executable, "-c", FETCH, name, str(root)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(root.parent), **hub.environment()},
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def fetched(hub):
    return [r.split("/")[-1] for r in hub.requests if r.startswith("GET") and "/resolve/" in r]


def test_what_is_fetched_is_unpacked_where_it_is_looked_for_and_nothing_else(offered, tmp_path):
    root = tmp_path / "hlvid"
    told = fetch(offered, root)
    assert "1 of 3: data/test-00000-of-00001.parquet" in told
    benchmark = datasets.load("hlvid", data=root)
    assert benchmark.revision == "2 questions on 2 videos"
    assert benchmark.video_path("clip_1.mp4").read_bytes() == MP4 * 95
    visible = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert {p for p in visible if not p.startswith(".cache")} == {
        HLVID.questions,
        STATE_FILE,
        "videos/clip_0.mp4",
        "videos/clip_1.mp4",
    }
    assert not list(tmp_path.rglob("out.mp4"))
    assert list(find_faults(benchmark)) == []
    before = len(fetched(offered))
    fetch(offered, root)
    assert len(fetched(offered)) == before, "what is here is not fetched again"


def test_a_missing_and_a_short_video_are_named(offered, tmp_path):
    root = tmp_path / "hlvid"
    fetch(offered, root)
    (root / "videos" / "clip_0.mp4").unlink()
    (root / "videos" / "clip_1.mp4").write_bytes(MP4)
    assert list(find_faults(datasets.load("hlvid", data=root))) == [
        "video clip_0.mp4: is missing",
        f"video clip_1.mp4: is short, {len(MP4)} of {95 * len(MP4)} bytes",
    ]
    fetch(offered, root)
    assert list(find_faults(datasets.load("hlvid", data=root))) == []


def test_a_transfer_that_breaks_off_is_taken_up_again(offered, tmp_path):
    offered.breaks_after["videos_part_0002.tar"] = 700
    fetch(offered, tmp_path / "hlvid")
    assert fetched(offered).count("videos_part_0002.tar") == 2
    assert list(find_faults(datasets.load("hlvid", data=tmp_path / "hlvid"))) == []


def test_a_hub_that_is_down_is_told_in_one_sentence(offered, tmp_path):
    offered.datasets.clear()
    told = fetch(offered, tmp_path / "hlvid", code=1)
    assert told.startswith("error: hub: bfshi/HLVid cannot be had from http://127.0.0.1:")
    assert "What is finished stays" in told


def test_a_file_that_is_not_what_the_hub_says_is_refused(offered, tmp_path):
    dataset = offered.datasets[HLVID.repository]
    honest = dataset.entry

    def lie(path):
        entry = honest(path)
        if path.endswith("0002.tar"):
            entry["lfs"]["sha256"] = "0" * 64
        return entry

    dataset.entry = lie
    told = fetch(offered, tmp_path / "hlvid", code=2)
    assert "videos_part_0002.tar: has digest" in told
    assert not (tmp_path / "hlvid" / "videos_part_0002.tar").exists()


@pytest.mark.parametrize(
    ("members", "most", "said"),
    [
        ({}, 100, "cannot be unpacked"),
        ({"a/clip.mp4": MP4, "b/clip.mp4": MP4}, None, "'b/clip.mp4' twice"),
        ({"clip.mp4": MP4 * 90}, 1000, "cannot be unpacked"),
    ],
)
def test_a_broken_archive_is_refused_and_leaves_nothing_half(
    published, tmp_path, members, most, said
):
    archive = tmp_path / "x.tar"
    archive.write_bytes(published.tar(members)[:most])
    with pytest.raises(UserError, match=said):
        unpack(archive, tmp_path / "out", {"clip.mp4": "videos/clip.mp4"})
    left = [path.name for path in (tmp_path / "out").rglob("*.part")]
    assert left == []


def test_members_that_lie_about_themselves_are_refused_in_a_sentence(published, tmp_path):
    tarred = bytearray(published.tar({"clip.mp4": MP4}))
    tarred[124:136] = b"\xff" * 12  # a length below 0, in base 256
    tarred[148:156] = b" " * 8
    tarred[148:155] = b"%06o\0" % sum(tarred[:512])
    (tmp_path / "x.tar").write_bytes(tarred)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.writestr("clip.mp4", MP4)
    locked = bytearray((tmp_path / "x.zip").read_bytes())
    for head, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(head) + at] |= 1
    (tmp_path / "x.zip").write_bytes(locked)
    for name in ("x.tar", "x.zip"):
        with pytest.raises(UserError, match=f"{name}: "):
            unpack(tmp_path / name, tmp_path / "out", {"clip.mp4": "clip.mp4"})
    assert not list((tmp_path / "out").rglob("*.mp4"))


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("data/clip.mp4", bytes(2**25))
    with pytest.raises(UserError, match="Allowed are 20 times its own length"):
        unpack(archive, tmp_path / "out", {"clip.mp4": "data/clip.mp4"})
    assert not list(tmp_path.rglob("clip.mp4"))

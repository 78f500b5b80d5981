"""What strangers hand in: one clear error each, little memory, nothing outside the folder."""

import io
import json
import subprocess
import sys
import tarfile

import pytest
from typer.testing import CliRunner

from hlvid.build.discover import DISCOVER
from hlvid.build.probe import PROBE
from hlvid.cli import app
from hlvid.datasets.archives import unpack
from hlvid.errors import UserError

# --- archives ------------------------------------------------------------------------------------

FILM = b"\0\0\0\x18ftypmp42" + bytes(4000)


def member(name, *, kind=tarfile.REGTYPE, link="", content=b""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def archive(folder, *members):
    path = folder / "videos_part_0001.tar"
    with tarfile.open(path, "w") as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content))
    return path


def files_of(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


def test_an_archive_gives_known_names_in_their_places_and_nothing_else(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("not for you")
    outside = tmp_path / "outside.mp4"
    path = archive(
        tmp_path,
        member(f"{tmp_path}/outside.mp4", content=FILM),
        member("/etc/evil.mp4", content=FILM),
        member("../../../one.mp4", content=FILM),
        member(f"{tmp_path}/two.mp4", content=FILM + b"2"),
        member("videos/link.mp4", kind=tarfile.SYMTYPE, link=str(secret)),
        member("videos/hard.mp4", kind=tarfile.LNKTYPE, link=str(secret)),
        member("videos/up.mp4", kind=tarfile.SYMTYPE, link="../../secret"),
        member("videos", kind=tarfile.SYMTYPE, link=str(tmp_path)),
        member("videos/pipe.mp4", kind=tarfile.FIFOTYPE),
        member("videos/disk.mp4", kind=tarfile.BLKTYPE),
    )
    before = files_of(tmp_path)
    names = ("one", "two", "link", "hard", "up", "pipe", "disk")
    places = {f"{name}.mp4": f"videos/{name}.mp4" for name in names}
    taken = unpack(path, tmp_path / "root", places)
    assert taken == {"videos/one.mp4": len(FILM), "videos/two.mp4": len(FILM) + 1}
    assert files_of(tmp_path) - before == {"root/videos/one.mp4", "root/videos/two.mp4"}
    assert not (tmp_path / "root" / "videos").is_symlink()
    assert not outside.exists()
    assert secret.read_text() == "not for you"


def test_a_tar_that_grows_beyond_measure_is_refused(tmp_path):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz", compresslevel=9) as file:
        info, content = member("clip.mp4", content=bytes(2**25))
        file.addfile(info, io.BytesIO(content))
    path = tmp_path / "bomb.tar"
    path.write_bytes(inner.getvalue())
    with pytest.raises(UserError, match=r"^bomb\.tar: holds more than \d+ bytes at 'clip\.mp4'"):
        unpack(path, tmp_path / "root", {"clip.mp4": "videos/clip.mp4"})
    assert files_of(tmp_path) == {"bomb.tar"}


# --- videos --------------------------------------------------------------------------------------

PROBED = """
import re, sys
from pathlib import Path
from hlvid.build.engine import run_stage
from hlvid.build.stages import STAGES
from hlvid.build.work import Work

for stage in STAGES[:5]:
    run_stage(Work.open(Path(sys.argv[1]), Path(sys.argv[2])), stage, num_workers=0)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024)
"""


def claims_to_be_huge(clips, container):
    """A film of 64 x 48 pixels whose pictures say that they have 32768 x 32768."""
    content = clips.make("vp9", container).read_bytes()
    # VP9's frame header has 4 bits after its sync code, then width and height less one.
    small, huge = (
        b"\x49\x83\x42" + (width << 20 | height << 4).to_bytes(5, "big")[:4]
        for width, height in ((63, 47), (32767, 32767))
    )
    assert small in content
    return clips.write(f"huge.{container}", content.replace(small, huge))


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_frame_that_claims_to_be_huge_takes_no_memory(workshop, clips, container):
    workshop.rules["select"]["codecs"] = ["vp9"]
    workshop.take(claims_to_be_huge(clips, container), clips.make("vp9", name="sound"))
    outside = files_of(workshop.folder)
    paths = (workshop.folder / "work", workshop.spec)
    done = subprocess.run(
        [sys.executable, "-c", PROBED, *paths], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 2**30
    work = workshop.open()
    names = {t.item.id: t.item.input.locator for t in work.tasks(DISCOVER)}
    ends = {names[e.item].partition(".")[0]: e for e in work.entries(PROBE)}
    assert ends.pop("huge").state == "quarantined"
    assert {e.state for e in ends.values()} == {"passed"}
    new = files_of(workshop.folder) - outside
    assert all(name.startswith("work/") or name == "spec.toml" for name in new)


# --- questions -----------------------------------------------------------------------------------

IMPORTED = """
import re, sys
from hlvid.cli import main
try:
    main()
finally:
    print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024)
"""


def test_a_million_questions_are_one_sentence_and_little_memory(workshop, clips):
    workshop.take(clips.make())
    workshop.run()
    line = {"question_id": "q", "video_id": "v", "stem": "Which?", "choices": ["a", "b"]}
    path = workshop.folder / "questions.jsonl"
    with path.open("wb") as file:
        for _ in range(1000):
            file.write((json.dumps({**line, "author": "ann"}) + "\n").encode() * 1000)
    before = files_of(workshop.folder.parent)
    words = ["annotate", "import", workshop.spec, path, "--kind", "write"]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words, "--work", workshop.folder / "work"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith("error: questions.jsonl: has more than 50000 lines.")
    assert int(done.stdout) < 2**29
    assert files_of(workshop.folder.parent) == before


TITLE = "../../etc/passwd \x1b[2J <script>alert(1)</script> $(touch pwned); `id` \u202e"


def test_a_hostile_title_is_data_in_every_page_and_path(workshop, clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = TITLE.replace("/", "%2f").encode(errors="replace").decode()[:120] + ".mp4"
    workshop.take()
    (workshop.folder / "own" / name).write_bytes(clips.make().read_bytes())
    workshop.run()
    before = files_of(tmp_path)
    for words in (["status", "--items"], ["report", "--reconcile"]):
        verb, *rest = words
        arguments = [verb, str(workshop.spec), "--work", str(workshop.folder / "work"), *rest]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert "\x1b" not in done.output
        assert "\u202e" not in done.output
    assert files_of(tmp_path) == before
    assert not [path for path in before if "passwd" in path and "own/" not in path]

"""From settled questions to a lock and a package."""

import json
import os
import subprocess
import sys

import pytest

from hlvid import datasets
from hlvid.build.adjudicate import ADJUDICATE
from hlvid.build.lock import LOCK_FILE
from hlvid.build.package import package, read_manifest
from hlvid.build.questions import Ruling, add
from hlvid.build.rebuild import rebuild
from hlvid.build.rows import COLUMNS
from hlvid.build.split import split
from hlvid.build.takedown import take_down
from hlvid.build.verify import verify
from hlvid.datasets.parquet import read_rows
from hlvid.errors import UserError
from hlvid.types import Evidence


def test_a_package_is_what_it_says_and_loads(desk, tmp_path):
    work, drafts = desk.settled()
    split(work)
    manifest = package(work, tmp_path / "out")
    assert verify(tmp_path / "out") == []
    assert (manifest.num_questions, manifest.num_videos) == (6, 2)
    benchmark = datasets.read(tmp_path / "out" / "test", root=tmp_path / "out")
    assert len(benchmark.questions) == 6
    right = {d.stem + d.video_id: d.choices[0] for d in drafts}
    for question in benchmark.questions:
        gold = question.choices[ord(question.answer) - ord("A")]
        assert gold == right[question.stem + question.video_id.removesuffix(".mp4")]
        assert benchmark.video_path(question.video_id).is_file()
    released = datasets.load("hlvid", data=tmp_path / "out")
    assert [q.text for q in released.questions] == [q.text for q in benchmark.questions]


def test_huggingface_datasets_reads_both_configurations(desk, tmp_path, monkeypatch):
    work, _ = desk.settled()
    split(work)
    manifest = package(work, tmp_path / "out")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import datasets as huggingface

    where = {"cache_dir": str(tmp_path / "cache")}
    plain = huggingface.load_dataset(str(tmp_path / "out"), split="test", **where)
    assert plain.column_names == ["question_id", "category", "video_path", "question", "answer"]
    rich = huggingface.load_dataset(str(tmp_path / "out"), "structured", split="test", **where)
    assert rich[0]["evidence"][0]["boxes"][0]["x1"] == 30.0
    assert set(rich["canary"]) == {manifest.canary}


def test_croissant_validates(desk, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    work, _ = desk.settled()
    split(work)
    package(work, tmp_path / "out")
    described = mlcroissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    rows = list(described.records("questions-test"))
    assert len(rows) == 6
    assert rows[0]["questions-test/answer"] in (b"A", b"B", b"C", b"D")
    broken = json.loads((tmp_path / "out" / "croissant.json").read_text())
    broken["recordSet"][1]["field"][0]["source"]["fileObject"]["@id"] = "nowhere"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(tmp_path / "broken.json"))


def test_making_it_again_elsewhere_gives_the_same_digests(desk, tmp_path):
    work, _ = desk.settled()
    split(work)
    before = package(work, tmp_path / "out")
    (desk.shop.folder / LOCK_FILE).unlink()
    code = (
        "import sys; from pathlib import Path\n"
        "from hlvid.build.work import Work; from hlvid.build.split import split\n"
        "from hlvid.build.package import package\n"
        "work = Work.open(Path(sys.argv[1]), Path(sys.argv[2])); split(work)\n"
        "print(package(work, Path(sys.argv[3])).model_dump_json())\n"
    )
    paths = [str(p) for p in (work.folder, desk.shop.spec, tmp_path / "again")]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    again = json.loads(done.stdout)
    assert again["content_sha256"] == dict(before.content_sha256)
    assert again["files"] == before.model_dump(mode="json")["files"]


def test_letters_never_move_and_the_lock_only_grows(desk, draft, tmp_path):
    work, drafts = desk.settled(num_each=2)
    before, _ = split(work)
    first = (desk.shop.folder / LOCK_FILE).read_bytes()
    package(work, tmp_path / "one")
    desk.shop.rules["split"] = {"version": "1.1.0", "salt": "other salt now"}
    more = [draft(9, desk.clips[0]), draft(8, desk.clips[1])]
    mended = [drafts[0].model_copy(update={"stem": "Which number is on the door at the left?"})]
    desk.write([*mended, *drafts[1:-1], *more])
    desk.answer([*mended, *drafts[1:-1], *more])
    add(desk.folder / "questions", "gone", [drafts[-1]])
    ruled = Ruling(
        question_id=drafts[-1].question_id,
        wording_sha256=drafts[-1].wording_sha256,
        decision="reject",
        reason="two doors",
        adjudicator="zoe",
    )
    add(desk.folder / "rulings", "zoe", [ruled])
    lock, lines = split(desk.settle())
    assert (desk.shop.folder / LOCK_FILE).read_bytes().startswith(first)
    assert sorted(line.event for line in lines) == ["added", "added", "changed", "withdrawn"]
    for line in before.active:
        now = lock.last[line.question_id]
        assert (now.number, now.split, now.order) == (line.number, line.split, line.order)
    package(desk.shop.open(), tmp_path / "two")
    assert verify(tmp_path / "two", parent=tmp_path / "one") == []
    assert "two doors" not in (tmp_path / "two" / "CHANGELOG.md").read_text()
    assert "ruled\\_out" in (tmp_path / "two" / "CHANGELOG.md").read_text()
    assert verify(tmp_path / "one", parent=tmp_path / "two") != []


def test_a_takedown_leaves_a_tombstone_and_withdraws(desk, tmp_path):
    work, _ = desk.settled()
    split(work)
    package(work, tmp_path / "one")
    take_down(work, desk.clips[0], "the owner asked")
    desk.shop.rules["split"]["version"] = "1.1.0"
    work = desk.shop.run("adjudicate")
    lock, lines = split(work)
    assert {line.reason for line in lines} == {"takedown"}
    package(work, tmp_path / "two")
    assert verify(tmp_path / "two", parent=tmp_path / "one") == []
    assert len(list((tmp_path / "two" / "videos").iterdir())) == 1
    assert "the owner asked" in (tmp_path / "two" / "README.md").read_text()
    assert len(lock.active) == 3


def test_only_what_the_lock_holds_is_packaged(desk, tmp_path):
    work, drafts = desk.settled()
    split(work)
    seen = Evidence(start_seconds=0.2, end_seconds=1.2, boxes=((0.2, 9.0, 4.0, 30.0, 20.0),))
    for changes in (
        {"evidence": (seen,)},
        {"choices": (*drafts[0].choices, "a fifth")},
        {"choices": drafts[0].choices[:3]},
    ):
        now = [drafts[0].model_copy(update=changes), *drafts[1:]]
        desk.write(now)
        desk.answer(now)
        with pytest.raises(UserError, match=r"is not as .* Raise split\.version and run: .* split"):
            package(desk.settle(), tmp_path / "out")
    desk.write([drafts[0].model_copy(update={"evidence": (seen,)}), *drafts[1:]])
    desk.answer(drafts)
    desk.shop.rules["split"]["version"] = "1.1.0"
    work = desk.settle()
    _, lines = split(work)
    assert [line.event for line in lines] == ["changed"]
    package(work, tmp_path / "out")
    assert verify(tmp_path / "out") == []


def test_a_version_that_was_raised_too_late_can_be_packaged(desk, draft, tmp_path):
    work, drafts = desk.settled()
    split(work)
    package(work, tmp_path / "one")
    more = [*drafts, draft(9, desk.clips[0])]
    desk.write(more)
    desk.answer(more)
    split(desk.settle())
    desk.shop.rules["split"]["version"] = "1.1.0"
    work = desk.settle()
    assert split(work)[1] == []
    assert package(work, tmp_path / "two").version == "1.1.0"
    assert verify(tmp_path / "two", parent=tmp_path / "one") == []
    assert "### 1.1.0" in (tmp_path / "two" / "CHANGELOG.md").read_text()
    desk.shop.rules["split"]["version"] = "0.9.0"
    with pytest.raises(UserError, match=r"the spec says version 0\.9\.0"):
        package(desk.shop.open(), tmp_path / "three")


def test_a_package_replaces_only_a_package(desk, tmp_path):
    work, _ = desk.settled(num_each=1)
    split(work)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds something else"):
        package(work, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").exists()
    (tmp_path / "out" / "thesis.txt").unlink()
    first = package(work, tmp_path / "out")
    assert package(work, tmp_path / "out") == first == read_manifest(tmp_path / "out")


def test_a_package_is_made_again_with_everything_before_it(desk, tmp_path):
    work, _ = desk.settled(num_each=2)
    split(work)
    manifest = package(work, tmp_path / "out")
    before = sorted(work.folder.rglob("*"))
    done = rebuild(work, num_workers=0, package=tmp_path / "out")
    assert done.differences == ()
    made = {f"package {name}": sha256 for name, sha256 in manifest.content_sha256.items()}
    assert made.items() <= done.digests.items() and len(done.digests) > len(made) + 8
    assert [p for p in sorted(work.folder.rglob("*")) if p.name != ".rebuild.lock"] == before
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace(manifest.content_sha256["lock"], "0" * 64))
    told = rebuild(work, num_workers=0, package=tmp_path / "out").differences
    assert "package: lock: differs" in told
    lock = desk.shop.folder / LOCK_FILE
    lines = [json.loads(line) for line in lock.read_text().splitlines()]
    lines[0]["order"] = lines[0]["order"][1:] + lines[0]["order"][:1]
    lock.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = rebuild(desk.shop.open(), num_workers=0, package=tmp_path / "out").differences
    assert any(lines[0]["question_id"] in one and "do not follow" in one for one in told)


def test_a_package_stays_when_the_next_one_cannot_be_made(desk, tmp_path, monkeypatch):
    work, _ = desk.settled(num_each=1)
    split(work)
    first = package(work, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.before")  # as a killed process leaves it

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hlvid.build.package._write", full)
    with pytest.raises(OSError, match="No space left"):
        package(work, tmp_path / "out")
    assert read_manifest(tmp_path / "out") == first


@pytest.mark.parametrize("at", ["before", "part"])
def test_a_package_that_was_killed_while_it_was_replaced_is_made_again(desk, tmp_path, at):
    work, _ = desk.settled(num_each=1)
    split(work)
    first = package(work, tmp_path / "out")
    # As it lies between two steps: half of the old one gone, or moved away and nothing in place.
    left = tmp_path / f".out.{at}"
    (tmp_path / "out").rename(left)
    (left / "manifest.json").unlink()
    assert package(work, tmp_path / "out") == first == read_manifest(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out"]


def test_words_from_outside_are_no_markup_on_the_card(desk, tmp_path):
    desk.shop.rules["package"]["description"] = "<script>x</script> | [a](javascript:b) `c`"
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "<script>" not in page
    assert "\\<script\\>" in page
    assert "](javascript" not in page.replace("\\]\\(", "")
    rows = read_rows(tmp_path / "out" / "data" / "test-00000-of-00001.parquet", COLUMNS)
    assert len(rows) == len(work.entries(ADJUDICATE))

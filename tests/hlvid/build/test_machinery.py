import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from hlvid.build import journal
from hlvid.build.clip import CLIP
from hlvid.build.codes import CODES, Ended, State, clean
from hlvid.build.engine import Shard, run_stage
from hlvid.build.fetch import FETCH
from hlvid.build.probe import PROBE
from hlvid.build.rebuild import rebuild
from hlvid.build.records import Media
from hlvid.build.report import (
    candidate_endings,
    content_digests,
    counts,
    export_parquet,
    reconcile,
    unreferenced,
)
from hlvid.build.spec import Spec, example_bytes, read_spec
from hlvid.build.stages import STAGES, VERBS
from hlvid.build.store import Store
from hlvid.build.telling import ORDER
from hlvid.errors import UserError


def named(work):
    return {task.item.input.locator: task.item.id for task in work.tasks(STAGES[1])}


def test_every_candidate_ends_exactly_once_and_it_adds_up(small_shop):
    work = small_shop.run()
    endings = candidate_endings(work)
    assert counts(endings) == {"rejected duplicate": 1, "rejected too_short": 1, "selected": 2}
    assert reconcile(work, verify=True) == []
    assert unreferenced(work) == (0, 0)


def test_nothing_is_done_twice(small_shop):
    small_shop.run()
    work = small_shop.open()
    for stage in STAGES:
        assert work.todo(stage) == []
        assert run_stage(work, stage).num_done_now == 0


def test_a_rule_that_changes_makes_anew_only_what_it_touches(small_shop):
    before = small_shop.run()
    small_shop.rules["clip"]["target_seconds"] = 1.0
    work = small_shop.open()
    left = {stage.name: len(work.todo(stage)) for stage in STAGES}
    assert left["fetch"] == left["probe"] == 0
    assert left["clip"] == 3
    small_shop.run()
    assert content_digests(small_shop.open()) != content_digests(before)
    assert unreferenced(small_shop.open())[0] > 0
    small_shop.rules["clip"]["target_seconds"] = 1.6
    work = small_shop.open()
    assert all(work.todo(stage) == [] for stage in STAGES)


def test_the_fetching_manners_change_nothing(small_shop):
    small_shop.run()
    small_shop.rules["fetch"]["num_tries"] = 7
    assert all(small_shop.open().todo(stage) == [] for stage in STAGES)


def test_lost_media_are_made_again_and_found_missing(small_shop):
    work = small_shop.run()
    clip = next(clips.clips[0] for _, clips in work.passed(CLIP))
    path = work.store.path(clip.file)
    path.unlink()
    assert any("not in the store" in problem for problem in reconcile(work))
    assert len(small_shop.open().todo(CLIP)) >= 1
    work = small_shop.run()
    assert path.is_file()
    assert reconcile(work, verify=True) == []


def test_changed_media_and_manifests_are_found(small_shop):
    work = small_shop.run()
    asset = next(asset for _, asset in work.passed(FETCH))
    path = work.store.path(asset.file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    assert reconcile(work) == []
    assert any("have changed" in problem for problem in reconcile(work, verify=True))
    assert any("its bytes have changed" in d for d in rebuild(work, num_workers=0).differences)
    manifest = work.manifest_path(PROBE)
    manifest.write_bytes(manifest.read_bytes().replace(b'"fps":10.0', b'"fps":11.0'))
    assert any("probe: its manifest" in problem for problem in reconcile(work))


def test_a_manifest_holds_no_clock_and_no_path(small_shop, tmp_path):
    small_shop.run()
    text = "".join(p.read_text() for p in (small_shop.folder / "work/manifests").iterdir())
    assert os.fspath(tmp_path) not in text
    assert "unix" not in text
    for line in text.splitlines():
        assert json.loads(line)["item"]


BUILD = """
import sys
from pathlib import Path
from hlvid.build.engine import Shard, run_stage
from hlvid.build.report import content_digests
from hlvid.build.stages import STAGES
from hlvid.build.work import Work
import json

if __name__ == "__main__":
    folder, spec = map(Path, sys.argv[1:3])
    num_workers, num_shards = map(int, sys.argv[3:])
    for stage in STAGES:
        is_sharded = stage.runs_on == "cores"
        for index in reversed(range(num_shards if is_sharded else 1)):
            shard = Shard(index, num_shards) if is_sharded else Shard()
            run_stage(Work.open(folder, spec), stage, num_workers=num_workers, shard=shard)
    print(json.dumps(content_digests(Work.open(folder, spec))))
"""


def build_elsewhere(shop, work, *, num_workers=0, num_shards=1, **environment):
    script = shop.folder / "build.py"
    script.write_text(BUILD)
    ran = subprocess.run(
        [sys.executable, script, shop.folder / work, shop.spec, str(num_workers), str(num_shards)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def media_of(shop, work):
    return {p.name for p in (shop.folder / work / "media").rglob("*") if p.is_file()}


def test_the_same_comes_out_whoever_does_it_and_wherever(small_shop):
    here = content_digests(small_shop.run())
    abroad = {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "LANG": "tr_TR.UTF-8"}
    sharded = build_elsewhere(small_shop, "shards", num_shards=3, **abroad)
    pooled = build_elsewhere(small_shop, "pool", num_workers=2, PYTHONHASHSEED="1", TZ="UTC")
    assert here == sharded == pooled
    assert media_of(small_shop, "work") == media_of(small_shop, "shards")
    assert media_of(small_shop, "work") == media_of(small_shop, "pool")
    names = {p.name for p in (small_shop.folder / "shards/journal/probe").iterdir()}
    assert names <= {f"{i}-of-3.jsonl" for i in range(3)}


def test_rebuilding_gives_the_same_and_leaves_nothing(small_shop):
    work = small_shop.run()
    before = sorted(work.folder.rglob("*"))
    done = rebuild(work, num_workers=0)
    assert done.differences == ()
    assert done.num_entries > 20
    assert [p for p in sorted(work.folder.rglob("*")) if p.name != ".rebuild.lock"] == before


def test_rebuilding_tells_what_differs(small_shop):
    work = small_shop.run()
    path = next((work.folder / "journal/probe").iterdir())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    with journal.Writer(path) as writer:
        for line in lines:
            if line["entry"]["output"]:
                line["entry"]["output"]["detail_decibels"] = 99.0
            writer.write(journal.make_line(line["entry"], {}, attempt=0))
    done = rebuild(small_shop.open(), num_workers=0)
    assert any("probe: " in d and "output.detail_decibels" in d for d in done.differences)


def test_rebuilding_tells_of_a_file_that_is_gone(small_shop):
    work = small_shop.run()
    entry = next(e for e in work.entries(FETCH) if e.output)
    work.store.path(entry.output.file).unlink()
    done = rebuild(small_shop.open(), num_workers=0)
    assert f"fetch: {entry.item}: its file is gone" in done.differences


# --- items that go wrong -------------------------------------------------------------------------


SQUARES = """
import os
from hlvid.build.codes import Ended
from hlvid.build.records import Output
from hlvid.build.stage import Item, Stage, no_parameters
from hlvid.types import Record


class Number(Record):
    value: int


class Square(Output):
    value: int


def numbers(work):
    for value in range(6):
        yield Item(f"n{value}", None, Number(value=value))


def square(number, parameters, desk):
    if number.value == 2:
        os._exit(9)
    if number.value == 3:
        raise RuntimeError("/home/someone/secret is not there")
    if number.value == 4:
        raise Ended("network", "it \\x1b[31mbroke\\nhere")
    return Square(value=number.value**2)


STAGE = Stage("squares", 1, Square, numbers, no_parameters, square)
"""


@pytest.fixture
def squares(tmp_path, monkeypatch):
    """A stage in a module that other processes can import."""
    (tmp_path / "squares_stage.py").write_text(SQUARES)
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    yield importlib.import_module("squares_stage")
    del sys.modules["squares_stage"]


def test_one_items_failure_does_not_end_the_others(workshop, clips, squares):
    workshop.take(clips.make())
    work = workshop.open()
    run_stage(work, squares.STAGE, num_workers=1)
    found = {e.item: (str(e.state), e.code, e.detail) for e in work.entries(squares.STAGE)}
    assert found == {
        "n0": ("passed", None, None),
        "n1": ("passed", None, None),
        "n2": ("quarantined", "worker_killed", "twice"),
        "n3": ("quarantined", "defect", "RuntimeError"),
        "n4": ("failed", "network", "it [31mbroke here"),
        "n5": ("passed", None, None),
    }
    assert "secret" in next((work.folder / "journal/squares").iterdir()).read_text()
    assert [t.item.id for t in work.todo(squares.STAGE)] == ["n4"]
    assert len(work.todo(squares.STAGE, retry=["defect"])) == 2


def full(number, parameters, desk):
    raise OSError(28, "No space left on device")


def test_a_full_disk_stops_the_run_and_says_so(workshop, clips, squares):
    workshop.take(clips.make())
    work = workshop.open()
    stage = replace(squares.STAGE, name="full", perform=full, runs_on="here")
    with pytest.raises(UserError, match=r"full: stopped \(disk_full\)\. Free some space") as caught:
        run_stage(work, stage)
    assert caught.value.exit_code == 1
    assert len(work.entries(stage)) == 1


# --- parts ---------------------------------------------------------------------------------------


def test_shards_are_disjoint_and_complete():
    ids = [f"item-{number}" for number in range(500)]
    shards = [Shard(index, 7) for index in range(7)]
    for item in ids:
        assert sum(shard.holds(item) for shard in shards) == 1
    assert all(sum(shard.holds(item) for item in ids) > 30 for shard in shards)
    assert Shard.parse("3/8") == Shard(3, 8)
    for wrong in ("8/8", "1", "-1/3", "a/b", "0/0", "1/3/4", ""):
        with pytest.raises(UserError, match=r"^--shard: "):
            Shard.parse(wrong)


def test_the_network_is_not_sharded(workshop, clips):
    workshop.take(clips.make())
    work = workshop.open()
    with pytest.raises(UserError, match="fetch: cannot be sharded"):
        run_stage(work, FETCH, shard=Shard(0, 2))


def line_of(task, *, attempt=0, state="passed"):
    entry = {"task": task * 64, "item": task, "state": state}
    return journal.make_line(entry, {"took_seconds": 1.5}, attempt=attempt)


def test_a_journal_survives_a_torn_end_and_no_other_damage(tmp_path):
    path = tmp_path / "0-of-1.jsonl"
    with journal.Writer(path) as writer:
        writer.write(line_of("a"))
        writer.write(line_of("b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        assert set(journal.read(tmp_path)) == {"a" * 64}
    with journal.Writer(path) as writer:
        writer.write(line_of("b"))
    assert path.read_bytes() == whole
    path.write_bytes(whole.replace(b"1.5", b"2.5", 1))
    with pytest.raises(UserError, match=r"0-of-1\.jsonl:1: line is damaged"):
        journal.read(tmp_path)


def test_a_line_that_is_finished_while_it_is_read_is_no_damage(tmp_path, monkeypatch):
    path = tmp_path / "0-of-1.jsonl"
    with journal.Writer(path) as writer:
        writer.write(line_of("a"))
    data = path.read_bytes()
    path.write_bytes(data + data[:40])
    parse = journal._parse

    def finished_meanwhile(line, where):
        if not line.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(data[40:])
        return parse(line, where)

    monkeypatch.setattr(journal, "_parse", finished_meanwhile)
    assert len(list(journal.read_all(tmp_path))) == 1
    assert len(list(journal.read_all(tmp_path))) == 2


def test_the_latest_attempt_counts_whatever_the_file(tmp_path):
    with journal.Writer(tmp_path / "1-of-2.jsonl") as writer:
        writer.write(line_of("a", attempt=1, state="passed"))
    with journal.Writer(tmp_path / "0-of-1.jsonl") as writer:
        writer.write(line_of("a", attempt=0, state="failed"))
    (tmp_path / "notes.jsonl").write_text("not ours\n")
    assert journal.read(tmp_path)["a" * 64].entry["state"] == "passed"


def test_a_journal_has_one_writer(tmp_path):
    path = tmp_path / "0-of-1.jsonl"
    with journal.Writer(path), pytest.raises(UserError, match="another hlvid-build is writing"):
        journal.Writer(path)
    with journal.Writer(path):
        pass


def test_the_store_takes_whole_files_only(tmp_path):
    store = Store(tmp_path / "media")
    part = tmp_path / "part"
    part.write_bytes(b"abc")
    with pytest.raises(Ended, match="source_changed"):
        store.put(part, pin="0" * 64)
    media = store.put(part)
    assert not part.exists()
    assert store.path(media).read_bytes() == b"abc"
    longer = Media(sha256=media.sha256, num_bytes=4)
    assert not store.has(longer)
    with pytest.raises(Ended, match="media_missing"):
        store.path(longer)
    over = Store(tmp_path / "over", beneath=store)
    part.write_bytes(b"abc")
    assert over.put(part) == media
    assert list(over.all()) == []
    assert list(store.all()) == [media]
    banned = Store(tmp_path / "media", banned=frozenset([media.sha256]))
    part.write_bytes(b"abc")
    with pytest.raises(Ended, match="takedown"):
        banned.put(part)


def test_text_from_outside_is_one_clean_line():
    assert clean(" a\x00\tb\u202ec\ud800 \n d ", max_characters=99) == "a b c d"
    assert clean("e\u0301" * 10, max_characters=5) == "é" * 5


def test_manifests_are_there_as_parquet_too(small_shop, tmp_path):
    import pyarrow.parquet

    work = small_shop.run()
    paths = export_parquet(work, tmp_path / "tables")
    assert {path.stem for path in paths} == {s.name for s in STAGES if work.entries(s)}
    table = pyarrow.parquet.read_table(tmp_path / "tables" / "probe.parquet")
    assert table.num_rows == len(work.entries(PROBE))
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in export_parquet(work, tmp_path / "tables")] == before


# --- spec ----------------------------------------------------------------------------------------


def test_the_example_shows_every_field_with_its_default(tmp_path):
    path = tmp_path / "hlvid.toml"
    path.write_bytes(example_bytes())
    spec = read_spec(path)
    plain = Spec(name=spec.name, sources=spec.sources)
    assert spec == plain
    text = example_bytes().decode()
    for part in ("select", "fetch", "probe", "clip", "dedup"):
        assert f"\n[{part}]" in text
        for field in type(getattr(spec, part)).model_fields:
            assert f"\n{field} = " in text, field


SOURCE = '[[sources]]\nname = "a"\nkind = "url"\nurl = "http://h/x"\ncategory = "av"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "is not TOML"),
        ('name = "x"', "field 'sources' is missing"),
        (f'name = "x"\ncolour = 1\n{SOURCE}', "field 'colour' is unknown"),
        (f'name = "x"\n{SOURCE}{SOURCE}', "source a is there twice"),
        (f'name = "x"\n{SOURCE}[clip]\ntarget_seconds = "300"', "field 'clip.target_seconds'"),
        (f'name = "x"\n{SOURCE}[clip]\ntarget_seconds = inf', "holds inf or nan"),
        (f'name = "x"\n{SOURCE}[clip]\ntarget_seconds = 2020-01-01', "is a date"),
        (f'name = "x"\n{SOURCE}'.replace("http://h/x", "file:///etc/passwd"), "is not allowed"),
        (f'name = "x"\n{SOURCE}'.replace("http://h", "http://me:pw@h"), "user name or password"),
        (
            f'name = "x"\n{SOURCE}'.replace("/x", "/x?v=1&X-Amz-Signature=pw"),
            "a url of host 'h' is signed ('X-Amz-Signature'), and addresses are published",
        ),
        (f'name = "x"\n{SOURCE}'.replace('url"', 'folder"', 1), "a folder needs path"),
        (f'name = "../x"\n{SOURCE}', "field 'name'"),
        (
            f'name = "x"\n{SOURCE}[audit.models]\nm = "it\'s {{probes}} {{answers}}"',
            "audit.models.m: the command cannot be taken apart (No closing quotation)",
        ),
        (f'name = "x"\n{SOURCE}[audit.models]\nm = "it {{probes}}"', "needs the words {probes}"),
        (f'name = "x"\n{SOURCE}[probe]\nlet_through = {{a = ["truncated"]}}', "let_through.a"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_spec(path)
    assert str(caught.value).startswith("spec.toml: ")
    assert said in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_list_of_addresses_is_read_line_by_line(workshop):
    workshop.sources.append({"name": "l", "kind": "list", "path": "u.txt", "category": "av"})
    (workshop.folder / "u.txt").write_text("# ours\n\nhttp://127.0.0.1:9/a\nhttp://127.0.0.1:9/a\n")
    work = workshop.run("list")
    (listing,) = [listing for _, listing in work.passed(STAGES[0])]
    assert [c.locator for c in listing.candidates] == ["http://127.0.0.1:9/a"]
    (workshop.folder / "u.txt").write_text("http://x/\njavascript:alert(1)\n")
    with pytest.raises(UserError, match=r"u.txt:2 \(source l\): url 'javascript"):
        workshop.run("list")
    (workshop.folder / "u.txt").write_text("http://x/?sig=pw\n")
    with pytest.raises(UserError, match=r"u.txt:1 \(source l\): a url of host 'x' is signed"):
        workshop.run("list")


@pytest.mark.parametrize("kind", ["list", "folder"])
def test_a_source_with_more_than_it_may_have_is_refused(workshop, clips, kind):
    source = {"name": kind, "kind": kind, "path": kind, "category": "av", "max_videos": 2}
    workshop.sources.append(source)
    if kind == "list":
        lines = (f"http://127.0.0.1:9/{number}\n" for number in range(3))
        (workshop.folder / kind).write_text("".join(lines))
    else:
        workshop.take(clips.make(), clips.make("vp9"), clips.make("av1"), name=kind)
    with pytest.raises(UserError, match=f"^source {kind}: its {kind} leads to 3 videos"):
        workshop.run("list")
    source["max_videos"] = 3
    work = workshop.run("list")
    (listing,) = [listing for _, listing in work.passed(STAGES[0])]
    assert len(listing.candidates) == 3


def test_every_code_has_a_state_and_an_advice():
    for name, code in CODES.items():
        assert code.advice.endswith("."), name
        assert code.state != State.PASSED
    assert tuple(VERBS) == ORDER
    assert [stage for stages in VERBS.values() for stage in stages] == list(STAGES)

import json
import tomllib

import pytest
from typer.testing import CliRunner

from hlvid.build.codes import CODES
from hlvid.build.dedup import FINGERPRINT
from hlvid.build.engine import run_stage
from hlvid.build.fetch import FETCH
from hlvid.build.questions import Draft, add
from hlvid.build.spec import read_spec
from hlvid.build.stages import by_name
from hlvid.cli import app
from hlvid.errors import UserError
from hlvid.types import Evidence


@pytest.fixture
def shop(workshop, clips):
    workshop.take(clips.make(), clips.make(name="short", num_frames=6))
    return workshop


def call(shop, *words):
    """Run `hlvid-build VERB SPEC --work WORK ...` in this process."""
    verb, *rest = words
    arguments = [verb, str(shop.spec), *rest, "--work", str(shop.folder / "work")]
    return CliRunner().invoke(app, arguments)


def test_a_run_tells_what_came_of_it_and_what_to_do_next(shop):
    done = call(shop, "run", "--until", "fetch")
    assert done.exit_code == 0, done.output
    assert "fetch        2 items: 2 passed" in done.stdout
    assert f"next: hlvid-build probe {shop.folder / 'spec.toml'} --work" in done.stderr
    again = call(shop, "fetch", "--json")
    (tally,) = json.loads(again.stdout)
    assert (tally["stage"], tally["num_done_now"], tally["num_pending"]) == ("fetch", 0, 0)


def test_items_that_failed_give_a_code_of_their_own(shop, site, steps):
    shop.url("gone", site.put("/gone.mp4", b""))
    site.script("/gone.mp4", steps.status(410), steps.status(410))
    done = call(shop, "run", "--until", "fetch")
    assert done.exit_code == 3
    assert "1 failed removed" in done.stdout
    assert "removed: The site does not give it out" in done.stderr
    shop.sources[:] = shop.sources[-1:]
    assert call(shop, "run", "--until", "fetch").exit_code == 1
    assert call(shop, "fetch", "--retry", "removed").exit_code == 1
    assert site.count("/gone.mp4") == 2
    with pytest.raises(UserError, match="--retry: 'gone' is not a code"):
        raise call(shop, "fetch", "--retry", "gone").exception


def test_status_and_report_say_the_same_as_the_folder(shop):
    work = shop.run()
    done = call(shop, "status", "--items", "--json")
    content = json.loads(done.stdout)
    assert content["candidates"] == {"rejected too_short": 1, "selected": 1}
    assert {item["state"] for item in content["items"]} == {"rejected", "selected"}
    assert content["stages"]["probe"] == [2, 2]
    report = call(shop, "report", "--reconcile", "--verify", "--json")
    assert report.exit_code == 0, report.output
    content = json.loads(report.stdout)
    assert content["problems"] == []
    assert content["clips"] == {"selected": 1}
    asset = next(asset for _, asset in work.passed(FETCH))
    work.store.path(asset.file).unlink()
    report = call(shop, "report", "--reconcile")
    assert report.exit_code == 1
    assert "are not in the store" in report.stderr


def test_a_takedown_by_command(shop):
    work = shop.run("probe")
    item = next(item.id for item, _ in work.passed(FETCH))
    told = call(shop, "takedown", item, "--reason", "asked", "--dry-run")
    assert told.exit_code == 0, told.output
    assert f"{item} would be tombstoned, 1 files" in told.stdout
    assert shop.open().tombstones == {}
    done = call(shop, "takedown", item, "--reason", "asked")
    assert done.exit_code == 0, done.output
    assert f"{item} tombstoned, 1 files" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["probe", "--executor", "spark"], "--executor: 'spark' is not known"),
        (["fetch", "--executor", "ray"], "fetch: stays on one host"),
        (["probe", "--executor", "ray", "--shard", "0/2"], "--shard: ray shards by itself"),
        (["lint", "--executor", "ray"], "lint: is done sooner than Ray is asked"),
        (["audit", "--executor", "ray"], "audit: asks its models where it is typed"),
        (["fetch", "--shard", "0/2"], "fetch: cannot be sharded"),
        (["probe", "--shard", "2/2"], "--shard: '2/2' is not a shard"),
        (["run", "--until", "lunch"], "--until: 'lunch' is not a verb"),
        (["fetch", "--cookies", "nowhere.txt"], "--cookies: is not a file"),
        (["rebuild"], "rebuild: say --check"),
    ],
)
def test_a_wrong_word_is_refused_in_one_sentence(shop, words, said):
    done = call(shop, *words)
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(said)
    assert done.exception.exit_code == 2


def test_the_example_can_be_written_and_read(tmp_path):
    done = CliRunner().invoke(app, ["init"])
    assert tomllib.loads(done.stdout)["name"]
    path = tmp_path / "hlvid.toml"
    path.write_text(done.stdout)
    assert len(read_spec(path).sources) == 4


def test_a_source_that_cannot_be_listed_is_a_failure(shop, site):
    shop.site("channel", f"{site.root}/gone")
    done = call(shop, "run", "--until", "select")
    assert done.exit_code == 3, done.output
    (failed,) = [e for e in shop.open().entries(by_name("list")) if e.code]
    assert f"{failed.code}: {CODES[failed.code].advice}" in done.stderr
    report = call(shop, "report", "--reconcile")
    assert report.exit_code == 1
    assert f"source channel: its videos are not counted ({failed.code})" in report.stderr
    shop.sources[:] = shop.sources[-1:]
    assert call(shop, "discover").exit_code == 1


def test_a_comparison_that_broke_is_a_failure(shop):
    work = shop.run("index")
    run_stage(work, FINGERPRINT, num_workers=0)
    for media in [found.hashes for _, found in work.passed(FINGERPRINT)]:
        path = work.store.path(media)
        path.chmod(0o644)
        path.write_bytes(b"?" * path.stat().st_size)
    done = call(shop, "dedup")
    assert "match        1 items: 1 quarantined defect" in done.stdout
    assert done.exit_code == 3
    assert f"defect: {CODES['defect'].advice}" in done.stderr


def test_questions_that_wait_give_the_code_and_the_advice(shop):
    work = shop.run()
    clip = next(placed.clip for _, placed in work.passed(by_name("dedup")))
    seen = Evidence(start_seconds=0.2, end_seconds=1.2, boxes=((0.2, 4.0, 4.0, 30.0, 20.0),))
    draft = Draft(
        question_id="q-0",
        video_id=clip.clip_id,
        stem="Which number is on the door of the house at the left?",
        choices=("101", "102", "103", "104"),
        evidence=(seen,),
        author="ann",
    )
    add(shop.folder / "annotations" / "questions", "ann", [draft])
    assert call(shop, "lint").exit_code == 0
    done = call(shop, "run")
    assert done.exit_code == 3
    assert f"needs_replies: {CODES['needs_replies'].advice}" in done.stderr

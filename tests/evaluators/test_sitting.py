"""The room, with an examinee that writes down what it is shown: no engine is needed for that."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluators.ahead import Ahead
from evaluators.arms import plan_arms
from evaluators.canvas import SOURCE
from evaluators.exam import evidence_by_video, first_questions, video_paths
from evaluators.examinee import Answer, Examinee
from evaluators.gazing import Donors
from evaluators.halting import CannotGoOn, Halt, Stopped
from evaluators.item import Item
from evaluators.ledger import Ledger
from evaluators.room import Room
from evaluators.sitting import num_left, sit
from gaze.selectors import catalog
from hlvid.datasets import read
from hlvid.types import FrameSettings, ModelId

SELECTORS = Path(__file__).parents[1] / "fixtures" / "selector_package"
ARMS = plan_arms("both", ["detail", "random-matched", "transplanted", "oracle"], budgets=[0.2])


class Witness(Examinee):
    """Notes how much it saw of each frame, and answers with all that it was told."""

    model = ModelId(name="witness", kind="control")
    sees_video = True

    def __init__(self) -> None:
        self.watched = []
        self.asked = []
        self.fails_at = None

    def watch(self, view, clock):
        frames = [view.frame(i) for i in range(view.canvas.num_frames)]
        self.watched.append(view.kept.sha256)
        with clock.stage("read"):
            return [None if f is None else float(np.mean(f)) for f in frames]

    def answer(self, question, notes, clock):
        self.asked.append(question)
        if question.question_id == self.fails_at:
            raise MemoryError("no room for the KV cache")
        return Answer(f"{question.answer} {len(question.evidence)} {len(notes)}", {"A": -0.5}, 7)


def room_for(folder, scratch, *, ledger=None, examinee=None, **changes) -> Room:
    benchmark = read(folder, root=folder)
    room = Room(
        examinee=examinee or Witness(),
        frames=FrameSettings(num_frames=3),
        seed=0,
        donors=Donors(
            video_paths(benchmark),
            first_questions(benchmark.questions),
            num_frames=3,
            scratch=scratch,
            seed=0,
        ),
        scratch=scratch,
        evidence=evidence_by_video(benchmark),
        ledger=ledger,
        config="c0ffee",
    )
    return replace(room, **changes)


def items_of(folder, arms=ARMS) -> list[Item]:
    benchmark = read(folder, root=folder)
    return [
        Item(question, arm, path, "" if path else "it is missing")
        for arm in arms
        for question in benchmark.questions
        for path in [video_paths(benchmark)[question.video_id]]
    ]


@pytest.fixture(scope="module")
def sat(tiny, tmp_path_factory):
    room = room_for(tiny, tmp_path_factory.mktemp("scratch"))
    return room, sit(room, items_of(tiny))


def test_every_question_is_answered_once_for_every_arm(sat):
    room, predictions = sat
    assert len(predictions) == 8 * len(ARMS) == len(room.examinee.asked)
    assert {p.status for p in predictions.values()} == {"ok"}


def test_no_examinee_is_told_the_answer_or_the_evidence(sat):
    _, predictions = sat
    assert {p.response for p in predictions.values()} == {"None 0 3"}


def test_all_arms_see_the_same_frames_and_pixels(sat):
    _, predictions = sat
    for video_id in ("v0", "v1"):
        of_video = [p for (q, _), p in predictions.items() if q.startswith(video_id)]
        assert len({p.canvas_sha256 for p in of_video}) == 1
        assert len({p.frames_sha256 for p in of_video}) == 1


def test_controls_spend_what_their_partner_spends(sat):
    _, predictions = sat
    for (_, arm), prediction in predictions.items():
        total = 3 * 20 * 12
        assert prediction.tokens.visual_off == total
        assert prediction.tokens.visual == (total if arm == "off" else total // 5)
        assert prediction.tokens.text == 7


def test_one_look_an_arm_serves_all_questions_of_a_video(sat):
    room, _ = sat
    assert len(room.examinee.watched) == 2 * 5


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """A selector that reads the question, of a package beside ours."""
    info = tmp_path / "brightest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: brightest\nVersion: 1.0\n")
    entry = "[hlvid.selectors]\nasked-about = brightest:asked_about\n"
    (info / "entry_points.txt").write_text(entry)
    for path in (SELECTORS, tmp_path):
        monkeypatch.syspath_prepend(path)
    catalog._entry_points.cache_clear()
    yield plan_arms(
        "both", ["asked-about", "random-matched", "transplanted", "detail"], budgets=[0.2]
    )
    catalog._entry_points.cache_clear()


def test_a_selector_that_reads_the_question_looks_once_for_each(tiny, tmp_path, asking):
    ledger = Ledger(tmp_path / "finished.jsonl")
    room = room_for(tiny, tmp_path, ledger=ledger, timed_on="here")
    items = items_of(tiny, asking)
    predictions = sit(room, items)
    assert {p.error for p in predictions.values()} == {None}
    by_arm = {}
    for item in items:
        sight = room.seen(item.question.video_id, item.look)
        by_arm.setdefault(item.arm.name, {})[item.question.question_id] = sight.notes
        assert predictions[item.key].stage_ms["gaze"] == sight.stage_ms["gaze"]
        assert (sight.stage_ms["gaze"] > 0) == (item.arm.selector is not None)
    # Off and detail look once a video; what reads the question, or copies that, once a question.
    assert len(room.examinee.watched) == 2 * (2 + 3 * 4)
    for name, notes in by_arm.items():
        of_first = {str(n) for q, n in notes.items() if q.startswith("v0")}
        # All questions spend alike, and a donor's mask is of the donor's first question.
        assert len(of_first) == (4 if name == "asked-about@0.2" else 1), name
    assert {p.tokens.visual for (_, arm), p in predictions.items() if arm != "off"} == {144}
    assert num_left(room, items) == 0
    again = sit(room_for(tiny, tmp_path, ledger=ledger), items)
    assert {key: p.response for key, p in again.items()} == {
        key: p.response for key, p in predictions.items()
    }


def test_the_next_video_is_decoded_while_one_is_sat_and_nothing_else_changes(tiny, tmp_path, sat):
    _, expected = sat
    broken = shutil.copytree(tiny, tmp_path / "broken")
    for folder in (tiny, broken):
        if folder is broken:
            (broken / "videos" / "v0.mp4").write_bytes(b"no video")
        room = room_for(folder, tmp_path, prefetch=True)
        found = sit(room, items_of(folder))
        for key, prediction in found.items():
            if folder is broken and key[0].startswith("v0"):
                assert prediction.status == "failed"
            elif folder is tiny or "transplanted" not in key[1]:
                assert prediction.response == expected[key].response
                assert prediction.canvas_sha256 == expected[key].canvas_sha256


def test_a_video_is_begun_before_it_is_asked_for_and_ended_with_the_run(tiny, tmp_path):
    paths = [tiny / "videos" / f"v{i}.mp4" for i in (0, 1)]
    settings = {"num_frames": 3, "scratch": tmp_path, "shape": SOURCE}
    with Ahead(paths, **settings, is_on=True) as ahead:
        with ahead.open(paths[0]) as first:
            (coming,) = ahead._coming.values()
            second, _ = coming.result(60)
        with ahead.open(paths[1]) as opened:
            assert opened is second
            assert opened.sha256 != first.sha256
            assert not ahead._coming
    with Ahead(paths, **settings, is_on=False) as ahead, ahead.open(paths[0]):
        assert not ahead._coming
    with Ahead(paths, **settings, is_on=True) as ahead:
        ahead._over.is_asked = True
        with pytest.raises(Stopped), ahead.open(paths[0]):
            pass


def test_recall_is_told_with_the_answer_and_privilege_shows(sat):
    _, predictions = sat
    for (_, arm), prediction in predictions.items():
        assert prediction.temporal_hit is True
        if arm in ("off", "oracle@0.2"):
            assert prediction.spatial_cover == pytest.approx(1.0)


def test_the_oracle_may_spend_what_another_selector_kept(tiny, tmp_path):
    arms = plan_arms("on", ["change-unbounded+0.05", "oracle:change-unbounded"])
    items = [i for i in items_of(tiny, arms) if i.question.video_id == "v0"]
    predictions = sit(room_for(tiny, tmp_path), items)
    assert {p.error for p in predictions.values()} == {None}
    assert len({p.tokens.visual for p in predictions.values()}) == 1
    covers = [p.spatial_cover for (_, arm), p in predictions.items() if arm.startswith("oracle")]
    assert covers == pytest.approx([1.0] * 4)


def test_shared_stages_are_charged_in_full_and_add_up(sat):
    _, predictions = sat
    for prediction in predictions.values():
        stages = dict(prediction.stage_ms)
        total = stages.pop("end_to_end")
        assert total == pytest.approx(sum(stages.values()))
        assert stages["decode"] > 0
        assert prediction.peak_memory_bytes > 10**7


def test_arms_take_turns_in_an_order_that_differs_between_questions(tiny, tmp_path):
    told = []
    room = room_for(tiny, tmp_path, on_item=lambda kind, key: told.append((kind, *key)))
    sit(room, items_of(tiny))
    orders: Mapping[str, list] = {}
    for kind, question, arm in told:
        if kind == "answer":
            orders.setdefault(question, []).append(arm)
    assert len(orders) == 8
    assert len({tuple(order) for order in orders.values()}) > 1
    num_looks = sum(kind == "look" for kind, *_ in told)
    assert num_looks == num_left(room_for(tiny, tmp_path), items_of(tiny))


def test_the_choice_of_an_arm_depends_on_neither_the_other_arms_nor_the_other_videos(
    tiny, tmp_path, sat
):
    room, _ = sat
    alone = room_for(tiny, tmp_path)
    items = [i for i in items_of(tiny) if i.arm.selector == "transplanted:detail"]
    sit(alone, [i for i in items if i.question.video_id == "v0"])
    assert set(alone.examinee.watched) < set(room.examinee.watched)


def test_a_mask_comes_from_the_next_video_that_can_be_read_whoever_else_is_sat(tiny, tmp_path, sat):
    room, _ = sat
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(2000))
    videos = dict(video_paths(read(tiny, root=tiny)))
    videos |= {f"gone{i}": None for i in range(8)} | {f"broken{i}": junk for i in range(8)}
    items = [i for i in items_of(tiny) if i.arm.selector == "transplanted:detail"]
    for video_ids in (("v0", "v1"), ("v0",), ("v1",)):
        donors = Donors(videos, {}, num_frames=3, scratch=tmp_path, seed=0)
        part = room_for(tiny, tmp_path, donors=donors)
        predictions = sit(part, [i for i in items if i.question.video_id in video_ids])
        assert {p.status for p in predictions.values()} == {"ok"}
        assert len(part.examinee.watched) == len(video_ids)
        assert set(part.examinee.watched) < set(room.examinee.watched)


def test_a_sitting_goes_on_where_it_was_stopped_and_watches_nothing_twice(tiny, tmp_path, sat):
    _, expected = sat
    halt, watched = Halt(), []
    for stop_after in (1, 3, 9, 14, 30, 1000):
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            count = iter(range(stop_after))

            def stop(kind, key, count=count, halt=halt):
                halt.is_asked = next(count, None) is None

            halt.is_asked = False
            room = room_for(tiny, tmp_path, ledger=ledger, halt=halt, on_item=stop)
            try:
                predictions = sit(room, items_of(tiny))
            except Stopped:
                predictions = None
            watched += room.examinee.watched
    assert predictions.keys() == expected.keys()
    assert len(watched) == 2 * 5
    varying = {"stage_ms", "peak_memory_bytes"}
    for key, prediction in predictions.items():
        assert prediction.model_dump(exclude=varying) == expected[key].model_dump(exclude=varying)


def test_times_are_those_of_one_machine_and_answers_of_any(tiny, tmp_path):
    def sit_on(timed_on, *question_ids, name="one.jsonl"):
        items = [i for i in items_of(tiny, ARMS[:2]) if i.question.question_id in question_ids]
        with Ledger(tmp_path / name) as ledger:
            room = room_for(tiny, tmp_path, ledger=ledger, timed_on=timed_on)
            return sit(room, items), room.examinee

    def is_timed(predictions):
        for one in predictions.values():
            assert (one.stage_ms == {}) == (one.peak_memory_bytes is None)
        return {key[0]: one.stage_ms != {} for key, one in predictions.items()}

    here, _ = sit_on("here", "v0-q0")
    assert is_timed(here) == {"v0-q0": True}
    there, examinee = sit_on("there", "v0-q0", "v0-q1", "v1-q0")
    assert is_timed(there) == {"v0-q0": False, "v0-q1": False, "v1-q0": True}
    assert {q.question_id for q in examinee.asked} == {"v0-q1", "v1-q0"}
    assert len(examinee.watched) == 2, "the look of elsewhere is taken, without its times"
    assert {p.response for p in there.values()} == {p.response for p in here.values()}
    again, examinee = sit_on("here", "v0-q0", "v0-q1", "v1-q0")
    assert is_timed(again) == {"v0-q0": True, "v0-q1": False, "v1-q0": False}
    assert {key: again[key] for key in here} == here
    assert not examinee.asked
    sit_on("", "v0-q0", name="several.jsonl")
    for timed_on in ("", "here"):
        several, _ = sit_on(timed_on, "v0-q0", name="several.jsonl")
        assert is_timed(several) == {"v0-q0": False}, "taken by several processes at once"


class Forgetful(Witness):
    """What it sees cannot be written down."""

    forgets = True

    def watch(self, view, clock):
        return (object(), *super().watch(view, clock))


def test_what_cannot_be_written_down_is_looked_at_again_and_nothing_is_asked_twice(tiny, tmp_path):
    halt, watched, asked = Halt(), [], []
    for stop_after in (12, 1000):
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            count = iter(range(stop_after))

            def stop(kind, key, count=count, halt=halt):
                halt.is_asked = next(count, None) is None

            halt.is_asked = False
            room = room_for(
                tiny, tmp_path, ledger=ledger, halt=halt, on_item=stop, examinee=Forgetful()
            )
            try:
                predictions = sit(room, items_of(tiny))
            except Stopped:
                predictions = None
            watched.append(len(room.examinee.watched))
            asked += [question.question_id for question in room.examinee.asked]
    assert {p.status for p in predictions.values()} == {"ok"}
    assert watched == [5, 5 + 5]
    assert len(asked) == len(predictions) == 8 * len(ARMS)


def test_a_broken_video_fails_its_own_questions_and_is_tried_again(tiny, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny, folder)
    video = folder / "videos" / "v1.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 3])
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        room = room_for(folder, tmp_path, ledger=ledger)
        predictions = sit(room, items_of(folder))
        failed = {key: p.error for key, p in predictions.items() if p.status == "failed"}
        is_v1 = {key for key in predictions if key[0].startswith("v1")}
        borrows = {key for key in predictions if key[1] == "transplanted:detail@0.2"}
        assert failed.keys() == is_v1 | borrows
        assert all("v1.mp4" in error for error in failed.values())
        video.write_bytes(whole)
        again = room_for(folder, tmp_path, ledger=ledger)
        mended = sit(again, items_of(folder))
    assert {p.status for p in mended.values()} == {"ok"}
    assert len(again.examinee.asked) == len(failed)


def test_a_missing_video_fails_with_the_sentence_that_says_how_to_get_it(tiny, tmp_path):
    items = [replace(i, video=None, problem="render it") for i in items_of(tiny)]
    predictions = sit(room_for(tiny, tmp_path), items)
    assert {p.error for p in predictions.values()} == {"render it"}


def test_one_question_that_breaks_the_model_fails_alone(tiny, tmp_path):
    examinee = Witness()
    examinee.fails_at = "v0-q1"
    predictions = sit(room_for(tiny, tmp_path, examinee=examinee), items_of(tiny))
    failed = {key[0]: p.error for key, p in predictions.items() if p.status == "failed"}
    assert failed == {"v0-q1": "OUT OF MEMORY: MemoryError: no room for the KV cache"}


def test_other_pixels_under_the_same_name_are_not_paired_with_the_old_ones(tiny, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny, folder)
    off, detail = plan_arms("both", ["detail"])
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        sit(room_for(folder, tmp_path, ledger=ledger), items_of(folder, [off]))
        shutil.copy(folder / "videos" / "v0.mp4", folder / "videos" / "v1.mp4")
        with pytest.raises(CannotGoOn, match="video v1: its pixels are not those"):
            sit(room_for(folder, tmp_path, ledger=ledger), items_of(folder, [detail]))


def test_a_benchmark_of_one_video_has_nothing_to_transplant(tiny, tmp_path):
    items = [i for i in items_of(tiny) if i.question.video_id == "v0"]
    path = items[0].video
    donors = Donors({"v0": path}, {}, num_frames=3, scratch=tmp_path, seed=0)
    predictions = sit(room_for(tiny, tmp_path, donors=donors), items)
    failed = {arm for (_, arm), p in predictions.items() if p.status == "failed"}
    assert failed == {"transplanted:detail@0.2"}


def test_no_room_for_the_frames_ends_the_run_before_a_page_is_written(tiny, tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CannotGoOn, match="no room for 2 MB of frames"):
            sit(room_for(tiny, tmp_path), items_of(tiny))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

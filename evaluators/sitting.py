"""The room where the exam is sat: video by video, all arms of a question side by side.

A video is decoded once; every arm's choice is made before the first arm is timed; the arms take
their turns in an order drawn anew for each question. An arm looks at a video once for all its
questions, or, where its selector reads the question, once for each. Every finished item goes to the
ledger. One broken video, or one question that cannot be answered, fails alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from evaluators.ahead import Ahead
from evaluators.arms import OFF
from evaluators.canvas import evidence_on
from evaluators.examinee import View
from evaluators.gazing import (
    Chosen,
    Failure,
    Place,
    about_selector,
    choose_all,
    failure,
    reads_question,
)
from evaluators.item import Item, LookKey, Sight
from evaluators.mapping import to_frames
from evaluators.room import UNTIMED, Room
from evaluators.timing import DECODE, GAZE, Stopwatch, charge, peak_memory_bytes, reset_peak_memory
from evaluators.variants import SHOW_KEPT
from gaze.recall import evidence_recall
from gaze.selectors import Kept
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.prompt import prompt_sha256
from hlvid.types import (
    ArmSettings,
    Prediction,
)

SITTING_DIGITS = 16


def sit(room: Room, items: Iterable[Item]) -> dict[tuple[str, str], Prediction]:
    """Answer every item that the ledger does not have answered yet.

    Returns:
        A prediction for every item, by (question id, arm name); failed ones say why.

    Raises:
        CannotGoOn: Ledger or scratch file cannot be written, or the user wants the end.
    """
    predictions: dict[tuple[str, str], Prediction] = {}
    by_video: dict[str, list[Item]] = {}
    rooms = in_turns(room, items := list(items))
    for item in items:
        if (known := room.answered(item)) is not None:
            predictions[item.key] = known
        else:
            by_video.setdefault(item.question.video_id, []).append(item)
    order = room.donors.sitting_order(by_video)
    with _ahead(room, [by_video[video_id][0].video for video_id in order]) as ahead:
        for video_id in order:
            here = replace(rooms[video_id], ahead=ahead)
            for prediction in _sit_video(here, video_id, by_video[video_id]):
                room.keep_answer(prediction)
                predictions[prediction.question_id, prediction.arm] = prediction
    return predictions


def in_turns(room: Room, items: Iterable[Item]) -> dict[str, Room]:
    """The room for each video: where failed arms are tried again alone, a sitting of its own.

    They take no turns with the arms that answered before, perhaps days ago. A run that was only
    stopped goes on as the sitting it was.
    """
    answered: set[str] = set()
    again: dict[str, list[str]] = {}
    for item in items:
        video_id, before = item.question.video_id, room.kept(item)
        again.setdefault(video_id, [])
        if before is not None and before.error is None:
            answered.add(video_id)
        elif before is not None:
            again[video_id].append("/".join(item.key))
    return {
        video_id: replace(room, sitting=digest([room.sitting, *sorted(keys)])[:SITTING_DIGITS])
        if keys and video_id in answered and room.sitting is not None
        else room
        for video_id, keys in again.items()
    }


def _ahead(room: Room, paths: Sequence[Path | None]) -> Ahead:
    return Ahead(
        [path for path in paths if path is not None],
        num_frames=room.frames.num_frames,
        scratch=room.scratch,
        shape=room.examinee.shape,
        is_on=room.prefetch and room.examinee.sees_video,
    )


def num_left(room: Room, items: Iterable[Item]) -> int:
    """How many looks are missing, which is where the time goes; without a video, answers."""
    rooms = in_turns(room, items := list(items))
    todo = [item for item in items if room.answered(item) is None]
    if not room.examinee.sees_video:
        return len(todo)
    looks = {(item.question.video_id, item.look) for item in todo}
    return sum(rooms[video_id].seen(video_id, look) is None for video_id, look in looks)


def _sit_video(room: Room, video_id: str, items: Sequence[Item]) -> Iterator[Prediction]:
    turns = sorted(items, key=lambda i: (i.question.question_id, digest([room.seed, *i.key])))
    with ExitStack() as stack:
        sights = _look_all(room, video_id, turns, stack) if room.examinee.sees_video else {}
        for item in turns:
            room.halt.check()
            sight = sights.get(item.look)
            if isinstance(sight, Failure):
                yield _failed(item, sight)
                continue
            try:
                yield _answer(room, item, sight)
            except Exception as error:  # noqa: BLE001 - one failure must not end the others
                yield _failed(item, failure(error))


def _look_all(
    room: Room, video_id: str, items: Sequence[Item], stack: ExitStack
) -> dict[LookKey, Sight | Failure]:
    """What every look at a video gave: from the ledger, or by looking now.

    Args:
        room: Where.
        video_id: Of the video.
        items: All of this video.
        stack: Keeps the canvas until the answers are given.
    """
    looks = {item.look: item for item in reversed(items)}
    sights: dict[LookKey, Sight | Failure] = {}
    for look in looks:
        if (known := room.seen(video_id, look)) is not None:
            sights[look] = known
    missing = {look: item for look, item in looks.items() if look not in sights}
    if not missing:
        return sights
    try:
        arms = list(dict.fromkeys(item.arm for item in missing.values()))
        place = _open(room, video_id, items[0], arms, stack)
        room.keep_pixels(place)
    except Exception as error:  # noqa: BLE001 - a broken video fails its own questions only
        return {**dict.fromkeys(missing, failure(error)), **sights}
    chosen = _choose(room, place, missing)
    for look in sorted(missing, key=lambda key: digest([room.seed, video_id, *key])):
        room.halt.check()
        sights[look] = _watch(room, place, missing[look], chosen[look])
    return sights


def _choose(
    room: Room, place: Place, looks: Mapping[LookKey, Item]
) -> dict[LookKey, Chosen | Failure]:
    """What every look keeps: for all questions at once, or for the one that is read."""
    if room.examinee.gazes_itself:
        return dict.fromkeys(looks, choose_all(place, [OFF], room.halt)[OFF.name])
    shared = [item.arm for item in looks.values() if not reads_question(item.arm)]
    room.donors.remember(place.video_id, choose_all(place, shared, room.halt))
    chosen: dict[LookKey, Chosen | Failure] = {}
    for look, item in looks.items():
        asked = replace(place, question=item.question.text)
        chosen |= {look: choose_all(asked, [item.arm], room.halt)[item.arm.name]}
    return chosen


def _open(
    room: Room, video_id: str, item: Item, arms: Sequence[ArmSettings], stack: ExitStack
) -> Place:
    if item.video is None:
        raise UserError(item.problem)
    assert room.ahead is not None
    ours = not room.examinee.gazes_itself
    evidence = room.evidence.get(video_id, {}) if ours else {}
    foreign = room.donors.give(video_id, arms, room.halt) if ours else {}
    canvas = stack.enter_context(room.ahead.open(item.video))
    return Place(
        canvas=canvas,
        video_id=video_id,
        seed=room.seed,
        evidence=evidence_on(evidence, canvas),
        foreign=foreign,
        device=room.examinee.device,
        is_timed=not room.prefetch,
    )


def _watch(room: Room, place: Place, item: Item, choice: Chosen | Failure) -> Sight | Failure:
    """Let the examinee take its notes, and write them down."""
    if isinstance(choice, Failure):
        return choice
    canvas, examinee, arm = place.canvas, room.examinee, item.arm
    view = View(canvas, choice.kept, canvas.views, arm)
    clock = Stopwatch(examinee.device)
    reset_peak_memory(examinee.device)
    try:
        notes = examinee.watch(view, clock)
        stages = clock.stage_ms
    except Exception as error:  # noqa: BLE001 - one arm's failure must not end the others
        return failure(error)
    counts = examinee.count(view, notes)
    if counts is not None and not examinee.gazes_itself:
        num_read = about_selector(arm).tokens_read(canvas.views) * canvas.num_frames
        counts = counts.model_copy(update={"selector": num_read})
    sight = Sight(
        notes=notes,
        frames_sha256=canvas.frames_sha256,
        canvas_sha256=canvas.sha256,
        tokens=counts,
        recalls=_recalls(place, choice.kept) if arm.variant in SHOW_KEPT else {},
        stage_ms={DECODE: canvas.decode_ms, GAZE: choice.gaze_ms, **stages},
        peak_memory_bytes=max(choice.peak_memory_bytes, peak_memory_bytes(examinee.device)),
        sitting=room.sitting,
    )
    room.keep_sight(place.video_id, item.look, sight)
    return sight


def _recalls(place: Place, kept: Kept) -> dict[str, tuple[bool, float | None]]:
    """Temporal hit and spatial cover of every question whose evidence is known."""
    canvas = place.canvas
    width, height = canvas.size
    seen = to_frames(kept, canvas.num_frames, canvas.shape.pairing)
    recalls = {}
    for question_id, evidence in place.evidence.items():
        if evidence:
            recall = evidence_recall(
                seen,
                canvas.frame_seconds,
                evidence,
                width=width,
                height=height,
                token_pixels=canvas.shape.token_pixels,
            )
            recalls[question_id] = (recall.temporal_hit, recall.spatial_cover)
    return recalls


def _answer(room: Room, item: Item, sight: Sight | None) -> Prediction:
    """Ask one question; what the examinee may not know is taken out of it first."""
    examinee = room.examinee
    question = item.question.model_copy(update={"evidence": ()})
    if not examinee.is_privileged:
        question = question.model_copy(update={"answer": None})
    clock = Stopwatch(examinee.device)
    reset_peak_memory(examinee.device)
    answer = examinee.answer(question, sight and sight.notes, clock)
    stages, peak = clock.stage_ms, peak_memory_bytes(examinee.device)
    prediction = Prediction(
        question_id=item.question.question_id,
        arm=item.arm.name,
        prompt_sha256=prompt_sha256(item.question.text),
        prompt_ids_sha256=answer.prompt_ids_sha256,
        response=answer.response,
        status="ok",
        letter_log_probabilities=answer.letter_log_probabilities,
        stage_ms=charge(stages),
        peak_memory_bytes=peak,
        sitting=room.sitting,
    )
    if sight is None:
        return prediction
    hit, cover = sight.recalls.get(item.question.question_id, (None, None))
    seen = {
        "frames_sha256": sight.frames_sha256,
        "canvas_sha256": sight.canvas_sha256,
        "tokens": sight.tokens_beside(answer.num_text_tokens),
        "temporal_hit": hit,
        "spatial_cover": cover,
    }
    if sight.peak_memory_bytes is None or sight.sitting != room.sitting:
        return prediction.model_copy(update={**seen, **UNTIMED})
    timed = {
        "stage_ms": charge(sight.stage_ms, stages),
        "peak_memory_bytes": max(sight.peak_memory_bytes, peak),
    }
    return prediction.model_copy(update={**seen, **timed})


def _failed(item: Item, why: Failure) -> Prediction:
    return Prediction(
        question_id=item.question.question_id,
        arm=item.arm.name,
        prompt_sha256=prompt_sha256(item.question.text),
        error=why.sentence,
        status="failed",
    )

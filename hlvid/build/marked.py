"""Where people saw the answers of a published benchmark, gathered from packs that came back."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from hlvid.build.agreement import box_overlap, overlap
from hlvid.build.annotate import ANSWERS_FILE, PACK_FILE, Pack, Task
from hlvid.build.codes import as_sentence
from hlvid.build.lint import check_places
from hlvid.build.questions import Reply, read_file, wording_sha256
from hlvid.errors import UserError
from hlvid.files import id_order, read_json
from hlvid.types import Evidence, Marked, Question


def evidence_of(questions: Iterable[Question], packs: Sequence[Path]) -> list[Marked]:
    """What people marked in packs of a published benchmark.

    Args:
        questions: Of the benchmark, with their answers.
        packs: Folders of packs that came back.

    Raises:
        UserError: A pack is not in order, answers other wordings, or points past a video's end or
            out of its frames; or an answer is withheld.
    """
    replies: dict[str, dict[str, Reply]] = {}
    films: dict[str, Task] = {}
    for folder in packs:
        pack = read_json(folder / PACK_FILE, Pack)
        films |= {task.video_id: task for task in pack.tasks}
        for reply in read_file(folder / ANSWERS_FILE, Reply):
            if reply.annotator != pack.annotator:
                raise UserError(f"{folder.name}: holds a reply of {reply.annotator}.")
            replies.setdefault(reply.question_id, {})[reply.annotator] = reply
    found = []
    for question in sorted(questions, key=lambda q: id_order(q.question_id)):
        said = [each for _, each in sorted(replies.get(question.question_id, {}).items())]
        wording = wording_sha256(question.video_id, question.stem, question.choices)
        if any(each.wording_sha256 != wording for each in said):
            raise UserError(f"question {question.question_id}: was answered in another wording.")
        film = films.get(question.video_id)
        for each in said:
            with as_sentence(f"question {question.question_id}, reply of {each.annotator}"):
                if film is not None:
                    check_places(each.evidence, film.duration_seconds, film.width, film.height)
        if said:
            found.append(_marked(question, said))
    return found


def _marked(question: Question, said: Sequence[Reply]) -> Marked:
    if question.answer is None:
        raise UserError(
            f"question {question.question_id}: its answer is withheld, so nobody knows who agrees. "
            "Gather evidence where the answers are."
        )
    right = question.choices[ord(question.answer) - ord("A")]
    agreeing = [reply for reply in said if reply.choice == right]
    places: list[Evidence] = []
    for each in (place for reply in agreeing for place in reply.evidence):
        if all(overlap(_span(each), _span(other)) == 0 for other in places):
            places.append(each)
    firsts = [reply.evidence[0] for reply in agreeing if reply.evidence]
    pairs = list(combinations(firsts, 2))
    return Marked(
        question_id=question.question_id,
        video_id=question.video_id,
        evidence=tuple(sorted(places, key=_span)),
        num_annotators=len(said),
        num_agreeing=len(agreeing),
        span_overlap=_mean([overlap(_span(a), _span(b)) for a, b in pairs]),
        box_overlap=_mean([_boxes(a, b) for a, b in pairs]),
    )


def _span(evidence: Evidence) -> tuple[float, float]:
    return evidence.start_seconds, evidence.end_seconds


def _boxes(one: Evidence, other: Evidence) -> float:
    start = max(one.start_seconds, other.start_seconds)
    middle = (start + min(one.end_seconds, other.end_seconds)) / 2
    boxes = one.box_at(middle), other.box_at(middle)
    return box_overlap(boxes[0], boxes[1]) if boxes[0] and boxes[1] else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 6) if values else None

"""The exam as lmms-eval sees it: what its YAML files and our own task objects point at.

A `doc` is lmms-eval's word for one question: a flat row without evidence, with the path of its
video. Nothing here imports lmms_eval, so that a stock command line pays for nothing twice.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlvid.datasets import Benchmark, MissingVideo, load
from hlvid.errors import UserError
from hlvid.grading import extract_letter
from hlvid.types import Question

TASK_FOLDER = Path(__file__).parent / "tasks"
"""For `--include_path` of a stock lmms-eval command line."""

GENERATION: Mapping[str, str | int | float | bool] = {
    "max_new_tokens": 16,
    "temperature": 0.0,
    "do_sample": False,
}
"""Greedy, and long enough for a letter with a few words around it."""


def make_docs(benchmark: Benchmark) -> list[dict[str, Any]]:
    """One doc a question, in the order of the benchmark. A missing video is told in `problem`."""
    places: dict[str, tuple[str, str]] = {}
    for video_id in benchmark.video_ids:
        try:
            places[video_id] = (str(benchmark.video_path(video_id)), "")
        except MissingVideo as error:
            places[video_id] = ("", str(error))
    docs = []
    for question in benchmark.questions:
        video, problem = places[question.video_id]
        doc = question.model_dump(mode="json", exclude={"evidence"})
        own = {"answer": question.answer or "", "video": video, "problem": problem}
        docs.append({**doc, **own, "is_padding": False})
    return docs


def to_question(doc: Mapping[str, Any]) -> Question:
    """The question of a doc, its right letter included, its evidence not."""
    fields = {name: doc[name] for name in Question.model_fields if name != "evidence"}
    return Question.model_validate({**fields, "answer": doc["answer"] or None})


def process_docs(dataset: Any) -> Any:  # noqa: ANN401
    """Replace the one row of `tasks/*.json`, which names a benchmark, by its questions.

    Raises:
        SystemExit: The benchmark is not there. lmms-eval would try again four times over any other
            error, then hide what it says and exit with 0.
    """
    from datasets import Dataset

    (row,) = dataset
    try:
        return Dataset.from_list(make_docs(load(row["benchmark"])))
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """Exactly what is sent: stem, lettered choices, instruction."""
    return str(doc["text"])


def doc_to_visual(doc: Mapping[str, Any]) -> list[str]:
    """The path of the video.

    Raises:
        UserError: It is not on this machine; the sentence says how to get it.
    """
    if doc["problem"]:
        raise UserError(doc["problem"])
    return [doc["video"]]


def doc_to_messages(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One user turn: the video, then the text. lmms-eval itself would take a .webm for sound."""
    (video,) = doc_to_visual(doc)
    content = [{"type": "video", "url": video}, {"type": "text", "text": doc_to_text(doc)}]
    return [{"role": "user", "content": content}]


def doc_to_target(doc: Mapping[str, Any]) -> str:
    """The right letter; empty where the labels are withheld."""
    return str(doc["answer"])


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Mark one reply strictly: a reply without a clear letter is wrong."""
    question = to_question(doc)
    letters = dict(zip(question.letters, question.choices, strict=True))
    letter = extract_letter(results[0], letters)
    is_correct = letter is not None and letter == question.answer
    return {"accuracy": {"score": float(is_correct), "video_id": question.video_id}}


def accuracy(marks: Sequence[Mapping[str, Any]]) -> float:
    """Share of correct replies among all."""
    return sum(float(mark["score"]) for mark in marks) / len(marks)

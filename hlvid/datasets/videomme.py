"""Video-MME in its official layout: a parquet file, videos and subtitles in zip files.

It may not be republished: no text, option or frame of it leaves the machine it was fetched to.

References: Fu et al. 2024, arXiv 2405.21075, and its evaluation script; lmms-eval 0.7.3, whose
wording is offered beside the official one for comparison with what others ran.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hlvid.datasets.benchmark import Benchmark
from hlvid.datasets.hub import Source
from hlvid.datasets.parquet import Row, read_questions
from hlvid.errors import UserError
from hlvid.files import read_bytes, shown
from hlvid.types import Prediction, Question

NAME = "videomme"
SUBTITLES = "videomme-subtitles"
STOCK = "videomme-stock"
PROMPTS: Mapping[str, str] = {
    NAME: "official prompt without subtitles",
    SUBTITLES: "official wording with all subtitles of a video; Video-MME asks for those of the "
    "sampled frames only",
    STOCK: "prompt of lmms-eval 0.7.3's own videomme, which speaks of subtitles and gives none",
}
"""What each name asks with; a record's benchmark says which."""
DURATIONS = ("short", "medium", "long")
COLUMNS = (
    "video_id", "duration", "domain", "sub_category", "url", "videoID", "question_id",
    "task_type", "question", "options", "answer",
)  # fmt: skip
LETTERS = "ABCD"
MAX_SUBTITLE_BYTES = 8 * 2**20

_TASK = (
    "Select the best answer to the following multiple-choice question based on the video{}. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
_AND_SUBTITLES = " and the subtitles"
_END = "The best answer is:"
_STOCK_END = "\nAnswer with the option's letter from the given choices directly."
_SUBTITLES_FOLLOW = "This video's subtitles are listed below:"

_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CUE_TIME = re.compile(r"[0-9:,. ]+-->[0-9:,. ]+")
_TAG = re.compile(r"<[^<>\n]{1,200}>")
_SAID_BEFORE = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
"""Taken out in this order. The last two are what the published list has for want of two commas."""


def _places(benchmark: Benchmark) -> Mapping[str, str]:
    """Videos as they are looked for; subtitles beside them."""
    places = {}
    for place in benchmark.files.values():
        path = PurePosixPath(place)
        places[path.name] = place
        places[f"{path.stem}.srt"] = f"subtitle/{path.stem}.srt"
    return places


SOURCE = Source(
    name=NAME,
    repository="lmms-lab/Video-MME",
    revision="ead1408f75b618502df9a1d8e0950166bf0a2a0b",
    about="Video-MME is the dataset lmms-lab/Video-MME on Hugging Face (900 videos, for research "
    "only, may not be republished)",
    questions="videomme/test-00000-of-00001.parquet",
    archives=("subtitle.zip", "videos_chunked_*.zip"),
    num_questions=2700,
    num_videos=900,
    places=_places,
)


def read(root: Path, *, name: str = NAME) -> Benchmark:
    """Read Video-MME; the category of a question is the duration of its video.

    Args:
        root: Holds `videomme/`, `data/` with videos, and `subtitle/`.
        name: Of `PROMPTS`.

    Raises:
        UserError: The parquet file is missing or not in order, or there are no subtitles.
    """
    path = SOURCE.find(root)
    files: dict[str, str] = {}

    def to_fields(row: Row) -> Mapping[str, object]:
        video_id, youtube_id = str(row["video_id"]), row["videoID"]
        if not isinstance(youtube_id, str) or not _YOUTUBE_ID.fullmatch(youtube_id):
            raise UserError(f"videoID is {shown(youtube_id)}. Allowed are ids of YouTube.")
        if row["duration"] not in DURATIONS:
            raise UserError(
                f"duration is {shown(row['duration'])}. Allowed are {', '.join(DURATIONS)}."
            )
        if files.setdefault(video_id, f"data/{youtube_id}.mp4") != f"data/{youtube_id}.mp4":
            raise UserError(f"video {shown(video_id)} has two videoIDs. Allowed is one.")
        return _fields(row, youtube_id, root if name == SUBTITLES else None, name)

    if name == SUBTITLES and not (root / "subtitle").is_dir():
        raise UserError(f"{root / 'subtitle'}: is missing. {SOURCE.how_to_get(root)}")
    questions = read_questions(path, COLUMNS, to_fields)
    return Benchmark(
        name=name,
        revision=f"{SOURCE.revision_of(questions)}, {PROMPTS[name]}",
        questions=questions,
        videos={},
        root=root,
        files=files,
        how_to_get=SOURCE.how_to_get(root),
        license="research only, may not be republished",
        description="Video-MME: questions on videos from 11 seconds to an hour.",
    )


def _fields(row: Row, youtube_id: str, root: Path | None, name: str) -> Mapping[str, object]:
    stem, options = row["question"], row["options"]
    if not isinstance(stem, str) or not isinstance(options, list) or len(options) != len(LETTERS):
        raise UserError(f"has the options {shown(options)}. Allowed are {len(LETTERS)} texts.")
    choices = [str(o).removeprefix(f"{a}.").strip() for a, o in zip(LETTERS, options, strict=True)]
    subtitles = "" if root is None else read_subtitles(root / "subtitle" / f"{youtube_id}.srt")
    return {
        "question_id": row["question_id"],
        "video_id": str(row["video_id"]),
        "category": row["duration"],
        "text": render(stem, [str(option) for option in options], name, subtitles=subtitles),
        "stem": stem,
        # Options that differ by their letter alone are told apart by it.
        "choices": tuple(choices if len(set(choices)) == len(choices) else map(str, options)),
        "answer": row["answer"],
    }


def render(stem: str, options: Sequence[str], name: str = NAME, *, subtitles: str = "") -> str:
    """What is sent.

    Args:
        stem: What is asked.
        options: With their letters, as published.
        name: Of `PROMPTS`.
        subtitles: Of the video; without any the prompt does not speak of them, stock's excepted.
    """
    speaks = bool(subtitles) or name == STOCK
    task = _TASK.format(_AND_SUBTITLES if speaks else "")
    lines = [task, stem, *options, _STOCK_END if name == STOCK else _END]
    if subtitles:
        lines = [_SUBTITLES_FOLLOW, subtitles, *lines]
    return "\n".join(lines)


def read_subtitles(path: Path) -> str:
    """The spoken lines of an SRT file, without numbers, times and markup; '' where it is missing.

    Raises:
        UserError: The file is too long.
    """
    if not path.is_file():
        return ""
    text = read_bytes(path, max_bytes=MAX_SUBTITLE_BYTES).decode("utf-8-sig", errors="replace")
    said: list[str] = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = block.strip().split("\n")
        times = [i for i, line in enumerate(lines) if _CUE_TIME.fullmatch(line.strip())]
        spoken = lines[times[0] + 1 :] if times else []
        line = " ".join(_TAG.sub("", " ".join(spoken)).split())
        if line and line != (said[-1] if said else ""):
            said.append(line)
    return "\n".join(said)


@dataclass(frozen=True)
class OfficialScore:
    """What Video-MME's own script would say."""

    num_correct: int
    num_answered: int
    """Replies with a letter: the others are left out, where strict marking counts them as wrong."""

    @property
    def accuracy(self) -> float | None:
        """Share of the answered; None where none is."""
        return self.num_correct / self.num_answered if self.num_answered else None


def official_score(
    questions: Iterable[Question], predictions: Iterable[Prediction]
) -> OfficialScore:
    """Mark as Video-MME's script does: the first capital A to D of a reply counts."""
    answers = {question.question_id: question.answer for question in questions}
    letters = [
        (official_letter(prediction.response), answers[prediction.question_id])
        for prediction in predictions
        if prediction.response is not None
    ]
    given = [(letter, answer) for letter, answer in letters if letter is not None]
    return OfficialScore(sum(letter == answer for letter, answer in given), len(given))


def official_letter(response: str) -> str | None:
    """The first capital A to D that is left once phrases which announce an answer are taken out.

    It marks 'Best answer: C' as B, which is why the strict score stands first. Source: Video-MME's
    script, https://github.com/thanku-all/parse_answer/blob/main/eval_your_results.py.
    """
    left = response
    for phrase in _SAID_BEFORE:
        left = left.replace(phrase, "")
    found = re.search(f"[{LETTERS}]", left)
    return found[0] if found else None

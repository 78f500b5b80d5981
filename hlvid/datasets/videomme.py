"""Video-MME in its official layout: a parquet file, videos and subtitles in zip files.

It may not be republished: no text, option or frame of it leaves the machine it was fetched to.

References: Fu et al. 2024, arXiv 2405.21075, and its evaluation script; lmms-eval 0.7.3, whose
wording is offered beside the official one for comparison with what others ran.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from hlvid.datasets.benchmark import Benchmark
from hlvid.datasets.hub import Source
from hlvid.datasets.parquet import Row, read_questions
from hlvid.errors import UserError
from hlvid.files import read_bytes, shown
from hlvid.types import Prediction, Question
from hlvid.video_file import VideoError

NAME = "videomme"
SUBTITLES = "videomme-subtitles"
"""With the number of sampled frames behind it a name: 'videomme-subtitles-48'."""
STOCK = "videomme-stock"
PROMPTS: Mapping[str, str] = {
    NAME: "official prompt without subtitles",
    STOCK: "prompt of lmms-eval 0.7.3's own videomme, which speaks of subtitles and gives none",
}
"""What each name asks with, beside those with subtitles; a record's benchmark says which."""
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
"""Official with and without subtitles: https://github.com/MME-Benchmarks/Video-MME, 120729e."""
_STOCK_AND = " and the subtitles"
_END = "The best answer is:"
_STOCK_END = "\nAnswer with the option's letter from the given choices directly."
_SUBTITLES_FOLLOW = "This video's subtitles are listed below:"

_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUBTITLED = re.compile(rf"{SUBTITLES}-([1-9][0-9]{{0,5}})")
_TIME = r"([0-9]{1,4}):([0-9]{2}):([0-9]{2})[,.]([0-9]{3})"
_CUE_TIME = re.compile(rf"{_TIME} *--> *{_TIME}( .*)?")
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


def is_name(name: str) -> bool:
    """Whether a benchmark of that name is Video-MME, with one of its prompts."""
    return name in PROMPTS or subtitled_frames(name) is not None


def subtitled_frames(name: str) -> int | None:
    """How many sampled frames the subtitles of a benchmark's prompts are of; None without any."""
    match = _SUBTITLED.fullmatch(name)
    return None if match is None else int(match[1])


def read(root: Path, *, name: str = NAME) -> Benchmark:
    """Read Video-MME; the category of a question is the duration of its video.

    With subtitles a prompt holds those of the frames that are sampled, so these are looked up in
    the videos. A video that is not here, or cannot be read, is asked about without subtitles, which
    the revision tells: its questions cannot be answered.

    Args:
        root: Holds `videomme/`, `data/` with videos, and `subtitle/`.
        name: That `is_name` knows.

    Raises:
        UserError: The parquet file is missing or not in order, or there are no subtitles.
    """
    path, num_frames = SOURCE.find(root), subtitled_frames(name)
    files: dict[str, str] = {}
    subtitles: dict[str, str | None] = {}

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
        if num_frames is not None and video_id not in subtitles:
            subtitles[video_id] = _subtitles(root, youtube_id, num_frames)
        return _fields(row, name, subtitles.get(video_id) or "")

    if num_frames is not None and not (root / "subtitle").is_dir():
        raise UserError(f"{root / 'subtitle'}: is missing. {SOURCE.how_to_get(root)}")
    questions = read_questions(path, COLUMNS, to_fields)
    prompt = PROMPTS.get(name) or f"official prompt with the subtitles of {num_frames} frames"
    if unread := sum(one is None for one in subtitles.values()):
        prompt += f", without those of {unread} videos that could not be read"
    return Benchmark(
        name=name,
        revision=f"{SOURCE.revision_of(questions)}, {prompt}",
        questions=questions,
        videos={},
        root=root,
        files=files,
        how_to_get=SOURCE.how_to_get(root),
        num_frames=num_frames,
        license="research only, may not be republished",
        description="Video-MME: questions on videos from 11 seconds to an hour.",
    )


def _fields(row: Row, name: str, subtitles: str) -> Mapping[str, object]:
    stem, options = row["question"], row["options"]
    if not isinstance(stem, str) or not isinstance(options, list) or len(options) != len(LETTERS):
        raise UserError(f"has the options {shown(options)}. Allowed are {len(LETTERS)} texts.")
    choices = [str(o).removeprefix(f"{a}.").strip() for a, o in zip(LETTERS, options, strict=True)]
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
        name: That `is_name` knows.
        subtitles: Of the sampled frames; '' for none.
    """
    task = _TASK.format(_STOCK_AND if name == STOCK else "")
    lines = [task, stem, *options, _STOCK_END if name == STOCK else _END]
    if subtitles:
        lines = [_SUBTITLES_FOLLOW, subtitles, *lines]
    return "\n".join(lines)


def _subtitles(root: Path, youtube_id: str, num_frames: int) -> str | None:
    """Of the sampled frames, '' without a file of them; None where the video cannot be read."""
    path = root / "subtitle" / f"{youtube_id}.srt"
    if not path.is_file():
        return ""
    try:
        seconds = _sampled_seconds(root / "data" / f"{youtube_id}.mp4", num_frames)
    except (VideoError, OSError):
        return None
    return read_subtitles(path, seconds)


@lru_cache(maxsize=4096)
def _sampled_seconds(path: Path, num_frames: int) -> tuple[float, ...]:
    """When a video's sampled frames are shown, counted from its first frame."""
    from hlvid.index_cache import cached_scan
    from hlvid.video import uniform_indices

    info, index = cached_scan(path)
    pts = index.pts[uniform_indices(info.num_frames, num_frames)] - index.pts[0]
    return tuple(float(ticks * index.time_base) for ticks in pts.tolist())


def read_subtitles(path: Path, seconds: Iterable[float]) -> str:
    """What an SRT file shows at some moments, without markup.

    Each moment has a line of its own, the first that is shown then, also where the moment before
    has the same; a moment at which nothing is shown has none. Source: the script that Video-MME's
    description refers to, https://github.com/look4u-ok/video-slicer (there a line is not shown at
    the very moment at which it begins).

    Args:
        path: Of the file.
        seconds: The moments.

    Raises:
        UserError: The file is too long.
    """
    text = read_bytes(path, max_bytes=MAX_SUBTITLE_BYTES).decode("utf-8-sig", errors="replace")
    cues = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = [line.strip() for line in block.strip().split("\n")]
        times = (_CUE_TIME.fullmatch(line) for line in lines)
        found = next(((i, match) for i, match in enumerate(times) if match is not None), None)
        if found is None:
            continue
        at, match = found
        line = " ".join(_TAG.sub("", " ".join(lines[at + 1 :])).split())
        cues.append((_seconds(match.groups()[:4]), _seconds(match.groups()[4:8]), line))
    said = (next((line for a, b, line in cues if a <= t < b), "") for t in seconds)
    return "\n".join(filter(None, said))


def _seconds(parts: Sequence[str]) -> float:
    hours, minutes, seconds, milliseconds = map(int, parts)
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


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

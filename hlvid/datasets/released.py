"""HLVid as it was released: one parquet file of five columns, and videos in tar files."""

from collections.abc import Mapping
from pathlib import Path

from hlvid.datasets.benchmark import Benchmark
from hlvid.datasets.hub import Source
from hlvid.datasets.parquet import Row, read_questions
from hlvid.errors import UserError
from hlvid.files import shown
from hlvid.prompt import Parsed, parse

NAME = "hlvid"
NUM_QUESTIONS = 268
NUM_VIDEOS = 77
EVIDENCE_FILE = "evidence/hlvid.jsonl"
"""Where people saw the answers, `hlvid.types.Marked` a line: the release itself marks nothing."""
COLUMNS = ("question_id", "category", "video_path", "question", "answer")


def _places(benchmark: Benchmark) -> Mapping[str, str]:
    return {video_id: f"videos/{video_id}" for video_id in benchmark.video_ids}


SOURCE = Source(
    name=NAME,
    repository="bfshi/HLVid",
    revision="4956b601aec0bb9d455bb8f57552f78cbd3f0338",
    about="HLVid is the dataset bfshi/HLVid on Hugging Face (about 152 GB of video, no licence "
    "named)",
    questions="data/test-00000-of-00001.parquet",
    archives=("videos_part_*.tar",),
    num_questions=NUM_QUESTIONS,
    num_videos=NUM_VIDEOS,
    places=_places,
)


def read(root: Path) -> Benchmark:
    """Read HLVid.

    Args:
        root: Holds `data/` and `videos/`, and `evidence/` where somebody has marked it.

    Raises:
        UserError: The parquet file is missing or not in order; the sentence names the row. Or the
            file of evidence is not.
    """
    path = SOURCE.find(root)
    questions = read_questions(path, COLUMNS, _to_fields)
    benchmark = Benchmark(
        name=NAME,
        revision=SOURCE.revision_of(questions),
        questions=questions,
        videos={},
        root=root,
        how_to_get=SOURCE.how_to_get(root),
        description="HLVid as released: questions on 4K videos of up to five minutes.",
    )
    marked = root / EVIDENCE_FILE
    return benchmark.with_marked(marked) if marked.exists() else benchmark


def _to_fields(row: Row) -> Mapping[str, object]:
    """Stem and choices are taken from the text, which is sent as it is."""
    if type(row["question_id"]) is not int:
        raise UserError(f"question_id is {shown(row['question_id'])}. Allowed are integers.")
    text = row["question"]
    parsed = parse(text) if isinstance(text, str) else Parsed("", (), "")
    return {
        "question_id": str(row["question_id"]),
        "video_id": row["video_path"],
        "category": row["category"],
        "text": text,
        "stem": parsed.stem,
        "choices": parsed.choices,
        "answer": row["answer"],
    }

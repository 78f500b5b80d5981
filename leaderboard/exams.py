"""What runs were asked: benchmarks that the user brought or that can be found without."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hlvid import datasets
from hlvid.errors import UserError
from hlvid.files import read_jsonl, shown
from hlvid.runs import QuestionSet
from hlvid.types import BenchmarkId, Question, Video

PUBLISHABLE = frozenset(
    ("Apache-2.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "CC-BY-3.0", "CC-BY-SA-3.0")
)
"""Licences under which questions may stand on a page for everybody; nothing else is printed."""


@dataclass(frozen=True, eq=False)
class Exam:
    """A benchmark as far as marking and slicing need it."""

    name: str
    """'' for a file of questions alone, as is its revision: runs on it may call it what they like,
    but for the names that are known."""
    benchmark: datasets.Benchmark
    asked: QuestionSet

    @property
    def revision(self) -> str:
        """What tells two contents of one name apart."""
        return self.benchmark.revision

    @property
    def license(self) -> str:
        """Of the questions."""
        return self.benchmark.license

    @property
    def videos(self) -> Mapping[str, Video]:
        """What is known of the videos; empty where nothing is."""
        return self.benchmark.videos

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, in the order of their ids."""
        return self.asked.questions

    @property
    def is_publishable(self) -> bool:
        """Whether the text of a question may be shown on a public page."""
        return self.license in PUBLISHABLE

    def is_video_publishable(self, video_id: str) -> bool:
        """Whether parts of a video may be shown on a public page: its own licence must allow it."""
        known = self.videos.get(video_id)
        return self.is_publishable and known is not None and known.license in PUBLISHABLE


def exam_of(benchmark: datasets.Benchmark) -> Exam:
    """What the pages need of a benchmark."""
    return Exam(benchmark.name, benchmark, QuestionSet.of(benchmark.questions))


def read_exams(paths: Iterable[Path]) -> list[Exam]:
    """Benchmarks that the user brought.

    Args:
        paths: Each a questions.jsonl, a folder with a benchmark.json or a questions.jsonl, or HLVid
            as released: the folder or its parquet file.

    Raises:
        UserError: A path does not exist or does not hold questions.
    """
    return [_read(path) for path in paths]


def _read(path: Path) -> Exam:
    if not path.exists():
        raise UserError(f"--questions: {path} is not there. Give a questions.jsonl or its folder.")
    if path.is_dir() and (path / datasets.MANIFEST_FILE).exists():
        return exam_of(datasets.read_folder(path, root=path))
    if path.is_dir() and (path / datasets.QUESTIONS_FILE).exists():
        return exam_of(datasets.load(str(path)))
    if path.is_dir() or path.suffix == ".parquet":
        root = path if path.is_dir() else path.parent.parent
        return exam_of(datasets.load(datasets.HLVID, data=root))
    if path.name == datasets.QUESTIONS_FILE and (path.parent / datasets.MANIFEST_FILE).exists():
        return exam_of(datasets.read_folder(path.parent, root=path.parent))
    questions = tuple(read_jsonl(path, Question))
    alone = datasets.Benchmark(name=path.stem, revision="", questions=questions, videos={})
    return replace(exam_of(alone), name="")


def find_exam(benchmark: BenchmarkId, known: list[Exam]) -> Exam:
    """The benchmark that a run names, whose digest marking will hold it to.

    Args:
        benchmark: As the run names it.
        known: What was read so far; what is found without the user's help is added.

    Raises:
        UserError: It is not known here, or the run calls it what it is not.
    """
    if _find(benchmark, known) is None and datasets.is_built_in(benchmark.name):
        known.append(exam_of(datasets.load(benchmark.name)))
    if (found := _find(benchmark, known)) is None:
        raise UserError(
            f"run.json: benchmark {benchmark.name} is not known here (questions "
            f"{benchmark.questions_sha256}). Bring its questions with --questions FILE."
        )
    is_same = found.asked.questions_sha256 == benchmark.questions_sha256
    for field in ("name", "revision"):
        ours, theirs = getattr(found, field), getattr(benchmark, field)
        if is_same and ours and theirs != ours:
            raise UserError(
                f"run.json: benchmark.{field} is {shown(theirs)}, but that of its questions is "
                f"{shown(ours)}."
            )
    return found


def _find(benchmark: BenchmarkId, known: Iterable[Exam]) -> Exam | None:
    """By digest and name, else by either. A file without a name never stands for a known name."""
    may_be = [e for e in known if e.name or not datasets.is_built_in(benchmark.name)]

    def nearness(exam: Exam) -> tuple[bool, bool, bool]:
        return (
            exam.asked.questions_sha256 == benchmark.questions_sha256,
            exam.name == benchmark.name,
            exam.revision == benchmark.revision,
        )

    near = [e for e in may_be if any(nearness(e)[:2])]
    return max(near, key=nearness, default=None)

"""What runs were asked: benchmarks that the user brought or that can be found without."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hlvid import datasets
from hlvid.errors import UserError
from hlvid.files import read_jsonl
from hlvid.runs import QuestionSet
from hlvid.types import BenchmarkId, Question, Video

KNOWN_BENCHMARKS = datasets.BUILT_IN
"""Names whose questions can be found without `--questions`."""
PUBLISHABLE = frozenset(
    ("Apache-2.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "CC-BY-3.0", "CC-BY-SA-3.0")
)
"""Licences under which questions may stand on a page for everybody; nothing else is printed."""


@dataclass(frozen=True, eq=False)
class Exam:
    """A benchmark as far as marking and slicing need it."""

    name: str
    license: str
    asked: QuestionSet
    videos: Mapping[str, Video]
    """Empty where nothing is known of them."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions, in the order of their ids."""
        return self.asked.questions

    @property
    def is_publishable(self) -> bool:
        """Whether the text of a question may be printed on a public page."""
        return self.license in PUBLISHABLE


def exam_of(benchmark: datasets.Benchmark) -> Exam:
    """What the pages need of a benchmark."""
    return Exam(
        benchmark.name,
        benchmark.license,
        QuestionSet.of(benchmark.questions),
        benchmark.videos,
    )


def read_exams(paths: Iterable[Path]) -> list[Exam]:
    """Benchmarks that the user brought.

    Args:
        paths: Each a questions.jsonl, a folder with a benchmark.json, or HLVid as released: the
            folder or its parquet file.

    Raises:
        UserError: A path does not exist or does not hold questions.
    """
    return [exam_of(_read(path)) for path in paths]


def _read(path: Path) -> datasets.Benchmark:
    if not path.exists():
        raise UserError(f"--questions: {path} is not there. Give a questions.jsonl or its folder.")
    if path.is_dir() and (path / "benchmark.json").exists():
        return datasets.read(path, root=None)
    if path.is_dir() or path.suffix == ".parquet":
        root = path if path.is_dir() else path.parent.parent
        return datasets.load(datasets.HLVID, data=root)
    questions = tuple(read_jsonl(path, Question))
    return datasets.Benchmark(name=path.stem, revision="", questions=questions, videos={})


def find_exam(benchmark: BenchmarkId, known: list[Exam]) -> Exam:
    """The benchmark that a run names: by digest, else by name, which marking will hold it to.

    Args:
        benchmark: As the run names it.
        known: What was read so far; what is found without the user's help is added.

    Raises:
        UserError: It is not known here.
    """

    def find() -> Exam | None:
        same = [e for e in known if e.asked.questions_sha256 == benchmark.questions_sha256]
        same += [e for e in known if e.name == benchmark.name]
        return next(iter(same), None)

    if find() is None and benchmark.name in KNOWN_BENCHMARKS:
        known.append(exam_of(datasets.load(benchmark.name)))
    if (found := find()) is None:
        raise UserError(
            f"run.json: benchmark {benchmark.name} is not known here (questions "
            f"{benchmark.questions_sha256}). Bring its questions with --questions FILE."
        )
    return found

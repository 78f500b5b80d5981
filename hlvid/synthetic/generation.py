"""From a seed to videos and questions, without a single pixel."""

from hlvid.datasets import Benchmark
from hlvid.synthetic import home, photographs, street
from hlvid.synthetic.asking import questions
from hlvid.synthetic.casting import cast
from hlvid.synthetic.chance import Chance
from hlvid.synthetic.scene import FRAME_HEIGHT, FRAME_WIDTH, Category, RenderSettings, Scene
from hlvid.types import Question, Video

NAME = "hlvid-synthetic"
LAYOUT_VERSION = 1
"""Raised when the same settings give other questions than before. Not for sets that held a question
whose parts had no room on their thing (flower pots of a narrow shop): their digest tells."""
_DESCRIPTION = (
    "Rendered 4K videos with questions in HLVid's manner: a street seen from a slow car, and rooms "
    "that hold still. Numbers on it are not HLVid's."
)


def generate(settings: RenderSettings, index: int) -> tuple[Video, list[Question], Scene]:
    """One video: its record, its questions, and what is to be drawn.

    Args:
        settings: What the whole benchmark shares.
        index: Of the video; even ones are `av`, odd ones `household`. The result depends on
            nothing else.
    """
    category: Category = "household" if index % 2 else "av"
    video_id = _video_id(settings, category, index)
    lay_out = home.rooms if category == "household" else street.drive
    attempt = 0
    while True:
        chance = Chance(*_key(settings), index, attempt)
        found = cast(lay_out(settings, chance), settings, chance)
        if found is not None:
            break
        attempt += 1
    shots, asks = found
    scene = Scene(video_id, category, settings, shots)
    video = Video(
        video_id=video_id,
        path=f"videos/{video_id}.mp4",
        width=FRAME_WIDTH,
        height=FRAME_HEIGHT,
        duration_seconds=settings.seconds,
        fps=settings.fps,
        license=photographs.license_of(photographs.names(settings.split)),
        source=_source(settings, index),
    )
    return video, questions(scene, asks, index, chance), scene


def benchmark(settings: RenderSettings, num_videos: int) -> Benchmark:
    """The questions and videos of a whole benchmark, not drawn yet."""
    videos: dict[str, Video] = {}
    found: list[Question] = []
    for index in range(num_videos):
        video, asked, _ = generate(settings, index)
        videos[video.video_id] = video
        found.extend(asked)
    return Benchmark(
        name=NAME,
        revision=f"{LAYOUT_VERSION}, {flags(settings)} --videos {num_videos}",
        questions=tuple(sorted(found, key=lambda question: question.question_id)),
        videos=videos,
        root=None,
        license=photographs.license_of(photographs.names(settings.split)),
        description=_DESCRIPTION,
        settings={
            "videos": num_videos,
            "seconds": settings.seconds,
            "seed": settings.seed,
            "fps": settings.fps,
            "min-evidence-seconds": settings.min_evidence_seconds,
        },
    )


def flags(settings: RenderSettings) -> str:
    """The flags of `hlvid-build render` that give these settings."""
    return (
        f"--seconds {settings.seconds} --seed {settings.seed} --fps {settings.fps} "
        f"--min-evidence-seconds {settings.min_evidence_seconds}"
    )


def _source(settings: RenderSettings, index: int) -> str:
    """Where the pixels come from; the command renders the benchmark's split alone."""
    how = "hlvid-build render" if settings.split == "benchmark" else "hlvid.synthetic, training"
    return f"{how} {flags(settings)}, video {index}"


def _video_id(settings: RenderSettings, category: str, index: int) -> str:
    """One name for one content: it says everything that a video depends on."""
    parts = [f"s{settings.seed}", f"{settings.seconds}s"]
    if settings.fps != 1:
        parts.append(f"{settings.fps}fps")
    if settings.min_evidence_seconds != 20:
        parts.append(f"e{settings.min_evidence_seconds}")
    if settings.split == "training":
        parts.append("training")
    return "-".join([*parts, f"{index:03d}", category])


def _key(settings: RenderSettings) -> tuple[str | int, ...]:
    return (
        NAME,
        settings.split,
        settings.seed,
        settings.seconds,
        settings.fps,
        settings.min_evidence_seconds,
    )

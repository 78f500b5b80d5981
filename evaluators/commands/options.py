"""The options that say which exam is meant: the same for every command that sits, plans or times.

A command of this kind takes `asked` and is wrapped in `asks`, which puts all of them on its
command line.
"""

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hlvid.errors import UserError

if TYPE_CHECKING:
    from evaluators.exam import Settings
    from hlvid.types import ArmSettings

PARTIAL = 3
FAILED = 1

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[Path | None, typer.Option(help="Folder that holds the benchmark's videos.")]
Known = Annotated[str, typer.Option("--benchmark", help="Folder, if the run's was a folder.")]
Budget = Annotated[str, typer.Option(help="R,...: shares of the native tokens, in (0, 1].")]
Frames = Annotated[int, typer.Option(min=1, max=100_000, help="Frames to sample from a video.")]
GazeWeights = Annotated[
    str | None,
    typer.Option(help="AutoGaze's weights: mini, PATH or hub id; nvidia/AutoGaze by default."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask the first N questions only.")]
Name = Annotated[
    str,
    typer.Option(
        "--benchmark",
        help="hlvid, hlvid-synthetic, videomme, or a folder with a benchmark or a questions.jsonl.",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for runs; go on with what lies there.")]
Seed = Annotated[int, typer.Option(min=0, help="Of selectors, order and models that draw.")]
Selector = Annotated[
    str, typer.Option(help="S,...: NAME[:PARTNER][@BUDGET][+THRESHOLD][#SEED or #FIRST-LAST].")
]
Threshold = Annotated[float | None, typer.Option(help="Of selectors that take one.")]


@dataclass(frozen=True)
class Asked:
    """An exam as it was typed."""

    model: Annotated[str, typer.Option(help="See 'hlvid-eval models'.")] = ""
    gaze: Annotated[str, typer.Option(help="off, on or both.")] = "off"
    selector: Selector = ""
    budget: Budget = ""
    threshold: Threshold = None
    gaze_weights: GazeWeights = None
    also: Annotated[
        str,
        typer.Option(
            help="V,...: off-stock, off-bare, off-generate, blind, context-only, after-tower[:ARM] "
            "and fewer-frames, fewer-and-lower, lower-resolution, evs, each [@BUDGET], or :ARM to "
            "spend what ARM kept."
        ),
    ] = ""
    best_off: Annotated[
        Path | None,
        typer.Option(
            help="Folder of runs on another benchmark: the most accurate there of fewer-frames, "
            "fewer-and-lower and lower-resolution, with what gaze kept, sits here too."
        ),
    ] = None
    repeat_off: Annotated[
        bool,
        typer.Option(
            "--repeat-off",
            help="Sit off a second time: no difference below that of both is an effect.",
        ),
    ] = False
    weights: Annotated[
        str, typer.Option(help="PATH or hub id of the model's weights, or mini.")
    ] = ""
    load_format: Annotated[
        str, typer.Option(help="weights, or dummy: random values, latency only.")
    ] = ""
    canvas: Annotated[
        str, typer.Option(help="Of an MLLM: native, WIDTHxHEIGHT, or Np: shorter side N at most.")
    ] = ""
    pairing: Annotated[
        str,
        typer.Option(help="Frames that share a token: stock or repeat (the default of mini)."),
    ] = ""
    context: Annotated[
        str,
        typer.Option(
            help="Native tokens along a side that a token of the context stream covers, 7 by "
            "default; 0 for no stream, the default of mini. The same in every arm."
        ),
    ] = ""
    device_map: Annotated[
        str, typer.Option(help="Spread an MLLM over cards: auto, balanced or sequential.")
    ] = ""
    model_args: Annotated[
        str, typer.Option(help="K=V,... of a stock lmms-eval model: model=NAME and its own.")
    ] = ""
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the weights.")
    ] = False
    prefetch: Annotated[
        bool,
        typer.Option(
            "--prefetch",
            help="Decode the next video while one is sat: sooner done, but without times, which "
            "'perf' takes. Several processes always do.",
        ),
    ] = False
    benchmark: Name = "hlvid"
    subtitles: Annotated[
        bool, typer.Option("--subtitles", help="Of videomme: those of the sampled frames.")
    ] = False
    prompt: Annotated[
        str, typer.Option(help="Of videomme: official, or stock for lmms-eval's own.")
    ] = "official"
    data: Data = None
    frames: Frames = 16
    out: Out = Path("runs")
    limit: Limit = None
    seed: Seed = 0

    @property
    def options(self) -> dict[str, str]:
        """What the model takes beside the seed, where it was given."""
        names = (
            "weights",
            "load_format",
            "device_map",
            "canvas",
            "pairing",
            "context",
            "model_args",
        )
        given = {name: getattr(self, name) for name in names if getattr(self, name)}
        return given | ({"trust_remote_code": "yes"} if self.trust_remote_code else {})

    @property
    def benchmark_name(self) -> str:
        """The benchmark with its prompt.

        Raises:
            UserError: It has no such prompt.
        """
        if self.prompt not in ("official", "stock"):
            raise UserError(f"--prompt: {self.prompt!r}. Allowed are official and stock.")
        if not self.subtitles and self.prompt == "official":
            return self.benchmark
        if self.benchmark != "videomme" or (self.subtitles and self.prompt == "stock"):
            raise UserError(
                f"--benchmark {self.benchmark}: --subtitles and --prompt stock are of videomme, "
                "one or the other. Leave them out."
            )
        return f"{self.benchmark}-{f'subtitles-{self.frames}' if self.subtitles else 'stock'}"

    def without_arms(self) -> "Settings":
        """The settings but for the arms."""
        from evaluators.exam import Settings

        return Settings(
            model=self.model,
            arms=(),
            benchmark=self.benchmark_name,
            data=self.data,
            num_frames=self.frames,
            out=self.out,
            limit=self.limit,
            seed=self.seed,
            gaze_weights=self.gaze_weights,
            options=self.options,
            repeat_off=self.repeat_off,
            prefetch=self.prefetch,
            best_off=self.best_off,
        )

    def arms(self) -> "tuple[ArmSettings, ...]":
        """All arms, `off` first.

        Raises:
            MissingWeights: A selector's weights cannot be had.
            UserError: An arm is not allowed.
        """
        from evaluators.arms import plan_arms
        from evaluators.best_off import choose, with_chosen
        from evaluators.variants import plan_variants

        if self.gaze not in ("off", "on", "both"):
            raise UserError(f"--gaze: {self.gaze!r} is not allowed. Allowed are off, on and both.")
        budgets = ratios(self.budget)
        arms = plan_arms(
            self.gaze,  # type: ignore[arg-type]
            words(self.selector),
            budgets=budgets,
            threshold=self.threshold,
            weights=self.gaze_weights,
        )
        arms = plan_variants(words(self.also), arms, budgets=budgets)
        if self.best_off is None:
            return arms
        choices = choose(self.best_off, arms, benchmark=self.benchmark_name, num_frames=self.frames)
        return with_chosen(arms, choices)

    def settings(self) -> "Settings":
        """What it means.

        Raises:
            UserError: A name is not known, an arm not allowed, or weights or videos are not here;
                then the sentence ends with a command that runs.
        """
        from dataclasses import replace

        from evaluators.commands.missing import check
        from evaluators.models import MODELS

        if self.model not in MODELS:
            raise UserError(
                f"--model: {self.model!r} is not known. The models are: {', '.join(MODELS)}. This "
                "runs here: hlvid-eval --model ocr --benchmark hlvid-synthetic --gaze both "
                "--selector detail,random-matched"
            )
        check(self)
        return replace(self.without_arms(), arms=self.arms())


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options of `Asked` on a command's line, before its own."""
    own = [p for n, p in inspect.signature(command).parameters.items() if n != "asked"]
    common = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type
        )
        for one in dataclasses.fields(Asked)
    ]
    names = [one.name for one in common]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:  # noqa: ANN401
        asked = Asked(**{name: given.pop(name) for name in names})
        command(asked=asked, **given)

    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapped.__signature__ = inspect.Signature([*common, *keywords])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in (*common, *keywords)}
    return wrapped


def words(text: str) -> list[str]:
    """What commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


def ratios(text: str) -> list[float]:
    """Numbers that commas separate.

    Raises:
        UserError: One is no number.
    """
    found = []
    for word in words(text):
        try:
            found.append(float(word))
        except ValueError:
            raise UserError(
                f"--budget: {word!r} is not a number. Allowed are ratios in (0, 1]."
            ) from None
    return found


def typed() -> list[str]:
    """This command as typed, its program without the folder it lies in."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]

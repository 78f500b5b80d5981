"""Answering the probes of whoever builds a benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from evaluators.commands.options import FAILED, PARTIAL, Seed
from hlvid.console import Progress, say


def answer(
    probes: Annotated[Path, typer.Argument(help="JSON Lines of probes; hlvid-build writes it.")],
    answers: Annotated[Path, typer.Argument(help="File to write; an answer a line.")],
    model: Annotated[str, typer.Option(help="See 'hlvid-eval models'.")],
    weights: Annotated[str, typer.Option(help="PATH or hub id of the model's weights.")] = "",
    canvas: Annotated[str, typer.Option(help="native or WIDTHxHEIGHT, for an MLLM.")] = "",
    pairing: Annotated[str, typer.Option(help="Frames that share a token: stock or repeat.")] = "",
    seed: Seed = 0,
) -> None:
    """Answer single questions, each with the frames, size and crop that a file names.

    Example: hlvid-eval answer --model ocr probes.jsonl answers.jsonl

    A spec names this command under [audit.models], and hlvid-build audit runs it. Killed, the
    same command goes on. Exit codes: 0 all answered, 3 some probes failed, 1 all failed.
    """
    from evaluators import models
    from evaluators.answering import answer_all
    from evaluators.engine import quiet
    from evaluators.ledger import Ledger
    from hlvid.files import read_jsonl, write_jsonl
    from hlvid.types import Probe

    asked = read_jsonl(probes, Probe)
    options = {"weights": weights, "canvas": canvas, "pairing": pairing}
    quiet()
    examinee = models.find(model).make(
        seed=seed, options={name: value for name, value in options.items() if value}
    )
    bar = Progress(len(asked), f"{model} answers")
    unfinished = answers.with_name(f".{answers.name}.unfinished")
    with Ledger(unfinished) as ledger:
        found = answer_all(examinee, asked, seed=seed, ledger=ledger, tell=bar.advance)
        write_jsonl(answers, found)
        unfinished.unlink()
    failed = [each for each in found if each.error is not None]
    if failed:
        say(f"{len(failed)} of {len(found)} probes failed, the first with: {failed[0].error}")
        raise typer.Exit(FAILED if len(failed) == len(found) else PARTIAL)

"""`hlvid-eval`: sit the exam with gaze off, on or both; plan, time, mark and compare."""

from typing import NoReturn

import typer

from evaluators.commands.answer import answer
from evaluators.commands.doctor import doctor
from evaluators.commands.listing import models, recall, tasks
from evaluators.commands.planning import perf, plan
from evaluators.commands.reproducing import fetch, presets, reproduce
from evaluators.commands.sit import compare, score, sit
from evaluators.commands.train import training
from hlvid import console

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.callback()(sit)
for command in (
    doctor,
    fetch,
    plan,
    perf,
    reproduce,
    presets,
    score,
    compare,
    recall,
    tasks,
    models,
    answer,
):
    app.command()(command)
app.add_typer(training, name="train")


def main() -> NoReturn:
    """The console script."""
    console.run(app)

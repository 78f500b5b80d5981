"""The stock evaluator as an engine: one call, in which every arm is a task object of its own."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from evaluators import variants
from evaluators.arms import to_generation_kwargs
from evaluators.ranks import deal
from evaluators.room import Room
from evaluators.task import TASK_FOLDER, make_docs
from gaze.reading import send_nothing
from hlvid.datasets import Benchmark
from hlvid.types import ArmSettings, Prediction

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "WANDB_MODE": "disabled",
}
"""Nothing that is evaluated here comes from the network, and no bar but ours is drawn."""


def quiet() -> None:
    """Make libraries stay offline and tell errors only. Call it before they are imported."""
    send_nothing()
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def evaluate(
    room: Room,
    benchmark: Benchmark,
    arms: Sequence[ArmSettings],
    *,
    limit: int | None,
    num_ranks: int = 1,
) -> tuple[dict[tuple[str, str], Prediction], Mapping[str, Any]]:
    """Sit all arms in one call of the stock evaluator. Call `quiet` first.

    Args:
        room: Where.
        benchmark: All questions, also with a limit: donors come from the whole.
        arms: Each becomes a task of its own.
        limit: Questions to ask, the first ones; None for all.
        num_ranks: Processes that lmms-eval deals the questions to, one of which is this.

    Returns:
        Predictions of this process by (question id, arm name), and lmms-eval's own results by arm
        name; with several processes these count padding as wrong.
    """
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager
    from loguru import logger

    from evaluators.paired import Paired

    # lmms-eval logs to stdout, where our data goes.
    logger.remove()
    logger.add(sys.stderr, level="ERROR", format="lmms-eval: {message}")
    _draw_no_bars()
    model = Paired(room)
    if num_ranks > 1:
        # lmms-eval gathers its counts there.
        from accelerate import PartialState

        model.device = PartialState().device
    results = simple_evaluate(
        model=model,
        tasks=_tasks(deal(make_docs(benchmark), num_ranks), arms),
        task_manager=TaskManager(include_defaults=False),
        limit=limit,
        bootstrap_iters=0,
        log_samples=False,
        random_seed=room.seed,
        process_docs_parallel=1,
        datetime_str="",
    )
    # Processes other than the first get None.
    return model.predictions, results["results"] if results else {}


def _draw_no_bars() -> None:
    """Turn off the bars for which lmms-eval has no switch."""
    from lmms_eval import evaluator
    from lmms_eval.api import task
    from tqdm import tqdm  # type: ignore[import-untyped]

    class NoBar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401
            super().__init__(*arguments, **{**settings, "disable": True})

    evaluator.tqdm = task.tqdm = NoBar


def _tasks(rows: Sequence[Mapping[str, Any]], arms: Sequence[ArmSettings]) -> list[Any]:
    from datasets import Dataset, DatasetDict
    from lmms_eval.api.task import ConfigurableMessagesTask
    from lmms_eval.utils import load_yaml_config

    docs = DatasetDict(test=Dataset.from_list(list(rows)))

    class ArmTask(ConfigurableMessagesTask):  # type: ignore[misc]
        """Has its questions at hand: there is nothing to download."""

        def download(self, dataset_kwargs: object = None) -> None:
            self.dataset = self.dataset_no_image = docs

    tasks = []
    for arm in arms:
        config = load_yaml_config(str(TASK_FOLDER / "_question.yaml"))
        del config["process_docs"]
        config["generation_kwargs"] |= to_generation_kwargs(arm)
        config["generation_kwargs"] |= variants.to_generation_kwargs(arm)
        tasks.append(ArmTask(config={**config, "task": arm.name}))
    return tasks

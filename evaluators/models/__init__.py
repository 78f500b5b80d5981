"""Which models can sit the exam. Only names: stock lmms-eval imports this whenever it starts."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hlvid.errors import UserError

if TYPE_CHECKING:
    from evaluators.examinee import Examinee


@dataclass(frozen=True)
class Entry:
    """One model as tables show it; `path` is 'module:class'."""

    kind: str
    path: str
    summary: str


FOREIGN = "lmms-eval"
"""The one examinee that stands for lmms-eval's own models; stock lmms-eval has them already."""

MODELS = {
    "qwen": Entry(
        "mllm",
        "evaluators.models.qwen:Qwen",
        "Qwen2.5-VL and Qwen3-VL of any size, pruned before the vision tower",
    ),
    "nvila-hd": Entry(
        "mllm",
        "evaluators.models.nvila:NvilaHd",
        "NVILA-8B-HD-Video by its own code, which gazes by AutoGaze; never run here",
    ),
    "ocr": Entry("reader", "evaluators.models.ocr:Ocr", "reads text in the frames, nothing else"),
    "text-only": Entry(
        "language",
        "evaluators.models.text_only:TextOnly",
        "SmolLM2-135M-Instruct, never sees the video",
    ),
    FOREIGN: Entry(
        "mllm",
        "evaluators.models.foreign:LmmsEval",
        "any model of lmms-eval's own, also an endpoint: --model-args model=NAME,...",
    ),
    "gold": Entry("control", "evaluators.models.controls:Gold", "is told the right letter"),
    "random-letter": Entry(
        "control", "evaluators.models.controls:RandomLetter", "draws a letter for each question"
    ),
}
"""By the name that `--model` takes; stock lmms-eval knows them as `stock_name`."""


def stock_name(name: str) -> str:
    """The name that a model has in lmms-eval: 'text-only' is 'hlvid_text_only'; '' for none."""
    return "" if name == FOREIGN else f"hlvid_{name.replace('-', '_')}"


def find(name: str) -> "type[Examinee]":
    """A model's class; calling it with the run's seed makes the model ready to sit.

    Args:
        name: Of `MODELS`.

    Raises:
        UserError: There is no such model.
    """
    if name not in MODELS:
        raise UserError(f"--model: {name!r} is not known. The models are: {', '.join(MODELS)}.")
    module, _, class_name = MODELS[name].path.partition(":")
    examinee: type[Examinee] = getattr(import_module(module), class_name)
    return examinee


def manifests() -> list[Any]:
    """What the entry point of the group `lmms_eval.models` gives to stock lmms-eval."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest(stock_name(name), chat_class_path=f"evaluators.models.stock.{class_name}")
        for name in MODELS
        if name != FOREIGN
        for class_name in [MODELS[name].path.partition(":")[2]]
    ]

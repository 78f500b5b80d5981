"""Weights are loaded whole or not at all, and what goes wrong is a sentence."""

import pytest

from evaluators.engine import quiet

quiet()

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from evaluators.models import text_only  # noqa: E402
from evaluators.models.qwen import weights  # noqa: E402
from hlvid.errors import UserError  # noqa: E402

SMALL = "small-qwen3-vl"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with random weights, and the tensors in its file."""
    made = weights.load(SMALL, load_format="dummy", device="cpu", seed=0)
    folder = tmp_path_factory.mktemp("saved")
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    return folder, load_file(folder / "model.safetensors")


def refused(folder):
    with pytest.raises(UserError) as told:
        weights.load(str(folder), load_format="weights", device="cpu", seed=0)
    return str(told.value)


def test_tensors_that_lack_are_named_and_never_random(saved):
    folder, tensors = saved
    lacking = sorted(key for key in tensors if "mlp" in key)[:4]
    part = {key: value for key, value in tensors.items() if key not in lacking}
    save_file(part, folder / "model.safetensors", metadata={"format": "pt"})
    told = refused(folder)
    assert told.startswith(f"--weights {folder}: cannot be loaded (its files lack ")
    assert all(key in told for key in lacking[:3]) and lacking[3] not in told
    assert "and 1 more: fetch them again, whole" in told


def test_a_tensor_of_another_size_is_named(saved):
    folder, tensors = saved
    name = next(key for key in tensors if "mlp" in key)
    changed = {**tensors, name: torch.zeros(3, 3)}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    assert f"of other sizes than its config says are {name}" in refused(folder)


def test_a_file_that_ends_too_early_is_one_sentence(saved):
    folder, tensors = saved
    path = folder / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be loaded (Error while deserializing header" in refused(folder)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
@pytest.mark.parametrize("load_format", ["weights", "dummy"])
def test_what_has_no_room_says_so_also_with_random_values(saved, monkeypatch, error, load_format):
    def explode(*arguments):
        raise error

    folder, tensors = saved
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr(weights, "_ready", explode)
    name = str(folder) if load_format == "weights" else SMALL
    with pytest.raises(UserError, match="do not fit into memory") as told:
        weights.load(name, load_format=load_format, device="cpu", seed=0)
    assert "--device-map, or take smaller --weights" in str(told.value)


def test_the_language_model_is_loaded_whole_too(monkeypatch):
    import transformers

    class Half:
        @staticmethod
        def from_pretrained(folder, **settings):
            assert settings["output_loading_info"]
            return None, {"missing_keys": {"lm_head.weight"}, "mismatched_keys": set()}

    monkeypatch.setattr(transformers, "AutoModelForCausalLM", Half)
    with pytest.raises(UserError, match=r"its files lack lm_head\.weight"):
        text_only.TextOnly(seed=0)

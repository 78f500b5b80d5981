"""What lmms-eval 0.7.3 does that we rest on or guard against: an upgrade that changes it shows."""

import json
from importlib import metadata

import pytest

from evaluators.engine import quiet
from evaluators.models import FOREIGN, MODELS, manifests, stock_name
from evaluators.paired import Paired, StockPaired
from evaluators.task import GENERATION, TASK_FOLDER, make_docs
from hlvid.datasets import read
from hlvid.errors import UserError

quiet()

import torch  # noqa: E402
from datasets import Dataset, DatasetDict  # noqa: E402
from lmms_eval.api.instance import Instance  # noqa: E402
from lmms_eval.api.model import lmms  # noqa: E402
from lmms_eval.api.task import ConfigurableMessagesTask  # noqa: E402
from lmms_eval.evaluator import simple_evaluate  # noqa: E402
from lmms_eval.models import MODEL_REGISTRY_V2, list_available_models  # noqa: E402
from lmms_eval.tasks import TaskManager  # noqa: E402
from lmms_eval.utils import load_yaml_config  # noqa: E402


class Recorder(lmms):
    """Keeps what the evaluator sends."""

    is_simple = False

    def __init__(self):
        super().__init__()
        self.calls = []
        self.network = torch.nn.Linear(1, 1)

    def generate_until(self, requests):
        self.calls.append(list(requests))
        return ["A"] * len(requests)

    def loglikelihood(self, requests):
        raise AssertionError

    generate_until_multi_round = loglikelihood


@pytest.fixture(scope="module")
def docs(tiny):
    return make_docs(read(tiny, root=tiny))


def task(name, docs, **generation):
    dataset = DatasetDict(test=Dataset.from_list(docs))

    class Local(ConfigurableMessagesTask):
        def download(self, dataset_kwargs=None):
            self.dataset = self.dataset_no_image = dataset

    config = load_yaml_config(str(TASK_FOLDER / "_question.yaml"))
    config["generation_kwargs"] |= generation
    del config["process_docs"]
    return Local(config={**config, "task": name})


def evaluate(model, *tasks, **settings):
    manager = TaskManager(include_defaults=False)
    return simple_evaluate(
        model=model, tasks=list(tasks), task_manager=manager, bootstrap_iters=0, **settings
    )


@pytest.fixture(scope="module")
def recorded(docs):
    model = Recorder()
    results = evaluate(model, task("one", docs), task("two", docs, gaze="on"), limit=3)
    return model, results


def test_this_is_the_version_that_was_studied():
    assert metadata.version("lmms_eval") == "0.7.3"


def test_requests_of_sibling_tasks_come_in_one_call(recorded):
    model, _ = recorded
    (requests,) = model.calls
    assert [r.args[4] for r in requests] == ["one"] * 3 + ["two"] * 3


def test_a_chat_request_has_six_parts_and_keeps_our_generation_settings(recorded, docs):
    model, _ = recorded
    context, doc_to_messages, generation, doc_id, name, split = model.calls[0][4].args
    assert (context, doc_id, name, split) == (docs[1]["text"], 1, "two", "test")
    assert {**GENERATION, "gaze": "on"}.items() <= generation.items()
    assert generation.keys() - GENERATION.keys() == {"gaze", "until"}
    (turn,) = doc_to_messages(model.task_dict[name][split][doc_id])
    assert turn["content"] == [
        {"type": "video", "url": docs[1]["video"]},
        {"type": "text", "text": docs[1]["text"]},
    ]


def test_the_evaluator_calls_clean_which_deletes_networks_and_ours_does_not(recorded):
    model, _ = recorded
    assert not hasattr(model, "network")
    ours = Paired()
    ours.network = torch.nn.Linear(1, 1)
    ours.clean()
    assert hasattr(ours, "network")


def test_marks_are_strict_shares_clustered_by_video(recorded, docs):
    _, results = recorded
    share = sum(doc["answer"] == "A" for doc in docs[:3]) / 3
    assert results["results"]["one"]["accuracy,none"] == pytest.approx(share)
    assert results["higher_is_better"]["one"] == {"accuracy": True}


def test_model_arguments_of_a_named_model_must_be_a_string():
    with pytest.raises(AttributeError):
        simple_evaluate(
            model="hlvid_gold",
            model_args={"seed": 1},
            tasks=["nothing"],
            task_manager=TaskManager(include_defaults=False),
        )


def test_our_models_are_registered_and_can_be_made_from_strings():
    ours = [name for name in MODELS if name != FOREIGN]
    names = {stock_name(name) for name in ours}
    assert names <= set(list_available_models())
    assert {manifest.model_id for manifest in manifests()} == names
    for name in ours:
        found = MODEL_REGISTRY_V2.get_model_class(stock_name(name))
        assert issubclass(found, StockPaired)
        assert found.model_name == name
    made = MODEL_REGISTRY_V2.get_model_class("hlvid_random_letter").create_from_arg_string(
        "frames=3,seed=5", {"batch_size": 1, "max_batch_size": None, "device": "cpu"}
    )
    assert made._frames.num_frames == 3


def test_the_tasks_are_found_without_lmms_evals_own_thousands():
    manager = TaskManager(include_path=str(TASK_FOLDER), include_defaults=False)
    assert manager.all_tasks == [
        "hlvid",
        "hlvid-synthetic",
        "hlvid-videomme",
        "hlvid-videomme-stock",
    ]
    assert TaskManager(include_defaults=False).all_tasks == []


def test_without_the_data_the_task_ends_at_once_with_the_sentence_that_helps(monkeypatch, tmp_path):
    monkeypatch.setenv("HLVID_DATA", str(tmp_path))
    monkeypatch.setenv("LMMS_EVAL_DATASETS_CACHE", str(tmp_path / "cache"))
    manager = TaskManager(include_path=str(TASK_FOLDER), include_defaults=False)
    with pytest.raises(SystemExit, match="hlvid-eval fetch hlvid"):
        manager.load_task_or_group(["hlvid"], "chat")


def test_the_yaml_asks_what_we_ask_with_gaze_off_as_a_string():
    config = load_yaml_config(str(TASK_FOLDER / "hlvid.yaml"))
    assert config["generation_kwargs"] == {**GENERATION, "gaze": "off"}
    benchmarks = [
        json.loads((TASK_FOLDER / f"{name}.json").read_text())["benchmark"]
        for name in ("hlvid", "hlvid-synthetic")
    ]
    assert benchmarks == ["hlvid", "hlvid-synthetic"]


def test_stock_would_take_a_webm_for_sound_and_ours_does_not(docs):
    assert ConfigurableMessagesTask._visual_to_content("a.webm")["type"] == "audio"
    made = task("webm", [{**docs[0], "video": "a.webm"}])
    assert made.doc_to_messages(made.test_docs()[0])[0]["content"][0]["type"] == "video"


def request(docs, *, doc_id=0, generation=None, padding=False):
    made = task("t", docs, **(generation or {}))
    metadata_ = {"task": "t", "doc_id": doc_id, "repeats": 1, "split": "test"}
    if padding:
        metadata_["__padding_only__"] = True
    found = made.construct_requests(doc_id=doc_id, ctx="", metadata=metadata_)
    assert isinstance(found, Instance)
    return made, found


def test_a_boolean_gaze_is_refused_where_it_comes_from_yaml(docs, tmp_path):
    made, asked = request(docs, generation={"gaze": True})
    model = StockPairedGold(scratch=str(tmp_path))
    model.task_dict = {"t": made.dataset}
    with pytest.raises(UserError, match="gaze is True"):
        model.generate_until([asked])


class StockPairedGold(StockPaired):
    model_name = "gold"


def test_padding_requests_are_not_answered(docs, tmp_path):
    made, asked = request(docs, doc_id=1)
    _, padding = request(docs, doc_id=1, padding=True)
    model = StockPairedGold(scratch=str(tmp_path))
    model.task_dict = {"t": made.dataset}
    assert model.generate_until([asked, padding]) == [docs[1]["answer"], ""]
    assert len(model.predictions) == 1


def test_a_task_of_others_is_refused_by_name(tmp_path, docs):
    _, asked = request(docs)
    model = StockPairedGold(scratch=str(tmp_path))
    model.task_dict = {"t": {"test": [{"question": "?"}]}}
    with pytest.raises(UserError, match="task t: its rows have no 'question_id'"):
        model.generate_until([asked])

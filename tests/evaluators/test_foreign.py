"""lmms-eval's own models sit our exams: one that needs nothing, and an endpoint over HTTP."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image
from typer.testing import CliRunner

from evaluators.cli import app
from evaluators.models.foreign import _read
from hlvid.errors import UserError
from hlvid.runs import read_run


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


class Endpoint:
    """Speaks as much of the OpenAI protocol as a client needs; says B, or refuses some."""

    def __init__(self):
        self.asked = []
        self.refuses = ""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                endpoint.asked.append(body)
                content = body["messages"][0]["content"]
                is_refused = endpoint.refuses and endpoint.refuses in content[-1]["text"]
                reply = {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": body["model"],
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": "stop",
                            "message": {"role": "assistant", "content": "B"},
                        }
                    ],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
                }
                data = json.dumps({"error": "no"} if is_refused else reply).encode()
                self.send_response(400 if is_refused else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Endpoint()
    yield server
    server.close()


def test_a_stock_model_of_lmms_eval_sits_our_exam(tiny, tmp_path):
    done = invoke(
        *("--model", "lmms-eval", "--model-args", "model=dummy,response=C"),
        *("--benchmark", tiny, "--frames", 1, "--out", tmp_path, "--json"),
    )
    assert done.exit_code == 0, done.exception
    (row,) = json.loads(done.stdout)["runs"]
    run = read_run(tmp_path / row["run_id"])
    assert {p.response for p in run.predictions} == {"C"}
    assert run.record.model.weights == "dummy"
    assert run.record.generation["model_args"] == "model=dummy,response=C"
    assert run.predictions[0].canvas_sha256
    assert {p.tokens for p in run.predictions} == {None}, "what it makes of images is not known"


def test_an_endpoint_gets_our_frames_and_what_it_refuses_is_failed(tiny, tmp_path, endpoint):
    endpoint.refuses = 'under "GARDEN SHOP"'
    arguments = f"model=openai,model_version=tiny-mllm,base_url={endpoint.url},max_retries=1"
    command = [
        *("--model", "lmms-eval", "--model-args", arguments, "--canvas", "320x180"),
        *("--benchmark", tiny, "--frames", 2, "--out", tmp_path, "--json"),
    ]
    done = invoke(*command)
    assert done.exit_code == 3, done.exception
    (row,) = json.loads(done.stdout)["runs"]
    assert row["num_failed"] == 2
    run = read_run(tmp_path / row["run_id"])
    assert run.record.model.weights == "openai:tiny-mllm"
    failed = [p for p in run.predictions if p.status == "failed"]
    assert all(p.error.startswith("[LMMS_EVAL_REQUEST_FAILED") for p in failed)
    assert {p.response for p in run.predictions if p.status == "ok"} == {"B"}
    images = [one for one in endpoint.asked[0]["messages"][0]["content"] if one["type"] != "text"]
    sizes = {
        Image.open(io.BytesIO(base64.b64decode(one["image_url"]["url"].split(",")[1]))).size
        for one in images
    }
    assert (len(images), sizes) == (2, {(320, 180)})
    assert endpoint.asked[0]["temperature"] == 0

    num_asked, endpoint.refuses = len(endpoint.asked), ""
    assert invoke(*command).exit_code == 0
    assert len(endpoint.asked) == num_asked + 2, "only what failed is asked again"


def test_gaze_means_nothing_to_it(tiny, tmp_path):
    done = invoke(
        *("--model", "lmms-eval", "--model-args", "model=dummy", "--benchmark", tiny),
        *("--gaze", "both", "--selector", "uniform", "--frames", 1, "--out", tmp_path, "--json"),
    )
    states = {row["arm"]: row["status"] for row in json.loads(done.stdout)["runs"]}
    assert states == {"off": "complete", "uniform@0.1": "infeasible"}


def test_arguments_that_are_no_secrets_are_taken():
    text = "model=vllm,max_new_tokens=7,token_strategy=multiple,base_url=http://h:8000/v1"
    assert _read(text) == (
        "vllm",
        {"max_new_tokens": "7", "token_strategy": "multiple", "base_url": "http://h:8000/v1"},
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "model='' is not allowed"),
        ("model=hlvid_ocr", "ours are named by --model"),
        ("model=openai,api_key=sk-1", "what api_key holds would stand in the record"),
        ("model=openai,hf_token=hf-1", "what hf_token holds would stand in the record"),
        ("model=openai,base_url=https://me:pw@h/v1", "give addresses without a user name"),
        ("model=openai,base_url=https://h/v1?api-key=pw", "what base_url holds"),
        ("model=no_such_model", "lmms-eval's model 'no_such_model' cannot be made"),
        ("dummy", "'dummy' cannot be read"),
    ],
)
def test_what_cannot_be_made_is_said(tiny, tmp_path, arguments, said):
    done = invoke(
        *("--model", "lmms-eval", "--model-args", arguments, "--benchmark", tiny),
        *("--out", tmp_path),
    )
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)

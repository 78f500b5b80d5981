"""Small and 4K films, a server that misbehaves on demand, and a workshop to build in."""

import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import av
import numpy as np
import pytest
from PIL import Image

from hlvid.build.engine import run_stage
from hlvid.build.stages import STAGES
from hlvid.build.work import Work

FILMS_4K = {
    "h264": ("libx264", {"preset": "ultrafast", "crf": "25"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}),
    "av1": ("libsvtav1", {"preset": "12", "crf": "35"}),
    "hevc": ("libx265", {"preset": "ultrafast", "crf": "28", "x265-params": "log-level=none"}),
}
SUFFIX = {"h264": "mp4", "hevc": "mp4", "vp9": "webm", "av1": "webm"}


class Films:
    """4K films: a window that wanders over a photograph; each is encoded once a session."""

    def __init__(self, folder):
        self.folder = folder

    def make(
        self,
        codec="h264",
        *,
        photograph="sunset",
        num_frames=8,
        keyframe_every=2,
        is_upscaled=False,
        is_hdr=False,
        step=12,
    ):
        """A film of one frame a second with a keyframe every `keyframe_every`."""
        options = f"{photograph}-{num_frames}-{keyframe_every}-{is_upscaled}-{is_hdr}-{step}"
        path = self.folder / f"{codec}-{options}.{SUFFIX[codec]}"
        if path.exists():
            return path
        encoder, settings = FILMS_4K[codec]
        with av.open(os.fspath(path), "w", options={"fflags": "+bitexact"}) as output:
            stream = output.add_stream(encoder, rate=1, options=settings)
            stream.width, stream.height = 3840, 2160
            stream.pix_fmt = "yuv420p10le" if is_hdr else "yuv420p"
            stream.gop_size = keyframe_every
            context = stream.codec_context
            context.colorspace, context.color_range = (9, 1) if is_hdr else (1, 1)
            context.color_primaries, context.color_trc = (9, 16) if is_hdr else (1, 1)
            for number, pixels in enumerate(windows(photograph, num_frames, step, is_upscaled)):
                frame = av.VideoFrame.from_ndarray(pixels, "gray").reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 1)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        return path


def windows(photograph, num_frames, step, is_upscaled):
    """Grey 4K pictures of a photograph that ships, each `step` pixels further."""
    folder = resources.files("hlvid") / "synthetic" / "photographs"
    (name,) = [p for p in folder.iterdir() if p.name.startswith(photograph)]
    with resources.as_file(name) as path, Image.open(path) as image:
        whole = image.convert("L")
    if is_upscaled:
        small = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS)
        whole = small.resize(
            (whole.width // 2 * 2, whole.height // 2 * 2), Image.Resampling.BICUBIC
        )
    pixels = np.asarray(whole)
    for number in range(num_frames):
        yield np.ascontiguousarray(pixels[:2160, number * step : number * step + 3840])


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    return Films(tmp_path_factory.mktemp("films"))


class Site:
    """A server on the loopback address that does to a path what a test told it to."""

    def __init__(self):
        self.bodies = {}
        self.types = {}
        self.scripts = {}
        self.etags = {}
        self.requests = []
        self.lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                site.answer(self, is_head=True)

            def do_GET(self):
                site.answer(self, is_head=False)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def put(self, path, body, *, type_="video/mp4", etag="auto"):
        """Serve bytes under a path; returns the address."""
        url, path = f"{self.root}{path}", unquote(path)
        self.bodies[path], self.types[path] = body, type_
        digest = hashlib.sha256(body).hexdigest()[:12]
        self.etags[path] = f'"{digest}"' if etag == "auto" else etag
        return url

    def script(self, path, *steps):
        """What the next requests of a path meet, one each; then the body is served as it should."""
        self.scripts[path] = list(steps)
        return f"{self.root}{path}"

    def answer(self, handler, *, is_head):
        path = unquote(handler.path.partition("?")[0])
        with self.lock:
            self.requests.append((path, dict(handler.headers), time.monotonic()))
            steps = self.scripts.get(path)
            step = steps.pop(0) if steps else None
        try:
            if step is not None:
                step(self, handler, path)
            else:
                self.serve(handler, path, is_head=is_head)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def serve(self, handler, path, *, is_head=False, stop_at=None):
        """Answer with the body, or its rest; `stop_at` breaks off after so many bytes of it."""
        body = self.bodies.get(path)
        if body is None:
            handler.send_error(404)
            return
        etag, start = self.etags[path], 0
        wanted = handler.headers.get("Range", "")
        if wanted.startswith("bytes=") and handler.headers.get("If-Range", etag) == etag:
            start = int(wanted[6:].partition("-")[0])
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Type", self.types[path])
        handler.send_header("Content-Length", str(len(body) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if etag:
            handler.send_header("ETag", etag)
        handler.end_headers()
        if not is_head:
            handler.wfile.write(body[start:][:stop_at])
            handler.wfile.flush()
        if stop_at is not None:
            handler.close_connection = True

    def count(self, path):
        """How often a path was asked for."""
        return sum(1 for each, _, _ in self.requests if each == path)


def status(code, **headers):
    """A step: answer with an HTTP status."""

    def step(site, handler, path):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return step


def cut_short(num_bytes):
    """A step: promise everything, break off after so many bytes."""
    return lambda site, handler, path: site.serve(handler, path, stop_at=num_bytes)


def reset(site, handler, path):
    """A step: close the connection without a word."""
    handler.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: a reset, no goodbye
    handler.close_connection = True
    handler.connection.close()


def stall(site, handler, path):
    """A step: promise everything, send a little, then nothing."""
    handler.send_response(200)
    handler.send_header("Content-Type", "video/mp4")
    handler.send_header("Content-Length", str(len(site.bodies[path])))
    handler.end_headers()
    handler.wfile.write(site.bodies[path][:100])
    handler.wfile.flush()
    time.sleep(1.5)
    handler.close_connection = True


def headers_only(body=None, **headers):
    """A step: the body, under other headers; those that are None are left out."""

    def step(site, handler, path):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content = site.bodies.get(path, b"") if body is None else body
        sent = {"Content-Type": "video/mp4", "Content-Length": str(len(content)), **sent}
        handler.send_response(200)
        for name, value in sent.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return step


def bomb(num_bytes=2**24):
    """A step: a few bytes that unpack to very many."""
    return headers_only(body=gzip.compress(bytes(num_bytes), 9), Content_Encoding="gzip")


@pytest.fixture
def site():
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


SMALL = {
    "select": {"min_seconds": 1.0, "min_height": 48, "codecs": ["h264"], "licenses": ["*"]},
    "fetch": {
        "seconds_between": 0.0,
        "pause_seconds": 0.2,
        "num_tries": 3,
        "backoff_seconds": 0.01,
        "timeout_seconds": 0.5,
        "min_bytes_per_second": 0,
    },
    "probe": {"min_detail_decibels": -1000.0},
    "clip": {"target_seconds": 1.6, "tolerance": 0.3, "max_per_source": 1},
}


class Workshop:
    """A spec and a work folder; rules are those of `SMALL` unless a test says otherwise."""

    def __init__(self, folder):
        self.folder = folder
        self.sources = []
        self.rules = json.loads(json.dumps(SMALL))
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def spec(self):
        path = self.folder / "spec.toml"
        path.write_text(to_toml({"name": "try", **self.rules}, self.sources))
        return path

    def url(self, name, url, **more):
        self.sources.append({"name": name, "kind": "url", "url": url, "category": "av", **more})

    def site(self, name, url, **more):
        self.sources.append({"name": name, "kind": "site", "url": url, "category": "av", **more})

    def take(self, *paths, name="own"):
        """Copy films into a folder that is a source."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        for path in paths:
            shutil.copyfile(path, place / path.name)
        if all(source["name"] != name for source in self.sources):
            source = {"name": name, "kind": "folder", "path": name, "category": "av"}
            self.sources.append(source)

    def open(self, work="work"):
        return Work.open(self.folder / work, self.spec)

    def run(self, until="dedup", *, work="work", num_workers=0, **more):
        """Run stages in this process; returns the work folder."""
        opened = self.open(work)
        for stage in STAGES:
            run_stage(opened, stage, num_workers=num_workers, **more)
            if stage.name == until:
                break
        return opened


def to_toml(tables, sources):
    """TOML of plain values and tables of plain values."""
    lines = [f"{key} = {json.dumps(v)}" for key, v in tables.items() if not isinstance(v, dict)]
    for source in sources:
        lines += ["[[sources]]", *(f"{key} = {json.dumps(v)}" for key, v in source.items())]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in table.items())]
    return "\n".join(lines)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.setenv("HLVID_CACHE", os.fspath(tmp_path / "cache"))
    return Workshop(tmp_path / "shop")


@pytest.fixture
def steps():
    """What a server can do to a request."""
    return SimpleNamespace(
        status=status,
        cut_short=cut_short,
        reset=reset,
        stall=stall,
        headers_only=headers_only,
        bomb=bomb,
    )


@pytest.fixture(scope="session")
def photograph_windows():
    return windows


@pytest.fixture
def writable_hub():
    """A hub on the loopback address with an empty dataset 'me/exam', to publish to."""
    path = Path(__file__).parents[2] / "hub_writing.py"
    spec = importlib.util.spec_from_file_location("hub_writing", path)
    module = sys.modules["hub_writing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.WritableHub() as hub:
        hub.add("me/exam", {".gitattributes": b"x", "old.txt": b"old", "README.md": b"---\n---\n"})
        yield hub


def waves_of(number):
    """A picture of waves; those of numbers that differ modulo 5 are not alike."""
    y, x = np.mgrid[0:48, 0:64]
    levels = np.sin(x / (3 + number % 5)) * 60 + np.cos(y * x / (40 + number)) * 60 + 128
    return np.stack([levels, levels[::-1], levels[:, ::-1]], axis=-1).astype(np.uint8)


@pytest.fixture
def waves():
    """How a picture of waves is made: (number)."""
    return waves_of


@pytest.fixture
def small_shop(workshop, clips):
    """Four small films: two that differ, a copy in another container, one too short."""
    first = clips.make()
    workshop.take(
        first,
        clips.make(name="other", pictures=[waves_of(number) for number in range(30)]),
        clips.remux(first, "copy.mkv"),
        clips.make(name="short", num_frames=6),
    )
    return workshop

"""A hub on the loopback address: datasets that the real huggingface_hub client can list and fetch.

It speaks the part of the hub's protocol that reading needs: a dataset's files at a revision, and
the files themselves with ETag, X-Repo-Commit and Range.
"""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

INFO = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/revision/([^/]+))?")
TREE = re.compile(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?")
RESOLVE = re.compile(r"/(?:api/)?datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
COMMIT = re.compile("[0-9a-f]{40}")
LFS_FROM_BYTES = 1024
"""Longer files are told with their SHA-256, as the hub tells files it keeps by their digest."""


@dataclass
class Dataset:
    """A repository at one commit; branch names lead there too."""

    commit: str
    files: dict[str, bytes]

    def entry(self, path: str) -> dict[str, object]:
        content = self.files[path]
        sha256 = hashlib.sha256(content).hexdigest()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, object] = {"size": len(content), "blobId": blob, "oid": blob}
        if len(content) > LFS_FROM_BYTES:
            entry["lfs"] = {"sha256": sha256, "oid": sha256, "size": len(content), "pointerSize": 1}
        return entry

    def etag(self, path: str) -> str:
        entry = self.entry(path)
        return str(entry["lfs"]["sha256"] if "lfs" in entry else entry["blobId"])  # type: ignore[index]


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    hub: "HubServer"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path, wanted = unquote(urlsplit(self.path).path), self.headers.get("Range", "")
        self.hub.requests.append(f"{self.command} {path} {wanted}".strip())
        if self.hub.is_down:
            return self._send(503, b"down", with_body=with_body)
        if match := RESOLVE.fullmatch(path):
            return self._file(*match.groups(), wanted, with_body=with_body)
        if match := TREE.fullmatch(path):
            content = self.hub.tree(match[1], match[2], match[3] or "")
        elif match := INFO.fullmatch(path):
            content = self.hub.info(match[1], match[2] or "main")
        else:
            content = None
        if content is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body=with_body)
        return self._send(200, json.dumps(content).encode(), with_body=with_body)

    def _file(
        self, repository: str, revision: str, path: str, wanted: str, *, with_body: bool
    ) -> None:
        dataset = self.hub.find(repository, revision)
        if dataset is None or path not in dataset.files:
            code = {"X-Error-Code": "EntryNotFound"}
            return self._send(404, b"{}", code, with_body=with_body)
        content = dataset.files[path]
        headers = {
            "ETag": f'"{dataset.etag(path)}"',
            "X-Repo-Commit": dataset.commit,
            "Accept-Ranges": "bytes",
        }
        status = 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", wanted):
            first, last = int(match[1]), int(match[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, content = 206, content[first : last + 1]
        most = self.hub.breaks_after.pop(path, None) if with_body else None
        return self._send(status, content, headers, with_body=with_body, most=most)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        with_body: bool,
        most: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content[:most])
        self.close_connection = most is not None


@dataclass
class HubServer:
    """Start it with `with`; its address goes into HF_ENDPOINT.

    Args:
        is_down: Answer everything with 503.
        breaks_after: Path -> bytes after which its next transfer breaks off, once.
    """

    datasets: dict[str, Dataset] = field(default_factory=dict)
    is_down: bool = False
    breaks_after: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """'GET <path>' and 'GET <path> <range>' in order."""

    def add(self, repository: str, files: Mapping[str, bytes], *, commit: str = "0" * 40) -> None:
        """Have a dataset at a commit."""
        self.datasets[repository] = Dataset(commit, dict(files))

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """What makes a process talk to this hub, and to no other."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def find(self, repository: str, revision: str) -> Dataset | None:
        """The dataset, where it has the revision: its commit, or any name of a branch."""
        dataset = self.datasets.get(repository)
        if dataset is None or (COMMIT.fullmatch(revision) and revision != dataset.commit):
            return None
        return dataset

    def info(self, repository: str, revision: str) -> dict[str, object] | None:
        """What the hub says of a dataset."""
        dataset = self.find(repository, revision)
        if dataset is None:
            return None
        siblings = [{"rfilename": path, **dataset.entry(path)} for path in sorted(dataset.files)]
        return {
            "id": repository,
            "sha": dataset.commit,
            "private": False,
            "gated": False,
            "disabled": False,
            "tags": [],
            "siblings": siblings,
        }

    def tree(self, repository: str, revision: str, folder: str) -> list[object] | None:
        """All files below a folder."""
        dataset = self.find(repository, revision)
        if dataset is None:
            return None
        return [
            {"type": "file", "path": path, **dataset.entry(path)}
            for path in sorted(dataset.files)
            if path.startswith(folder)
        ]

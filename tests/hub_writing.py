"""The hub of `hub_server` with branches, commits and tags, so that publishing can be rehearsed."""

import base64
import hashlib
import importlib.util
import json
import re
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit


def _load():
    if "hub_server" not in sys.modules:
        place = Path(__file__).with_name("hub_server.py")
        spec = importlib.util.spec_from_file_location("hub_server", place)
        module = sys.modules["hub_server"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["hub_server"]


_reading = _load()
REFS = re.compile(r"/api/datasets/([^/]+/[^/]+)/refs")
WRITE = re.compile(r"/api/datasets/([^/]+/[^/]+)/(branch|preupload|commit|tag)/(.+)")
BATCH = re.compile(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch")
BLOB = re.compile(r"/blobs/([0-9a-f]{64})")


class _Handler(_reading._Handler):
    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if match := REFS.fullmatch(path):
            return self._json(self.hub.refs(match[1]))
        return super().do_GET()

    def do_POST(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not body and self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        if self.hub.refuses and any(word in path for word in self.hub.refuses):
            return self._send(403, b"{}", with_body=True)
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if BATCH.fullmatch(path):
            return self._json(self.hub.batch(json.loads(body)))
        if match := WRITE.fullmatch(path):
            status, content = self.hub.write(*match.groups(), body)
            return self._send(status, json.dumps(content).encode(), with_body=True)
        return self._send(404, b"{}", with_body=True)

    def do_PUT(self):
        match = BLOB.fullmatch(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if match is None or hashlib.sha256(body).hexdigest() != match[1]:
            return self._send(400, b"", with_body=True)
        self.hub.blobs[match[1]] = body
        return self._send(200, b"", with_body=True)

    def _chunks(self):
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, content):
        return self._send(200, json.dumps(content).encode(), with_body=True)


class WritableHub(_reading.HubServer):
    """Start it with `with`; `add` makes the main branch of a dataset."""

    def __init__(self):
        super().__init__()
        self.branches, self.commits, self.tags, self.blobs = {}, {}, {}, {}
        self.refuses = ()
        self.spoils = None
        """A path whose next commit keeps other bytes than were sent."""

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def add(self, repository, files, *, commit="0" * 40):
        self.commits[commit] = _reading.Dataset(commit, dict(files))
        self.branches[repository] = {"main": commit}
        self.tags[repository] = {}

    def find(self, repository, revision):
        if repository not in self.branches:
            return None
        names = {**self.branches[repository], **self.tags[repository]}
        return self.commits.get(names.get(revision, revision))

    def refs(self, repository):
        def told(kind, found):
            return [
                {"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in found.items()
            ]

        return {
            "branches": told("heads", self.branches[repository]),
            "tags": told("tags", self.tags[repository]),
            "converts": [],
        }

    def batch(self, wanted):
        objects = []
        for each in wanted["objects"]:
            told = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.blobs:
                told["actions"] = {"upload": {"href": f"{self.url}/blobs/{each['oid']}"}}
            objects.append(told)
        return {"transfer": "basic", "objects": objects}

    def write(self, repository, what, name, body):
        if what == "branch":
            base = json.loads(body or b"{}").get("startingPoint", "main")
            if name in self.branches[repository]:
                return 409, {}
            self.branches[repository][name] = self.find(repository, base).commit
            return 200, {}
        if what == "tag":
            tag = json.loads(body)["tag"]
            if tag in self.tags[repository]:
                return 409, {}
            self.tags[repository][tag] = self.find(repository, name).commit
            return 200, {}
        if what == "preupload":
            files = json.loads(body)["files"]
            return 200, {"files": [self._mode(each) for each in files]}
        return 200, self._commit(repository, name, [json.loads(x) for x in body.splitlines()])

    @staticmethod
    def _mode(each):
        mode = "lfs" if each["size"] > _reading.LFS_FROM_BYTES else "regular"
        return {"path": each["path"], "uploadMode": mode, "shouldIgnore": False}

    def _commit(self, repository, branch, lines):
        files = dict(self.find(repository, branch).files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        if self.spoils in files:
            files[self.spoils] += b"?"
        state = hashlib.sha1(usedforsecurity=False)
        for path in sorted(files):
            state.update(path.encode() + files[path])
        commit = state.hexdigest()
        self.commits[commit] = _reading.Dataset(commit, files)
        self.branches[repository][branch] = commit
        url = f"{self.url}/datasets/{repository}/commit/{commit}"
        return {"commitUrl": url, "commitOid": commit, "success": True}

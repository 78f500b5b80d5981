"""Serve this folder to one browser on this machine: python3 serve.py [PORT].

Needs Python and nothing else. Opens on the loopback address only; writes one file, answers.jsonl.
"""

import json
import os
import re
import secrets
import sys
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANSWERS_FILE = "answers.jsonl"
MAX_ANSWERS_BYTES = 64 * 2**20
BLOCK_BYTES = 2**20
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".mp4": "video/mp4",
}
PAGES = ("index.html", "page.js", "page.css", "pack.json", ANSWERS_FILE)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_VIDEO = re.compile(r"videos/[A-Za-z0-9][A-Za-z0-9._:@#+-]{0,203}")
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, folder: Path) -> None:
        self.folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Say nothing for each request."""

    def do_GET(self) -> None:
        """Send a file of the pack, or a part of it."""
        if not self._is_from_here():
            return self._refuse(HTTPStatus.FORBIDDEN)
        name = self.path.partition("?")[0].removeprefix("/") or "index.html"
        name = name.replace("%23", "#").replace("%3A", ":").replace("%40", "@").replace("%2B", "+")
        path = self.folder / name
        if name == ANSWERS_FILE and not path.exists():
            return self._send(b"", TYPES[".jsonl"])
        if not (name in PAGES or _VIDEO.fullmatch(name)) or not path.is_file():
            return self._refuse(HTTPStatus.NOT_FOUND)
        return self._file(path)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """Keep the answers: whole or not at all."""
        size = self.headers.get("Content-Length", "")
        if not self._is_from_here() or self.headers.get("X-Task-Pack") != "1":
            return self._refuse(HTTPStatus.FORBIDDEN)
        if self.path != f"/{ANSWERS_FILE}" or not size.isdecimal():
            return self._refuse(HTTPStatus.NOT_FOUND)
        if int(size) > MAX_ANSWERS_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        data = self.rfile.read(int(size))
        try:
            for line in data.decode().splitlines():
                if not isinstance(json.loads(line), dict):
                    raise ValueError(line)
        except (ValueError, RecursionError):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        part = self.folder / f".{secrets.token_hex(8)}.part"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / ANSWERS_FILE)
        return self._send(b"", "text/plain")

    def _is_from_here(self) -> bool:
        """Whether the page of this server asks: other sites may send the browser here."""
        host, port = self.connection.getsockname()[:2]
        own = f"{host}:{port}"
        origin = self.headers.get("Origin")
        return self.headers.get("Host") == own and origin in (None, f"http://{own}")

    def _file(self, path: Path) -> None:
        size = path.stat().st_size
        first, last, status = 0, size - 1, HTTPStatus.OK
        if found := _RANGE.fullmatch(self.headers.get("Range", "")):
            first, status = int(found[1]), HTTPStatus.PARTIAL_CONTENT
            last = min(last, int(found[2])) if found[2] else last
            if first > last:
                return self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        self.send_response(status)
        self._head(TYPES.get(path.suffix, "application/octet-stream"), last - first + 1)
        self.send_header("Accept-Ranges", "bytes")
        if status == HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        try:
            with path.open("rb") as file:
                file.seek(first)
                left = last - first + 1
                while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
                    self.wfile.write(block)
                    left -= len(block)
        except (BrokenPipeError, ConnectionResetError):
            # A player that seeks hangs up in the middle of a part.
            self.close_connection = True
        return None

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self._head(kind, len(content))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self._head("text/plain", 0)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _head(self, kind: str, num_bytes: int) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(num_bytes))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of a pack on the loopback address; port 0 takes a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, folder=folder))


def main(arguments: list[str]) -> int:
    """Serve the folder that this file lies in, until stopped."""
    port = int(arguments[0]) if arguments and arguments[0].isdecimal() else 0
    with server(Path(__file__).resolve().parent, port) as running:
        sys.stderr.write(f"open http://127.0.0.1:{running.server_address[1]}/ (Ctrl-C ends)\n")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A small Hub on 127.0.0.1: enough of its protocol for the real client to make data sets, fill them and read them.

Run a client in a process of its own, with [`HubServer.environment`]: `huggingface_hub` reads it when it is imported.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Commit:
    """One commit: its message, and all files of the repository after it."""

    message: str
    files: dict[str, bytes]

    @property
    def oid(self) -> str:
        return sha1(repr((self.message, sorted(self.files.items()))).encode()).hexdigest()


@dataclass
class Repository:
    private: bool
    commits: list[Commit] = field(default_factory=lambda: [Commit("initial commit", {".gitattributes": b""})])

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1].files


class HubServer:
    """Holds all repositories in memory, by type and id: `repositories["dataset", "org/name"]`."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large_files: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, home: Path) -> dict[str, str]:
        """Variables of a client process that has nothing else on its mind than this server."""
        own = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_test", "HF_HOME": str(home)}
        return {**os.environ, **own, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class NotFoundError(Exception):
    """What is asked for is not there; its text is the Hub's code for it."""


@dataclass
class Request:
    """What a client asks."""

    hub: HubServer
    body: bytes
    query: dict[str, list[str]]
    kind: str = "model"
    repo_id: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def repository(self) -> Repository:
        try:
            return self.hub.repositories[self.kind, self.repo_id]
        except KeyError:
            raise NotFoundError("RepoNotFound") from None


Answer = tuple[int, dict[str, str], bytes]


def _json(content: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _who_am_i(request: Request) -> Answer:
    return _json({"type": "user", "name": "tester", "orgs": [{"name": "org"}], "auth": {"type": "access_token"}})


def _create(request: Request) -> Answer:
    wanted = request.json
    kind, repo_id = wanted.get("type", "model"), f"{wanted.get('organization') or 'tester'}/{wanted['name']}"
    content = {"url": f"{request.hub.url}/{_PREFIXES[kind]}{repo_id}", "name": repo_id, "id": repo_id}
    if (kind, repo_id) in request.hub.repositories:
        return _json(content | {"error": "You already created this repo"}, 409)
    private = wanted.get("private") or wanted.get("visibility") == "private"
    request.hub.repositories[kind, repo_id] = Repository(private=bool(private))
    return _json(content)


def _info(request: Request, revision: str = "main") -> Answer:
    repository = request.repository
    siblings = [{"rfilename": name} for name in sorted(repository.files)]
    return _json(
        {
            "id": request.repo_id,
            "sha": repository.commits[-1].oid,
            "private": repository.private,
            "siblings": siblings,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "lastModified": "2020-01-01T00:00:00.000Z",
        }
    )


def _entry(name: str, content: bytes) -> dict[str, Any]:
    oid = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": name, "oid": oid, "size": len(content)}
    if _is_large(name):
        entry["lfs"] = {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _tree(request: Request, revision: str, folder: str = "") -> Answer:
    below = f"{folder}/" if folder else ""
    files = {name: content for name, content in request.repository.files.items() if name.startswith(below)}
    if below and not files:
        raise NotFoundError("EntryNotFound")
    if request.query.get("recursive", ["false"])[0].lower() in ("true", "1"):
        entries = [_entry(name, content) for name, content in sorted(files.items())]
    else:
        entries = [_entry(name, content) for name, content in files.items() if "/" not in name[len(below) :]]
    folders = sorted({below + name[len(below) :].split("/")[0] for name in files if "/" in name[len(below) :]})
    return _json([{"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in folders] + entries)


def _paths_info(request: Request, revision: str) -> Answer:
    wanted = request.json["paths"] if request.body[:1] == b"{" else parse_qs(request.body.decode()).get("paths", [])
    files = request.repository.files
    found = [_entry(name, files[name]) for name in wanted if name in files]
    folders = [name for name in wanted if any(file.startswith(f"{name}/") for file in files)]
    return _json(found + [{"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in folders])


def _preupload(request: Request, revision: str) -> Answer:
    _ = request.repository
    modes = [
        {"path": file["path"], "uploadMode": "lfs" if _is_large(file["path"]) else "regular", "shouldIgnore": False}
        for file in request.json["files"]
    ]
    return _json({"files": modes})


def _lfs_batch(request: Request) -> Answer:
    objects = []
    for wanted in request.json["objects"]:
        there = wanted["oid"] in request.hub.large_files
        actions = {} if there else {"actions": {"upload": {"href": f"{request.hub.url}/lfs/{wanted['oid']}"}}}
        objects.append({"oid": wanted["oid"], "size": wanted["size"], **actions})
    return _json({"transfer": "basic", "objects": objects})


def _lfs_put(request: Request, oid: str) -> Answer:
    if sha256(request.body).hexdigest() != oid:
        return _json({"error": "wrong content"}, 400)
    request.hub.large_files[oid] = request.body
    return _json({})


def _commit(request: Request, revision: str) -> Answer:
    files, message = dict(request.repository.files), ""
    for line in request.body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "header":
            message = value["summary"]
        elif entry["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif entry["key"] == "lfsFile":
            files[value["path"]] = request.hub.large_files[value["oid"]]
        elif entry["key"] == "deletedFile":
            del files[value["path"]]
        elif entry["key"] == "deletedFolder":
            files = {name: content for name, content in files.items() if not name.startswith(value["path"])}
    commit = Commit(message, files)
    request.repository.commits.append(commit)
    url = f"{request.hub.url}/{_PREFIXES[request.kind]}{request.repo_id}/commit/{commit.oid}"
    return _json({"success": True, "commitUrl": url, "commitOid": commit.oid, "hookOutput": ""})


def _resolve(request: Request, revision: str, name: str) -> Answer:
    repository = request.repository
    if name not in repository.files:
        raise NotFoundError("EntryNotFound")
    entry = _entry(name, repository.files[name])
    headers = {"X-Repo-Commit": repository.commits[-1].oid, "ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}
    if "lfs" in entry:
        headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"', "X-Linked-Size": str(entry["size"])}
    return 200, headers, repository.files[name]


def _is_large(name: str) -> bool:
    return name.endswith((".parquet", ".safetensors", ".bin"))


_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
_REPO = r"(?P<kind>datasets/|spaces/|models/|)(?P<repo>[\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", r"/api/whoami-v2", _who_am_i),
    ("POST", r"/api/repos/create", _create),
    ("POST", r"/api/validate-yaml", lambda request: _json({"errors": [], "warnings": []})),
    ("PUT", r"/lfs/(?P<oid>\w+)", _lfs_put),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _lfs_batch),
    ("POST", rf"/api/{_REPO}/preupload/(?P<revision>[^/]+)", _preupload),
    ("POST", rf"/api/{_REPO}/commit/(?P<revision>[^/]+)", _commit),
    ("POST", rf"/api/{_REPO}/paths-info/(?P<revision>[^/]+)", _paths_info),
    ("GET", rf"/api/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", _tree),
    ("GET", rf"/api/{_REPO}/revision/(?P<revision>[^/]+)", _info),
    ("GET", rf"/api/{_REPO}", _info),
    ("GET", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", _resolve),
]


def _answer(hub: HubServer, method: str, target: str, body: bytes) -> Answer:
    parts = urlsplit(target)
    for verb, pattern, answer in _ROUTES:
        match = re.fullmatch(pattern, unquote(parts.path))
        if match is None or verb != ("GET" if method == "HEAD" else method):
            continue
        fields = {key: value for key, value in match.groupdict().items() if value is not None}
        kind = {"datasets/": "dataset", "spaces/": "space"}.get(fields.pop("kind", ""), "model")
        request = Request(hub, body, parse_qs(parts.query), kind, fields.pop("repo", ""))
        try:
            return answer(request, **fields)
        except NotFoundError as error:
            return 404, {"X-Error-Code": str(error)}, b"{}"
    return 404, {}, b"{}"


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, headers, content = _answer(hub, self.command, self.path, self.rfile.read(length))
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if wanted and status == 200:
                start, stop = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
                headers["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
                status, content = 206, content[start : stop + 1]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = _do  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Silent."""

    return Handler

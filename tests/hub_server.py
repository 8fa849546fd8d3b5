"""A small Hub on 127.0.0.1: enough of its protocol for the real client to make repositories, fill them and read them.

Run a client in a process of its own, with [`HubServer.environment`]: `huggingface_hub` reads it when it is imported.
The server fails where it is told to, see [`Fault`].
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_repositories import Commit, RefusedError, Repository, content_oid, entry, is_large, not_found


@dataclass
class User:
    """Who a token belongs to; a role other than `"write"` may only read."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.name, *self.orgs)


def _users() -> dict[str, User]:
    return {
        "hf_test": User("tester", ("org",)),
        "hf_read": User("tester", ("org",), "read"),
        "hf_stranger": User("stranger"),
    }


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose method and path match.

    `503` is an answer; `cut` ends the connection in the middle of the request's body, `lost` before the answer to what
    was done; `damaged` changes a byte of the answer and `short` leaves out its last one. Before a commit that is
    `raced` comes that of somebody else.
    """

    kind: Literal["503", "cut", "lost", "damaged", "short", "raced"]
    method: str
    path: str
    times: int = 1


class HubServer:
    """Holds all repositories in memory, by type and id: `repositories["dataset", "org/name"]`.

    `requests` are all that came, as `"PUT /lfs/..."`; a client of another process orders faults by posting their
    fields to `/test/faults`, and reads the requests since it asked last at `/test/requests`, and how many are
    still to fail at `/test/faults`.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large_files: dict[str, bytes] = {}
        self.users = _users()
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = threading.RLock()
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

    def note(self, method: str, path: str) -> str | None:
        """Keeps a request, and tells what shall go wrong with it."""
        with self.lock:
            if path.startswith("/test/"):
                return None
            self.requests.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault.kind
        return None


@dataclass
class Request:
    """What a client asks."""

    hub: HubServer
    body: bytes
    query: dict[str, list[str]]
    user: User | None
    kind: str = "model"
    repo_id: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def repository(self) -> Repository:
        """To read; those who may not see it are told that it is not there."""
        repository = self.hub.repositories.get((self.kind, self.repo_id))
        if repository is None or (repository.private and not self._is_member(self.repo_id)):
            raise not_found("RepoNotFound") if self.user else RefusedError(401, "RepoNotFound")
        return repository

    @property
    def writable(self) -> Repository:
        repository = self.repository
        self.check_writer(self.repo_id)
        return repository

    def check_writer(self, repo_id: str) -> None:
        if self.user is None:
            raise RefusedError(401, message="Invalid username or password.")
        if self.user.role != "write" or not self._is_member(repo_id):
            raise RefusedError(403, message="You don't have the rights to write to this namespace")

    def _is_member(self, repo_id: str) -> bool:
        return self.user is not None and repo_id.split("/")[0] in self.user.namespaces

    @property
    def address(self) -> str:
        return f"{self.hub.url}/{_PREFIXES[self.kind]}{self.repo_id}"


Answer = tuple[int, dict[str, str], bytes]


def _json(content: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _who_am_i(request: Request) -> Answer:
    user = request.user
    if user is None:
        raise RefusedError(401, message="Invalid username or password.")
    token = {"type": "access_token", "accessToken": {"role": user.role, "displayName": "test"}}
    return _json({"type": "user", "name": user.name, "orgs": [{"name": name} for name in user.orgs], "auth": token})


def _create(request: Request) -> Answer:
    wanted = request.json
    owner = wanted.get("organization") or (request.user.name if request.user else "")
    request.kind, request.repo_id = wanted.get("type", "model"), f"{owner}/{wanted['name']}"
    request.check_writer(request.repo_id)
    content = {"url": request.address, "name": request.repo_id, "id": request.repo_id}
    if (request.kind, request.repo_id) in request.hub.repositories:
        return _json(content | {"error": "You already created this repo"}, 409)
    private = wanted.get("private") or wanted.get("visibility") == "private"
    request.hub.repositories[request.kind, request.repo_id] = Repository(private=bool(private))
    return _json(content)


def _delete(request: Request) -> Answer:
    wanted = request.json
    request.kind = wanted.get("type", "model")
    request.repo_id = f"{wanted.get('organization') or (request.user and request.user.name)}/{wanted['name']}"
    _ = request.writable
    del request.hub.repositories[request.kind, request.repo_id]
    return _json({})


def _card_data(files: dict[str, bytes]) -> Any:
    front = re.match(r"---\n(.*?)\n---", files.get("README.md", b"").decode(), re.DOTALL)
    return json.loads(json.dumps(yaml.safe_load(front[1]), default=str)) if front else None


def _info(request: Request, revision: str = "main") -> Answer:
    repository = request.repository
    commit = repository.at(revision)
    return _json(
        {
            "id": request.repo_id,
            "sha": commit.oid,
            "private": repository.private,
            "siblings": [{"rfilename": name} for name in sorted(commit.files)],
            "cardData": _card_data(commit.files),
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "lastModified": "2020-01-01T00:00:00.000Z",
        }
    )


def _folder(name: str) -> dict[str, Any]:
    return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}


def _tree(request: Request, revision: str, folder: str = "") -> Answer:
    below = f"{folder}/" if folder else ""
    commit = request.repository.at(revision)
    files = {name: content for name, content in commit.files.items() if name.startswith(below)}
    if below and not files:
        raise not_found("EntryNotFound")
    if request.query.get("recursive", ["false"])[0].lower() in ("true", "1"):
        entries = [entry(name, content) for name, content in sorted(files.items())]
    else:
        entries = [entry(name, content) for name, content in files.items() if "/" not in name[len(below) :]]
    folders = sorted({below + name[len(below) :].split("/")[0] for name in files if "/" in name[len(below) :]})
    return _json([*map(_folder, folders), *entries])


def _paths_info(request: Request, revision: str) -> Answer:
    wanted = request.json["paths"] if request.body[:1] == b"{" else parse_qs(request.body.decode()).get("paths", [])
    files = request.repository.at(revision).files
    found = [entry(name, files[name]) for name in wanted if name in files]
    folders = [name for name in wanted if any(file.startswith(f"{name}/") for file in files)]
    return _json([*found, *map(_folder, folders)])


def _refs(request: Request) -> Answer:
    return _json(request.repository.refs())


def _commits(request: Request, revision: str) -> Answer:
    made = {"date": "2020-01-01T00:00:00.000Z", "authors": [{"user": "tester"}]}
    history = request.repository.history(revision)
    return _json(
        [{"id": one.oid, "title": one.message, "message": one.description, **made} for one in reversed(history)]
    )


def _check_ref(name: str) -> None:
    """As git does; enough of its rules."""
    if not re.fullmatch(r"(?!.*(?:\.\.|//|@\{))[^\s~^:?*\[\\/.-][^\s~^:?*\[\\]*(?<![/.])(?<!\.lock)", name):
        raise RefusedError(400, message=f"Invalid reference name: {name!r}")


def _branch(request: Request, name: str) -> Answer:
    _check_ref(name)
    request.writable.start_branch(name, (request.json if request.body else {}).get("startingPoint", "main"))
    return _json({})


def _drop_branch(request: Request, name: str) -> Answer:
    del request.writable.branches[name]
    return _json({})


def _tag(request: Request, revision: str) -> Answer:
    _check_ref(request.json["tag"])
    request.writable.add_tag(request.json["tag"], revision)
    return _json({})


def _drop_tag(request: Request, name: str) -> Answer:
    del request.writable.tags[name]
    return _json({})


def _preupload(request: Request, revision: str) -> Answer:
    files = request.writable.at(revision).files
    modes = []
    for file in request.json["files"]:
        name = file["path"]
        mode = "lfs" if is_large(name) else "regular"
        oid = content_oid(name, files[name]) if name in files else None
        modes.append({"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return _json({"files": modes, "commitOid": request.repository.at(revision).oid})


def _lfs_batch(request: Request) -> Answer:
    _ = request.writable
    objects = []
    for wanted in request.json["objects"]:
        there = wanted["oid"] in request.hub.large_files
        actions = {} if there else {"actions": {"upload": {"href": f"{request.hub.url}/lfs/{wanted['oid']}"}}}
        objects.append({"oid": wanted["oid"], "size": wanted["size"], **actions})
    return _json({"transfer": "basic", "objects": objects})


def _lfs_put(request: Request, oid: str) -> Answer:
    if sha256(request.body).hexdigest() != oid:
        raise RefusedError(400, message="The content is not the one that was announced")
    request.hub.large_files[oid] = request.body
    return _json({})


def _commit(request: Request, revision: str) -> Answer:
    repository = request.writable
    if revision not in repository.branches:
        raise not_found("RevisionNotFound")
    head = repository.at(revision)
    commit = Commit("", dict(head.files), head.oid)
    for line in request.body.splitlines():
        _apply(request.hub, commit, head, **json.loads(line))
    repository.branches[revision].append(commit)
    return _json(
        {
            "success": True,
            "commitUrl": f"{request.address}/commit/{commit.oid}",
            "commitOid": commit.oid,
            "hookOutput": "",
        }
    )


def _commit_first(hub: HubServer, path: str) -> None:
    """What somebody else sends to the branch of a commit that is under way."""
    match = re.fullmatch(rf"/api/models/(?P<repo>.+)/commit/{_REVISION}", path)
    assert match is not None, "only the commits of models can be raced"
    history = hub.repositories["model", match["repo"]].branches[unquote(match["revision"])]
    history.append(Commit("faster", {**history[-1].files, "faster.txt": b""}, history[-1].oid))


def _apply(hub: HubServer, commit: Commit, head: Commit, key: str, value: dict[str, Any]) -> None:
    """One line of a commit."""
    files = commit.files
    if key == "header":
        commit.message, commit.description = value["summary"], value.get("description", "")
        if value.get("parentCommit", head.oid) != head.oid:
            raise RefusedError(412, message="A commit has happened since. Please refresh and try again.")
    elif key == "file":
        files[value["path"]] = base64.b64decode(value["content"])
    elif key == "lfsFile":
        if value["oid"] not in hub.large_files:
            raise RefusedError(400, message=f"The content of {value['path']} was not uploaded")
        files[value["path"]] = hub.large_files[value["oid"]]
    elif key == "deletedFile":
        if files.pop(value["path"], None) is None:
            raise RefusedError(404, "EntryNotFound", "A file with this name doesn't exist")
    elif key == "deletedFolder":
        for name in [name for name in files if name.startswith(value["path"])]:
            del files[name]


def _resolve(request: Request, revision: str, name: str) -> Answer:
    commit = request.repository.at(revision)
    if name not in commit.files:
        raise not_found("EntryNotFound")
    described = entry(name, commit.files[name])
    headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{described["oid"]}"', "Accept-Ranges": "bytes"}
    if "lfs" in described:
        headers |= {"X-Linked-Etag": f'"{described["lfs"]["oid"]}"', "X-Linked-Size": str(described["size"])}
    return 200, headers, commit.files[name]


def _validate_yaml(request: Request) -> Answer:
    try:
        _card_data({"README.md": request.json["content"].encode()})
    except yaml.YAMLError as error:
        return _json({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return _json({"errors": [], "warnings": []})


def _order_fault(request: Request) -> Answer:
    request.hub.faults.append(Fault(**request.json))
    return _json({})


def _tell_faults(request: Request) -> Answer:
    return _json(sum(fault.times for fault in request.hub.faults))


def _tell_requests(request: Request) -> Answer:
    told, request.hub.requests = request.hub.requests, []
    return _json(told)


_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
_REPO = r"(?P<kind>datasets/|spaces/|models/|)(?P<repo>[\w.-]+/[\w.-]+)"
_REVISION = r"(?P<revision>[^/]+)"
_NAME = r"(?P<name>[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("POST", r"/test/faults", _order_fault),
    ("GET", r"/test/faults", _tell_faults),
    ("GET", r"/test/requests", _tell_requests),
    ("GET", r"/api/whoami-v2", _who_am_i),
    ("POST", r"/api/repos/create", _create),
    ("DELETE", r"/api/repos/delete", _delete),
    ("POST", r"/api/validate-yaml", _validate_yaml),
    ("PUT", r"/lfs/(?P<oid>\w+)", _lfs_put),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _lfs_batch),
    ("POST", rf"/api/{_REPO}/preupload/{_REVISION}", _preupload),
    ("POST", rf"/api/{_REPO}/commit/{_REVISION}", _commit),
    ("POST", rf"/api/{_REPO}/paths-info/{_REVISION}", _paths_info),
    ("GET", rf"/api/{_REPO}/tree/{_REVISION}(?:/(?P<folder>.+))?", _tree),
    ("GET", rf"/api/{_REPO}/refs", _refs),
    ("GET", rf"/api/{_REPO}/commits/{_REVISION}", _commits),
    ("POST", rf"/api/{_REPO}/branch/{_NAME}", _branch),
    ("DELETE", rf"/api/{_REPO}/branch/{_NAME}", _drop_branch),
    ("POST", rf"/api/{_REPO}/tag/{_REVISION}", _tag),
    ("DELETE", rf"/api/{_REPO}/tag/{_NAME}", _drop_tag),
    ("GET", rf"/api/{_REPO}/revision/{_REVISION}", _info),
    ("GET", rf"/api/{_REPO}", _info),
    ("GET", rf"/{_REPO}/resolve/{_REVISION}/(?P<name>.+)", _resolve),
]


def _answer(hub: HubServer, method: str, target: str, body: bytes, authorization: str) -> Answer:
    parts = urlsplit(target)
    user = hub.users.get(authorization.removeprefix("Bearer "))
    for verb, pattern, answer in _ROUTES:
        match = re.fullmatch(pattern, parts.path)
        if match is None or verb != ("GET" if method == "HEAD" else method):
            continue
        # Only now, so that a slash in the name of a branch is no end of it.
        fields = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
        kind = {"datasets/": "dataset", "spaces/": "space"}.get(fields.pop("kind", ""), "model")
        request = Request(hub, body, parse_qs(parts.query), user, kind, fields.pop("repo", ""))
        try:
            with hub.lock:
                return answer(request, **fields)
        except RefusedError as error:
            headers = {"X-Error-Code": error.code} if error.code else {}
            return error.status, headers, json.dumps({"error": error.message}).encode()
    return 404, {}, b"{}"


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for the client to confirm its headers

        def _do(self) -> None:
            fault = hub.note(self.command, urlsplit(self.path).path)
            length = int(self.headers.get("Content-Length") or 0)
            if fault == "cut":
                self.rfile.read(length // 2)
                self._hang_up()
                return
            body = self.rfile.read(length)
            if fault == "503":
                self._send(503, {}, b'{"error": "try again"}')
                return
            if fault == "raced":
                _commit_first(hub, urlsplit(self.path).path)
            answer = _answer(hub, self.command, self.path, body, self.headers.get("Authorization", ""))
            if fault == "lost":
                self._hang_up()
                return
            status, headers, content = _part(answer, self.headers.get("Range", ""))
            if fault == "damaged":
                content = content[:-1] + bytes([content[-1] ^ 1])
            self._send(status, headers, content[:-1] if fault == "short" else content)

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _do  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Silent."""

    return Handler


def _part(answer: Answer, wanted: str) -> Answer:
    """The bytes that a `Range` header asks for, if there is one."""
    status, headers, content = answer
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    if span is None or status != 200:
        return answer
    start, stop = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
    content_range = {"Content-Range": f"bytes {start}-{stop}/{len(content)}"}
    return 206, {**headers, **content_range}, content[start : stop + 1]

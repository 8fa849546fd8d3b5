"""What the small Hub of `hub_server` holds: repositories with their commits, branches and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha1, sha256
from typing import Any


class RefusedError(Exception):
    """A request that is not granted: its HTTP status, the Hub's code for it if it has one, and a message."""

    def __init__(self, status: int, code: str | None = None, message: str = "") -> None:
        super().__init__(message or code)
        self.status, self.code, self.message = status, code, message


def not_found(code: str) -> RefusedError:
    return RefusedError(404, code)


@dataclass
class Commit:
    """One commit: its message, and all files of the repository after it."""

    message: str
    files: dict[str, bytes]
    parent: str = ""
    description: str = ""

    @cached_property
    def oid(self) -> str:
        return sha1(
            repr((self.message, self.description, self.parent, sorted(self.files.items()))).encode()
        ).hexdigest()


def _first_branch() -> dict[str, list[Commit]]:
    return {"main": [Commit("initial commit", {".gitattributes": b""})]}


@dataclass
class Repository:
    """Its branches are lists of commits, oldest first; a tag names a commit."""

    private: bool
    branches: dict[str, list[Commit]] = field(default_factory=_first_branch)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def commits(self) -> list[Commit]:
        """Those of the main branch."""
        return self.branches["main"]

    @property
    def files(self) -> dict[str, bytes]:
        """Those of the main branch as it is."""
        return self.commits[-1].files

    def history(self, revision: str) -> list[Commit]:
        """The commits up to a branch, a tag or a commit, oldest first."""
        revision = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if revision in self.branches:
            return self.branches[revision]
        oid = self.tags.get(revision, revision)
        for commits in self.branches.values():
            for count, commit in enumerate(commits, 1):
                if commit.oid == oid:
                    return commits[:count]
        raise not_found("RevisionNotFound")

    def at(self, revision: str) -> Commit:
        return self.history(revision)[-1]

    def start_branch(self, name: str, revision: str) -> None:
        if name in self.branches:
            raise RefusedError(409, message="Reference already exists")
        self.branches[name] = list(self.history(revision))

    def add_tag(self, name: str, revision: str) -> None:
        if name in self.tags:
            raise RefusedError(409, message="Tag reference exists already")
        self.tags[name] = self.at(revision).oid

    def refs(self) -> dict[str, list[dict[str, str]]]:
        def ref(kind: str, name: str, oid: str) -> dict[str, str]:
            return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}

        branches = [ref("heads", name, commits[-1].oid) for name, commits in self.branches.items()]
        return {"branches": branches, "tags": [ref("tags", *tag) for tag in self.tags.items()], "converts": []}


def is_large(name: str) -> bool:
    """Whether a file is kept as a large one (LFS)."""
    return name.endswith((".parquet", ".safetensors", ".bin"))


def entry(name: str, content: bytes) -> dict[str, Any]:
    """A file as listings show it."""
    oid = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    described: dict[str, Any] = {"type": "file", "path": name, "oid": oid, "size": len(content)}
    if is_large(name):
        described["lfs"] = {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return described


def content_oid(name: str, content: bytes) -> str:
    """What tells a client whether its own file is another one."""
    described = entry(name, content)
    return described.get("lfs", described)["oid"]

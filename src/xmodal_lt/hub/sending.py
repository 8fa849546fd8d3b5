"""Sends a staged folder to a repository of models, in one commit."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, GitCommitInfo, GitRefs, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from xmodal_lt.data.messages import some_of
from xmodal_lt.registry import METHODS

from .retries import explaining_refusals, first_line, gave_up, may_not_write, patiently


__all__ = ["check_may_push", "check_ref", "check_repo_id", "send_folder"]

logger = logging.getLogger(__name__)

_MAIN = "main"
_MARK = re.compile(r"Push [0-9a-f]{32}$", re.MULTILINE)  # describes our commits, before a list of files
# What git allows no branch and no tag to be named.
_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|^@$|[/.]$|(?:^|/)\.|\.lock(?:/|$)|^refs/|^$")


def check_repo_id(repo_id: str) -> None:
    """
    Refuse what can be no name of a repository.

    Args:
        repo_id (`str`):
            What was given.

    Raises:
        ValueError: If it does not read `"org/name"`.
    """
    try:
        validate_repo_id(repo_id)
        valid = repo_id.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise ValueError(
            f"{repo_id!r} is no name of a repository on the Hub: it must read org/name, with letters, digits, '-', "
            "'_' and '.'."
        )


def check_ref(option: str, name: str | None) -> None:
    """
    Refuse what can be no name of a branch or a tag.

    Args:
        option (`str`):
            What an error calls it, such as `"tag"`.
        name (`str`, *optional*):
            What was given.

    Raises:
        ValueError: If git has no such names.
    """
    if name is not None and _NO_REF.search(name):
        raise ValueError(
            f"{option}={name!r} can be no name in git: it must have no space, none of ~^:?*[\\, no '..', no '.' or "
            "'/' at an end, and not start with '-' or 'refs/'; v1.0 is one."
        )


def check_may_push(repo_id: str, private: bool | None = None, token: str | None = None) -> None:
    """
    Find out before hours of training whether their result could be sent.

    Args:
        repo_id (`str`):
            Where to, `"org/name"`.
        private (`bool`, *optional*):
            As for [`send_folder`].
        token (`str`, *optional*):
            In place of the user's own.

    Raises:
        ValueError: If `repo_id` can be no name, or the repository is not one to write this to.
        OSError: If the user is not logged in or has no right to write, or the Hub cannot be reached.
    """
    check_repo_id(repo_id)
    api = HfApi(token=token)
    with explaining_refusals(repo_id):
        user = patiently(api.whoami)
        owner = repo_id.partition("/")[0].lower()
        # Of a fine-grained token only the Hub knows what it may do.
        role = user.get("auth", {}).get("accessToken", {}).get("role")
        roles = {str(org["name"]).lower(): org.get("roleInOrg") for org in user.get("orgs", ())}
        is_own = owner == str(user["name"]).lower()
        if role == "read" or not (is_own or owner in roles) or (not is_own and roles[owner] == "read"):
            raise OSError(may_not_write(repo_id))
        _check_repository(api, repo_id, private)


def send_folder(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    commit_message: str = "Upload the model",
    token: str | None = None,
) -> tuple[str, str]:
    """
    Send every file of a folder in one commit, and take away what the last push to the branch has sent.

    The commit names its parent: a branch that has moved meanwhile is left alone. Files that are there already are not
    sent again, and files that somebody else added stay: our commits list their files. (`HfApi.upload_folder` may split
    a large folder into several commits.)

    Args:
        folder (`pathlib.Path`):
            What to send.
        repo_id (`str`):
            Where to, `"org/name"`. Made if it is not there.
        private (`bool`, *optional*):
            Whether a repository that is made can be seen by its owners alone; as they have chosen by default.
        revision (`str`, *optional*):
            The branch, `main` by default. Made from `main` if it is not there.
        tag (`str`, *optional*):
            A new name for the commit.
        commit_message (`str`, *optional*, defaults to `"Upload the model"`):
            Title of the commit.
        token (`str`, *optional*):
            In place of the user's own.

    Returns:
        `tuple[str, str]`: Address of the repository, and the id of the commit.

    Raises:
        ValueError: If a name can be none, the repository holds something else or can be seen by everyone though
            `private` is set, the tag is there already, or the branch cannot be one.
        OSError: If the Hub refuses, or fails again and again. The branch is as it was then.
    """
    check_ref("revision", revision)
    check_ref("tag", tag)
    api, branch = HfApi(token=token), revision or _MAIN
    with explaining_refusals(repo_id):
        _check_repository(api, repo_id, private)
        url = patiently(partial(api.create_repo, repo_id, private=private, exist_ok=True))
        refs = patiently(partial(api.list_repo_refs, repo_id))
        _check_refs(repo_id, refs, branch, tag)
        if branch not in {ref.name for ref in refs.branches}:
            patiently(partial(api.create_branch, repo_id, branch=branch, exist_ok=True))
        commit = _commit(api, repo_id, branch, folder, commit_message)
        if tag is not None:
            _tag(api, repo_id, tag, commit)
    return str(url), commit


def _check_repository(api: HfApi, repo_id: str, private: bool | None) -> None:
    try:
        info = patiently(partial(api.model_info, repo_id))
    except RepositoryNotFoundError:
        _warn_of_namesakes(api, repo_id)
        return
    _check_content(api, repo_id, {file.rfilename for file in info.siblings or ()})
    if private and not info.private:
        raise ValueError(f"Everyone can see {repo_id}; make it private in its settings first, or name another one.")
    if private is False and info.private:
        logger.warning("%s is private and stays so: make it public in its settings.", repo_id)


def _warn_of_namesakes(api: HfApi, repo_id: str) -> None:
    for kind, name in (("dataset", "data set"), ("space", "Space")):
        if patiently(partial(api.repo_exists, repo_id, repo_type=kind)):
            logger.warning("%s is a %s; the model gets a repository of its own with this name.", repo_id, name)


def _check_content(api: HfApi, repo_id: str, names: Collection[str]) -> None:
    """Refuses to write over what is no model of this package."""
    others = sorted(set(names) - {".gitattributes", "README.md", "LICENSE"})
    if not others:
        return
    found: Any = f"files such as {others[0]!r} and no model"
    if "config.json" in names:
        model_type = _model_type(Path(patiently(partial(api.hf_hub_download, repo_id, "config.json"))))
        if model_type in {method.model_type for method in METHODS}:
            return
        found = f"a model of type {model_type!r}"
    raise ValueError(
        f"The name {repo_id} is taken: it holds {found}, not a model of this package, and a push would replace its "
        "files. Choose another name."
    )


def _model_type(config: Path) -> Any:
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError):  # no JSON, or no mapping
        return None


def _check_refs(repo_id: str, refs: GitRefs, branch: str, tag: str | None) -> None:
    tags = {ref.name: ref.target_commit for ref in refs.tags}
    if tag in tags:
        raise ValueError(f"{repo_id} has the tag {tag} already, of commit {tags[tag][:8]}: choose another one.")
    if branch in tags or re.fullmatch(r"[0-9a-f]{40}", branch):
        kind = "a tag" if branch in tags else "a commit"
        raise ValueError(f"revision={branch} is {kind} of {repo_id}, which cannot be changed; name a branch.")


def _commit(api: HfApi, repo_id: str, branch: str, folder: Path, message: str) -> str:
    """The id of the commit, or of the last one where nothing has changed."""
    before = patiently(partial(api.model_info, repo_id, revision=branch))
    parent = str(before.sha)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    additions = [CommitOperationAdd(name, path) for name, path in files.items()]
    there = {file.rfilename for file in before.siblings or ()}
    commits = patiently(partial(api.list_repo_commits, repo_id, revision=parent))
    _warn_of_changes(repo_id, commits, sorted(there & files.keys()))
    deletions = [CommitOperationDelete(name) for name in sorted(_last_sent(commits) & there - files.keys())]
    try:  # large files first: huggingface_hub itself asks again for each of them
        api.preupload_lfs_files(repo_id, additions, revision=branch)
    except RuntimeError as error:  # what it makes of a file that it could not send
        raise OSError(gave_up(error.__cause__ or error, repo_id)) from error
    mark = f"Push {uuid.uuid4().hex}"
    try:
        return patiently(
            partial(
                api.create_commit,
                repo_id,
                [*deletions, *additions],
                commit_message=message,
                commit_description="\n".join([mark, "", *(f"- {name}" for name in files)]),
                revision=branch,
                parent_commit=parent,
            )
        ).oid
    except HfHubHTTPError as error:
        made = _last_commit(api, repo_id, branch, mark) if error.response.status_code in (409, 412) else None
        if made is None:
            raise
        return made


def _tag(api: HfApi, repo_id: str, tag: str, commit: str) -> None:
    try:
        # It was not there: if it is now, the answer to an earlier attempt was lost.
        patiently(partial(api.create_tag, repo_id, tag=tag, revision=commit, exist_ok=True))
    except (HfHubHTTPError, httpx2.TransportError) as error:
        raise OSError(
            f"The model was sent, commit {commit} of {repo_id}, but could not be tagged {tag} ({first_line(error)}): "
            "push again with the tag, which then is all that is sent."
        ) from error


def _last_commit(api: HfApi, repo_id: str, branch: str, mark: str) -> str | None:
    """That with the mark: the branch has moved because an attempt was made whose answer was lost."""
    commits = patiently(partial(api.list_repo_commits, repo_id, revision=branch))
    return next((commit.commit_id for commit in commits if mark in commit.message), None)


def _last_sent(commits: Iterable[GitCommitInfo]) -> set[str]:
    """The files that the newest of our commits lists."""
    listing = next((commit.message for commit in commits if _MARK.search(commit.message)), "")
    return set(re.findall(r"^[-*] (.+?)\s*$", listing, re.MULTILINE))


def _warn_of_changes(repo_id: str, commits: Sequence[GitCommitInfo], replaced: Sequence[str]) -> None:
    """Tells when a push writes over what somebody else may have edited."""
    if replaced and commits and not _MARK.search(commits[0].message):
        logger.warning(
            "%s was last changed by another commit than ours, %s (%s): whatever it did to %s is replaced.",
            repo_id,
            commits[0].commit_id[:8],
            commits[0].title,
            some_of(replaced),
        )

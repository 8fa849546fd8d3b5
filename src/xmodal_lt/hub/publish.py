"""Publishing a trained model: its files, staged in a folder of their own, in one commit."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from .sending import check_ref, check_repo_id, send_folder


__all__ = ["PublishedModel", "push_to_hub"]


@dataclass(frozen=True)
class PublishedModel:
    """
    What a push has sent, or would send.

    Args:
        url (`str`):
            Address of the repository.
        commit (`str`, *optional*):
            Id of the commit. `None` after a dry run.
        files (`dict[str, int]`):
            Bytes of each file, by its path in the repository.
    """

    url: str
    commit: str | None
    files: dict[str, int]


def push_to_hub(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    with_code: bool = False,
    with_pictures: bool = False,
    dry_run: bool = False,
    commit_message: str | None = None,
    token: str | None = None,
) -> PublishedModel:
    """
    Publish the model of a finished run, or a saved model, on the Hub.

    Sent are the model without the parts that only training needs, its processor and tokenizer, the card (written if
    `folder` has none, and anew for `repo_id` if [`write_card`] wrote it), figures, results, class-by-class tables and
    the recipe, whose absolute paths are cut down to their last part. A file of the last push that is not sent again is
    deleted; files that others added to the repository stay, unless they have the name of one that is sent: an edited
    card, for instance, is replaced, with a warning. All of that is one commit, so that a push that fails leaves the
    branch as it was.

    Args:
        folder (`str` or `pathlib.Path`):
            Folder of the run, or of a model and its processor.
        repo_id (`str`):
            Where to, `"org/name"`. Made if it is not there.
        private (`bool`, *optional*):
            Whether a repository that is made can be seen by its owners alone; as they have chosen by default. `True`
            refuses one that everyone can see.
        revision (`str`, *optional*):
            The branch, `main` by default. Made from `main` if it is not there.
        tag (`str`, *optional*):
            A new name for the commit, such as `"v1.0"`.
        with_code (`bool`, *optional*, defaults to `False`):
            Whether the model's source goes along, so that it loads with `trust_remote_code=True` where this package
            is not installed.
        with_pictures (`bool`, *optional*, defaults to `False`):
            Whether figures that show images of the data set (attention maps, predictions, examples) are sent though
            its licence does not let everyone pass them on, or is not known.
        dry_run (`bool`, *optional*, defaults to `False`):
            Only find out what would be sent, without the network.
        commit_message (`str`, *optional*):
            Title of the commit.
        token (`str`, *optional*):
            In place of the user's own.

    Returns:
        [`PublishedModel`].

    Raises:
        ValueError: If a name can be none, the run is not finished, `folder` holds no model of this package, a secret
            or a path of this machine would be sent, or the repository is not one to write this to.
        FileNotFoundError: If there is no such folder.
        OSError: If the user is not logged in or has no right to write, or the Hub cannot be reached.

    Example:

    ```python
    >>> from xmodal_lt.hub import push_to_hub

    >>> plan = push_to_hub("outputs/cmltnet_emoji_lt", "org/cmltnet-emoji-lt", dry_run=True)  # doctest: +SKIP
    >>> print(sum(plan.files.values()), "bytes")  # doctest: +SKIP
    >>> push_to_hub("outputs/cmltnet_emoji_lt", "org/cmltnet-emoji-lt", private=True, tag="v1.0")  # doctest: +SKIP
    ```
    """
    from .staging import stage_model  # loads torch

    check_repo_id(repo_id)
    check_ref("revision", revision)
    check_ref("tag", tag)
    with tempfile.TemporaryDirectory(prefix="xmodal-lt-push-") as name:
        staged = Path(name)
        stage_model(Path(folder), staged, repo_id, with_code, with_pictures)
        paths = sorted(path for path in staged.rglob("*") if path.is_file())
        files = {path.relative_to(staged).as_posix(): path.stat().st_size for path in paths}
        if dry_run:
            return PublishedModel(f"{constants.ENDPOINT}/{repo_id}", None, files)
        url, commit = send_folder(
            staged,
            repo_id,
            private=private,
            revision=revision,
            tag=tag,
            commit_message=commit_message or "Upload the model",
            token=token,
        )
    return PublishedModel(url, commit, files)

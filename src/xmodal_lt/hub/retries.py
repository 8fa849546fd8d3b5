"""Asking the Hub again where `huggingface_hub` asks once, and saying what its refusals mean."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RevisionNotFoundError


__all__ = ["explaining_refusals", "first_line", "gave_up", "may_not_write", "patiently"]

logger = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds between the attempts

_Answer = TypeVar("_Answer")


def patiently(ask: Callable[[], _Answer]) -> _Answer:
    """
    Ask again, after growing pauses, while the Hub is overloaded or cannot be reached.

    The client does so itself where it sends large files and lists folders, and not where it makes a repository, a
    commit, a branch or a tag.

    Args:
        ask (`Callable`):
            A call of `huggingface_hub`, whose repetition does no harm.

    Returns:
        What the call returns.

    Raises:
        OSError, httpx2.TransportError: The last failure, or the first that a repetition would not mend.
    """
    for pause in PAUSES:
        try:
            return ask()
        except (HfHubHTTPError, httpx2.TransportError) as error:
            if not _may_pass(error):
                raise
            logger.warning("The Hub failed (%s); asking again in %g s.", first_line(error), pause)
            time.sleep(pause)
    return ask()


@contextmanager
def explaining_refusals(repo_id: str) -> Iterator[None]:
    """
    Turn failures of the client into errors of one line that say what to do.

    Args:
        repo_id (`str`):
            The repository that is written to.

    Raises:
        OSError: If the user is not logged in or has no right to write, the branch changes meanwhile, or the Hub fails.
    """
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise OSError(_not_logged_in()) from error
    except HfHubHTTPError as error:
        raise OSError(_explanation(error, repo_id)) from error
    except httpx2.TransportError as error:
        raise OSError(gave_up(error, repo_id)) from error


def gave_up(error: BaseException, repo_id: str) -> str:
    """
    Tell the user that the Hub cannot be had.

    Args:
        error (`BaseException`):
            Its last failure.
        repo_id (`str`):
            The repository that is written to.

    Returns:
        `str`: A message of one line.
    """
    return (
        f"{constants.ENDPOINT} failed again and again ({first_line(error)}); no file of {repo_id} was changed. Push "
        "again later."
    )


def may_not_write(repo_id: str) -> str:
    """What to tell the user who has no right to write to a repository."""
    return (
        f"You may not write to {repo_id}: the name belongs to somebody else, or your token may only read. Choose a "
        "name of your own or of your organisation, and a token with the role 'write'."
    )


def first_line(error: BaseException) -> str:
    """The part of a message of the client that tells what is wrong."""
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _explanation(error: HfHubHTTPError, repo_id: str) -> str:
    status = error.response.status_code
    if status == 401:
        return _not_logged_in()
    if status == 403:
        return may_not_write(repo_id)
    if status in (409, 412):
        return f"{repo_id} was changed by somebody else meanwhile, so that nothing was sent to it: push again."
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id} has no such branch any more: push again."
    return gave_up(error, repo_id) if _may_pass(error) else f"The Hub refuses {repo_id}: {first_line(error)}"


def _not_logged_in() -> str:
    return (
        f"You are not logged in to {constants.ENDPOINT}, or your token is not valid: run `hf auth login`, or set "
        "HF_TOKEN to a token with the role 'write'."
    )


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, HfHubHTTPError) or error.response.status_code in (408, 429, 500, 502, 503, 504)

"""A client process of the tests of publishing: does all of it with the real client, and prints what came of it.

`python hub_client.py FOLDER` sends the staged FOLDER to the Hub that `HF_ENDPOINT` names, and
`python hub_client.py FOLDER cut` does so while every upload of a large file is cut.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.utils import disable_progress_bars

from xmodal_lt.hub import retries
from xmodal_lt.hub.sending import check_may_push, send_folder
from xmodal_lt.hub_cache import check_downloaded_model


REPO = "org/model"
WEIGHTS = "model.safetensors"
api = HfApi()


def request(path: str, content: dict[str, Any] | None = None) -> Any:
    body = None if content is None else json.dumps(content).encode()
    with urllib.request.urlopen(urllib.request.Request(os.environ["HF_ENDPOINT"] + path, body)) as answer:
        return json.load(answer)


def fail(kind: str, method: str, path: str, times: int = 1) -> None:
    request("/test/faults", {"kind": kind, "method": method, "path": path, "times": times})


def uploads() -> int:
    """Large files that were sent since it was asked last."""
    return sum(line.startswith("PUT /lfs/") for line in request("/test/requests"))


def send(folder: Path, repo_id: str = REPO, **options: Any) -> str:
    return send_folder(folder, repo_id, **options)[1]


def error_of(do: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    try:
        do(*arguments, **options)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def warnings_of(do: Callable[..., Any], *arguments: Any) -> list[str]:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    log = logging.getLogger("xmodal_lt.hub.sending")
    log.addHandler(handler)
    do(*arguments)
    log.removeHandler(handler)
    return said


def state(revision: str = "main") -> dict[str, Any]:
    info = api.model_info(REPO, revision=revision)
    return {"commit": info.sha, "files": sorted(file.rfilename for file in info.siblings or ())}


def change_weights(folder: Path) -> None:
    """Other weights, of the same size."""
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1] + bytes([(content[-1] + 1) % 256]))


def pushes(folder: Path) -> dict[str, Any]:
    done: dict[str, Any] = {"first": {"commit": send(folder, private=True, tag="v1"), "uploads": uploads(), **state()}}
    done["same"] = {"commit": send(folder), "uploads": uploads()}

    for name in ("LICENSE", "figures/by_hand.png", "per_class_by_hand.csv"):
        api.upload_file(path_or_fileobj=b"mine", path_in_repo=name, repo_id=REPO)
    (folder / "README.md").write_text("# Another card\n")
    (folder / "figures" / "training_curves.png").unlink()
    uploads()
    done["warned"] = warnings_of(lambda: done.update(changed={"commit": send(folder, tag="v2"), "uploads": uploads()}))
    done["changed"] |= state()
    done["same again"] = warnings_of(send, folder)
    done["tagged"] = {"v1": state("v1"), "v2": state("v2")}

    change_weights(folder)
    done["branch"] = {"commit": send(folder, revision="more/words"), "uploads": uploads(), **state("more/words")}
    done["main"] = state()
    return done


def failures(folder: Path) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for path in ("/repos/create", "/refs", "/commit/", "/tag/"):
        fail("503", "POST" if path != "/refs" else "GET", path, times=2)
    fail("cut", "PUT", "/lfs/")
    change_weights(folder)
    done["overloaded"] = {"commit": send(folder, tag="v3"), "uploads": uploads(), **state()}
    done["overloaded"]["left"] = request("/test/faults")

    (folder / "README.md").write_text("# A card whose commit was heard of too late\n")
    before = len(api.list_repo_commits(REPO))
    fail("lost", "POST", "/commit/")
    commit = send(folder)
    done["lost"] = {"commit": commit, "commits": len(api.list_repo_commits(REPO)) - before, **state()}

    change_weights(folder)
    before_cut = state()
    fail("cut", "POST", "/commit/", times=5)
    done["cut"] = {"error": error_of(send, folder), "before": before_cut, "after": state()}
    done["after"] = {"commit": send(folder), **state()}

    fail("503", "POST", "/tag/", times=5)
    (folder / "README.md").write_text("# A card whose tag comes later\n")
    done["untagged"] = {"error": error_of(send, folder, tag="v4"), **state()}
    done["tagged later"] = {"commit": send(folder, tag="v4"), **state("v4")}

    (folder / "README.md").write_text("# A card that comes second\n")
    fail("raced", "POST", "/commit/")
    done["raced"] = {"error": error_of(send, folder), **state()}
    return done


def refusals(folder: Path) -> dict[str, str]:
    api.create_repo("tester/public", private=False)
    api.create_repo("tester/bert")
    for name, content in (("config.json", b'{"model_type": "bert"}'), ("pytorch_model.bin", b"weights")):
        api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="tester/bert")
    api.create_repo("tester/gguf")
    api.upload_file(path_or_fileobj=b"weights", path_in_repo="a.gguf", repo_id="tester/gguf")
    read_only = "hf_read"
    return {
        "token": error_of(send, folder, token="hf_unknown"),
        "read only": error_of(send, folder, token=read_only),
        "somebody else's": error_of(send, folder, "tester/public", token="hf_stranger"),
        "no such owner": error_of(send, folder, "nobody/model"),
        "public": error_of(send, folder, "tester/public", private=True),
        "bert": error_of(send, folder, "tester/bert"),
        "gguf": error_of(send, folder, "tester/gguf"),
        "tag": error_of(send, folder, tag="v1"),
        "revision": error_of(send, folder, revision="v1"),
        "commit": error_of(send, folder, revision=state()["commit"]),
        "server's tag": error_of(api.create_tag, REPO, tag="x y"),
        "server's branch": error_of(api.create_branch, REPO, branch="a..b"),
    }


def namesakes(folder: Path) -> list[str]:
    """What is said of a name that a data set has too."""
    api.create_repo("org/twin", repo_type="dataset")
    return warnings_of(send, folder, "org/twin")


def before_training() -> dict[str, str]:
    """What is said of repositories before there is anything to send."""
    return {
        "mine": error_of(check_may_push, REPO, True),
        "new": error_of(check_may_push, "org/not-there-yet", True),
        "public": error_of(check_may_push, "tester/public", True),
        "bert": error_of(check_may_push, "tester/bert", True),
        "no such owner": error_of(check_may_push, "nobody/model", True),
        "read only": error_of(check_may_push, REPO, True, "hf_read"),
        "token": error_of(check_may_push, REPO, True, "hf_unknown"),
        "name": error_of(check_may_push, "model", True),
    }


def downloads() -> dict[str, Any]:
    """What huggingface_hub does about a wrong size and about wrong content, and what we do about the latter."""
    done: dict[str, Any] = {}
    hf_hub_download(REPO, "config.json")
    fail("short", "GET", WEIGHTS)
    done["short"] = error_of(hf_hub_download, REPO, WEIGHTS)
    for name in (WEIGHTS, "tokenizer.json"):
        fail("damaged", "GET", name)
        unnoticed = error_of(hf_hub_download, REPO, name)
        done[name] = [unnoticed, error_of(check_downloaded_model, REPO)]
        hf_hub_download(REPO, name)
    done["whole"] = error_of(check_downloaded_model, REPO)
    done["tagged"] = Path(hf_hub_download(REPO, "README.md", revision="v2")).read_text()
    return done


def cut_uploads(folder: Path) -> dict[str, Any]:
    before = send(folder)
    change_weights(folder)
    fail("cut", "PUT", "/lfs/", times=100)
    return {"before": before, "error": error_of(send, folder), **state()}


def main() -> None:
    retries.PAUSES = (0.01,) * len(retries.PAUSES)
    disable_progress_bars()
    folder = Path(sys.argv[1])
    changed = folder.with_name("changed")
    shutil.copytree(folder, changed)
    if sys.argv[2:] == ["cut"]:
        print(json.dumps(cut_uploads(changed)))  # noqa: T201
        return
    done = {
        "pushes": pushes(changed),
        "failures": failures(changed),
        "refusals": refusals(changed),
        "namesakes": namesakes(changed),
        "before training": before_training(),
    }
    print(json.dumps({**done, "downloads": downloads()}))  # noqa: T201


if __name__ == "__main__":
    main()

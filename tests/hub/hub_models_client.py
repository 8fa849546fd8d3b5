"""A client process of the tests of publishing: pushes two runs, and loads them from the Hub in every way there is.

`python hub_models_client.py RUN OTHER_RUN IMAGE` prints what came of it.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from hub_client import api, fail
from transformers import AutoImageProcessor, AutoModel, AutoProcessor, pipeline

from xmodal_lt.cli import main as command_line
from xmodal_lt.hub.publish import push_to_hub
from xmodal_lt.prediction import Predictor


REPO = "org/shapes"


def command(*arguments: str) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            command_line(arguments)
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
    lines = [line for line in err.getvalue().splitlines() if line.startswith("xmodal-lt:")]
    return {"status": status, "out": out.getvalue(), "error": lines}


def predict(image: str, model: str) -> dict[str, Any]:
    return command("predict", image, "--model", model, "--device", "cpu", "--top-k", "3")


def upload(repo_id: str, name: str, content: bytes) -> None:
    api.create_repo(repo_id, exist_ok=True)
    api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=repo_id)


def main(run: str, other_run: str, image: str) -> None:
    done: dict[str, Any] = {}
    push_to_hub(run, REPO, private=True, tag="v1", commit_message="The first one")
    push_to_hub(other_run, REPO)
    push_to_hub(run, REPO, revision="words", with_code=True)

    done["v1"], done["main"] = predict(image, f"{REPO}@v1"), predict(image, REPO)
    done["words"] = predict(image, f"{REPO}@words")
    done["files"] = sorted(api.list_repo_files(REPO))
    done["model"] = type(AutoModel.from_pretrained(REPO, revision="v1")).__name__
    done["processors"] = [
        type(auto.from_pretrained(REPO, revision="v1")).__name__ for auto in (AutoImageProcessor, AutoProcessor)
    ]
    done["pipeline"] = pipeline("image-classification", model=REPO, revision="v1", device="cpu")(image, top_k=3)

    push_to_hub(run, "org/fresh", private=True)
    fail("damaged", "GET", "model.safetensors")
    done["damaged"], done["again"] = predict(image, "org/fresh"), predict(image, "org/fresh")

    upload("org/bert", "config.json", json.dumps({"model_type": "bert"}).encode())
    upload("org/other", "config.json", json.dumps({"model_type": "never_heard_of"}).encode())
    upload("org/notes", "notes.txt", b"nothing")
    api.create_repo("org/pictures", repo_type="dataset")
    names = ("org/bert", "org/other", "org/notes", "org/pictures", "org/nowhere", f"{REPO}@v9")
    done["foreign"] = {name: predict(image, name) for name in names}
    rows = Predictor.from_pretrained(f"{REPO}@v1", "cpu").predict_files([image], num_words=2)
    done["inferred words"] = len(next(iter(rows))["words"])
    print(json.dumps(done))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

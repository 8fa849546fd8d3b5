"""Do description words help, when the images are alone at test? CMLTNet or CRIF against baselines of equal budget on
Emoji-LT.

    python benchmarks/privileged_words.py tune outputs/privileged_words
    python benchmarks/privileged_words.py run outputs/privileged_words
    python benchmarks/privileged_words.py table outputs/privileged_words

and the same with `--method crif`. Each run is a recipe with overrides in a folder of its own, so an interrupted
benchmark goes on where it was. Two processes share the runs with `--worker 0 --workers 2` and `--worker 1
--workers 2`. The learning rate of a method is chosen for the branch that its recipe reads (fused), and its variants
and controls take it over.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

import datasets
import numpy as np
import typer

from xmodal_lt.data import load_lt
from xmodal_lt.training import Recipe, run_recipe
from xmodal_lt.training.grid_table import group_scores, mean_and_deviation


RECIPES = Path(__file__).parents[1] / "recipes"
SEEDS = (0, 1, 2)
LEARNING_RATES = (1e-3, 2e-3)
CROSS_ENTROPY = "model.config.classification_loss=cross_entropy"
LOGIT_ADJUSTED = "model.config.classification_loss=logit_adjusted"
# Without words the word encoder is not trained, so there is nothing to transfer to.
CMLTNET_NO_WORDS = (
    "model.config.alignment_weight=0",
    "model.config.implicit_word_weight=0",
    "model.config.transfer_weight=0",
)
CRIF_NO_WORDS = ("model.config.alignment_strategy=none", "model.config.semantic_weight=0")
SCORES = ("all", "macro", "head", "medium", "tail")

# name of a run -> recipe, the stage that trains the encoder, overrides
BASELINES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "CE": ("baseline_emoji_lt.yaml", "joint", (CROSS_ENTROPY,)),
    "LA": ("baseline_emoji_lt.yaml", "joint", (LOGIT_ADJUSTED,)),
}
RUNS = {
    "cmltnet": BASELINES
    | {
        "CMLTNet": ("cmltnet_emoji_lt.yaml", "align", (LOGIT_ADJUSTED,)),
        "CMLTNet, CE": ("cmltnet_emoji_lt.yaml", "align", (CROSS_ENTROPY,)),
        "CMLTNet, no words in the encoder": ("cmltnet_emoji_lt.yaml", "align", (LOGIT_ADJUSTED, *CMLTNET_NO_WORDS)),
        "CMLTNet, words shuffled": ("cmltnet_emoji_lt.yaml", "align", (LOGIT_ADJUSTED,)),
    },
    "crif": BASELINES
    | {
        "CRIF": ("crif_emoji_lt.yaml", "align", (LOGIT_ADJUSTED,)),
        "CRIF, CE": ("crif_emoji_lt.yaml", "align", (CROSS_ENTROPY,)),
        "CRIF, no words in the encoder": ("crif_emoji_lt.yaml", "align", (LOGIT_ADJUSTED, *CRIF_NO_WORDS)),
        "CRIF, words shuffled": ("crif_emoji_lt.yaml", "align", (LOGIT_ADJUSTED,)),
    },
}
# row of the table -> run, and the branch that is read
ROWS: dict[str, dict[str, tuple[str, str | None]]] = {
    "cmltnet": {
        "cross-entropy (CE)": ("CE", None),
        "CE +A": ("CMLTNet, CE", "aligned"),
        "CE +A+I(L)+F": ("CMLTNet, CE", "fused"),
        "logit-adjusted CE (LA)": ("LA", None),
        "LA +A": ("CMLTNet", "aligned"),
        "LA +I(L)": ("CMLTNet, no words in the encoder", "inferred"),
        "LA +A+I(L)+F": ("CMLTNet", "fused"),
        "control: LA with CMLTNet's head, no words": ("CMLTNet, no words in the encoder", "aligned"),
        "control: LA +A, words shuffled over images": ("CMLTNet, words shuffled", "aligned"),
        "control: LA +A+I(L)+F, words shuffled": ("CMLTNet, words shuffled", "fused"),
    },
    "crif": {
        "cross-entropy (CE)": ("CE", None),
        "CE +Align": ("CRIF, CE", "aligned"),
        "CE +Inference": ("CRIF, CE", "inferred"),
        "CE +Fusion": ("CRIF, CE", "fused"),
        "logit-adjusted CE (LA)": ("LA", None),
        "LA +Align": ("CRIF", "aligned"),
        "LA +Inference": ("CRIF", "inferred"),
        "LA +Fusion": ("CRIF", "fused"),
        "control: LA with CRIF's head, no words": ("CRIF, no words in the encoder", "aligned"),
        "control: LA +Align, words shuffled over images": ("CRIF, words shuffled", "aligned"),
        "control: LA +Fusion, words shuffled": ("CRIF, words shuffled", "fused"),
    },
}
TUNED = {"cmltnet": "CMLTNet", "crif": "CRIF"}  # the run whose learning rate its variants and controls take over
OUTPUTS = {"cmltnet": "privileged_words.md", "crif": "crif.md"}
REFERENCE = "logit-adjusted CE (LA)"

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False)
Folder = Annotated[Path, typer.Argument(help="Folder for the runs.")]
Method = Annotated[Literal["cmltnet", "crif"], typer.Option(help="Which method.")]


def _shuffled_words(folder: Path) -> Path:
    """Emoji-LT whose training words are dealt to the training images at random."""
    path = folder / "emoji_lt_shuffled"
    if not path.exists():
        splits = load_lt("emoji-lt")
        train = splits["train"]
        order = np.random.default_rng(0).permutation(len(train))
        words = train.select_columns("words").select(order)["words"][:]
        splits["train"] = train.remove_columns("words").add_column("words", words)
        datasets.DatasetDict(splits).save_to_disk(path.with_suffix(".unfinished"))
        path.with_suffix(".unfinished").rename(path)
    return path


def _run(folder: Path, method: str, name: str, seed: int, learning_rate: float) -> dict:
    recipe_file, stage, overrides = RUNS[method][name]
    output = folder / f"{name.replace(', ', '-').replace(' ', '_')}-lr{learning_rate:g}-seed{seed}"
    if (output / "results.json").exists():
        return json.loads((output / "results.json").read_text())
    settings = [
        *overrides,
        f"seed={seed}",
        f"stages.{stage}.learning_rate={learning_rate}",
        f"output_dir={output}",
        "resume=true",
    ]
    if "shuffled" in name:
        settings += ["dataset.name=null", f"dataset.path={_shuffled_words(folder)}"]
    return run_recipe(Recipe.load(RECIPES / recipe_file, settings)).values


def _score(results: dict, branch: str | None, split: str) -> dict[str, float]:
    return group_scores(results["splits"][split] if branch is None else results["branches"][split][branch])


def _tuned(folder: Path, method: str, name: str) -> float:
    """The learning rate with the best validation macro accuracy of the branch that the table reads, at seed 0."""
    branch = "fused" if name == TUNED[method] else None
    results = {rate: _run(folder, method, name, 0, rate) for rate in LEARNING_RATES}
    scores = {rate: _score(result, branch, "validation")["macro"] for rate, result in results.items()}
    return max(scores, key=lambda rate: scores[rate])


@app.command()
def tune(folder: Folder, method: Method = "cmltnet", worker: int = 0, workers: int = 1) -> None:
    """Try the learning rates of every method on validation, with seed 0."""
    jobs = [(name, rate) for name in (*BASELINES, TUNED[method]) for rate in LEARNING_RATES]
    for name, rate in jobs[worker::workers]:
        _run(folder, method, name, 0, rate)


@app.command()
def run(folder: Folder, method: Method = "cmltnet", worker: int = 0, workers: int = 1) -> None:
    """Train everything with every seed, at the learning rate that tuning chose; controls take the method's."""
    jobs = [(name, seed) for seed in SEEDS for name in RUNS[method]]
    for name, seed in jobs[worker::workers]:
        _run(folder, method, name, seed, _rate_of(folder, method, name))


def _rate_of(folder: Path, method: str, name: str) -> float:
    return _tuned(folder, method, name if name in BASELINES else TUNED[method])


@app.command()
def table(folder: Folder, method: Method = "cmltnet", output: Path | None = None, split: str = "test") -> None:
    """Mean and standard deviation over the seeds, and the paired difference to logit-adjusted cross-entropy."""
    scores = {
        row: [
            _score(_run(folder, method, name, seed, _rate_of(folder, method, name)), branch, split) for seed in SEEDS
        ]
        for row, (name, branch) in ROWS[method].items()
    }
    lines = ["| | " + " | ".join(SCORES) + " | macro - LA | tail - LA |", "| --- |" + " --- |" * (len(SCORES) + 2)]
    for row, runs in scores.items():
        cells = [mean_and_deviation([run[score] for run in runs]) for score in SCORES]
        for score in ("macro", "tail"):
            pairs = zip(runs, scores[REFERENCE], strict=True)
            cells.append("" if row == REFERENCE else mean_and_deviation([a[score] - b[score] for a, b in pairs], "+"))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    output = output or Path("benchmarks/results") / OUTPUTS[method]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines) + "\n")
    typer.echo(output.read_text())


if __name__ == "__main__":
    app()

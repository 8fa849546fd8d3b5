"""Where the metrics lie as folders that the `evaluate` library loads."""

from __future__ import annotations

from pathlib import Path


__all__ = ["evaluate_module"]

_ROOT = Path(__file__).parent / "evaluate_modules"


def evaluate_module(name: str) -> str:
    """
    Find the folder of a metric that `evaluate.load` opens; it needs no network.

    `evaluate` stores what it is given and hands it on as lists, which takes seconds on a large split: where the scores
    are at hand as one array, call the plain function of the same name.

    Args:
        name (`str`):
            `"lt_map"`, `"shot_accuracy"`, `"precision_recall_at_k"`, `"multilabel_f1"` or `"top_k_accuracy"`.

    Returns:
        `str`: Path of the folder. It is also a whole repository of the Hub: uploaded as a Space, it loads by its id.

    Raises:
        ValueError: If there is no such metric.

    Example:

    ```python
    >>> from pathlib import Path
    >>> from xmodal_lt.metrics import evaluate_module

    >>> sorted(path.name for path in Path(evaluate_module("lt_map")).glob("*.*"))
    ['README.md', 'app.py', 'lt_map.py', 'requirements.txt']

    >>> import evaluate
    >>> metric = evaluate.load(evaluate_module("lt_map"))  # doctest: +SKIP
    >>> metric.add_batch(predictions=logits, references=labels)  # doctest: +SKIP
    >>> metric.compute(class_counts=[120, 7])["map_tail"]  # doctest: +SKIP
    0.5
    ```
    """
    names = sorted(folder.name for folder in _ROOT.iterdir() if (folder / f"{folder.name}.py").is_file())
    if name not in names:
        raise ValueError(f"name must be one of {', '.join(names)}; got {name!r}")
    return str(_ROOT / name)

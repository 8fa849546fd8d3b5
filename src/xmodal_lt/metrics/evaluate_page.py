"""The page of a metric's Space on the Hub, which the `app.py` of each module folder opens.

`evaluate.utils.launch_gradio_widget` gives `compute` nothing but predictions and references, no class counts; and in
evaluate 0.4.6 it needs gradio 3, which needs an older numpy than this package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import evaluate
from evaluate.utils.gradio import parse_readme


__all__ = ["launch_page"]


def launch_page(module: Path, example: str) -> None:
    """
    Serve a page that computes a metric from arguments in JSON. It needs gradio, which every Space of that kind has.

    Args:
        module (`Path`):
            The metric's Python file. The `README.md` beside it is shown below the form.
        example (`str`):
            JSON of the arguments of `compute` that the page starts with.
    """
    import gradio as gr

    metric = evaluate.load(str(module))

    def compute(arguments: str) -> dict[str, Any]:
        return metric.compute(**json.loads(arguments))

    page = gr.Interface(
        fn=compute,
        inputs=gr.Code(example, language="json", label="Arguments of compute"),
        outputs=gr.JSON(label="Result"),
        title=metric.name,
        article=parse_readme(module.with_name("README.md")),
    )
    page.launch()

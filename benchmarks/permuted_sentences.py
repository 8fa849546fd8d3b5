"""A control for VL-LTR on Emoji-LT: the corpus of its recipe with the sentences of each class given to another class.

python benchmarks/permuted_sentences.py outputs/permuted.csv
xmodal-lt train recipes/vl_ltr_emoji_lt.yaml model.checkpoint=outputs/vl_ltr_heads_emoji_lt/CVLP_zero-shot/seed0 \
    model.pretrained=null model.config.head=lgr stages.pretrain=null 'corpus.templates=[]' \
    corpus.source=outputs/permuted.csv output_dir=outputs/permuted/seed0
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from xmodal_lt.data import build_corpus, load_lt
from xmodal_lt.training import Recipe


RECIPE = Path(__file__).parents[1] / "recipes" / "vl_ltr_emoji_lt.yaml"


def main(output: Annotated[Path, typer.Argument(help="CSV file for the sentences.")]) -> None:
    """Write the sentences."""
    corpus_recipe = Recipe.load(RECIPE).corpus
    train = load_lt("emoji-lt")["train"]
    names = train.features["label"].names
    corpus = build_corpus(
        names, corpus_recipe.source, corpus_recipe.templates, rows=train, columns=corpus_recipe.columns
    )
    order = np.random.default_rng(0).permutation(len(names))
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)  # one cycle, so that no class keeps its own
    pairs = zip(names, others, strict=True)
    rows = [(name, sentence) for name, other in pairs for sentence in corpus.sentences[other]]
    output.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["class", "sentence"]).to_csv(output, index=False)


if __name__ == "__main__":
    typer.run(main)

"""Share of samples whose class is among the k best, as a metric of `evaluate`."""

import datasets
import evaluate

from xmodal_lt.metrics import top_k_accuracy


_DESCRIPTION = """\
Share of the samples whose true class is among the k highest scores, in single-label classification.
"""

_CITATION = """\
@article{russakovsky2015imagenet,
  title = {{ImageNet} Large Scale Visual Recognition Challenge},
  author = {Russakovsky, Olga and Deng, Jia and Su, Hao and Krause, Jonathan and Satheesh, Sanjeev and Ma, Sean and
            Huang, Zhiheng and Karpathy, Andrej and Khosla, Aditya and Bernstein, Michael and Berg, Alexander C. and
            Fei-Fei, Li},
  journal = {International Journal of Computer Vision},
  year = {2015}
}
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list` of `list` of `float`): Logits or probabilities of every class, one row per sample. Equal scores
        rank by class index.
    references (`list` of `int`): True class of each sample.
    k (`int`, *optional*, defaults to 5): How many classes count.

Returns:
    `top_k_accuracy` (`float`, in 0..1).

Examples:

    >>> import evaluate
    >>> from xmodal_lt.metrics import evaluate_module
    >>> metric = evaluate.load(evaluate_module("top_k_accuracy"))
    >>> metric.compute(predictions=[[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]], references=[2, 2], k=2)
    {'top_k_accuracy': 0.5}
"""


class TopKAccuracy(evaluate.Metric):
    """`top_k_accuracy` of `xmodal_lt.metrics`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
            license="Apache-2.0",
            reference_urls=["https://arxiv.org/abs/1409.0575"],
        )

    def _compute(self, predictions, references, **options):
        return {"top_k_accuracy": top_k_accuracy(predictions, references, **options)}

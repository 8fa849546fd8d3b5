"""Precision and recall of the k best classes, as a metric of `evaluate`."""

import datasets
import evaluate

from xmodal_lt.metrics import precision_recall_at_k


_DESCRIPTION = """\
Precision and recall of the k highest scores of each sample in multi-label classification, averaged over samples:
hits / k, and hits / number of positives.
"""

_CITATION = """\
@inproceedings{meng2019learning,
  title = {Learning Using Privileged Information for Food Recognition},
  author = {Meng, Lei and Chen, Long and Yang, Xun and Tao, Dacheng and Zhang, Hanwang and Miao, Chunyan and
            Chua, Tat-Seng},
  booktitle = {ACM International Conference on Multimedia},
  year = {2019}
}
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list` of `list` of `float`): Logits or probabilities of every class, one row per sample. Equal scores
        rank by class index.
    references (`list` of `list` of `int`): 0 or 1 for every class, one row per sample.
    ks (`list` of `int`, *optional*, defaults to `(1, 5)`): The numbers of classes to look at.

Returns:
    For each k `precision_at_k` and `recall_at_k` (`float`, in 0..1). Recall leaves out samples without a positive, and
    is `nan` if none has one.

Examples:

    >>> import evaluate
    >>> from xmodal_lt.metrics import evaluate_module
    >>> metric = evaluate.load(evaluate_module("precision_recall_at_k"))
    >>> scores = [[0.9, 0.8, 0.1], [0.2, 0.1, 0.7]]
    >>> metric.compute(predictions=scores, references=[[1, 1, 0], [1, 0, 0]], ks=[1, 2])
    {'precision_at_1': 0.5, 'recall_at_1': 0.25, 'precision_at_2': 0.75, 'recall_at_2': 1.0}
"""


class PrecisionRecallAtK(evaluate.Metric):
    """`precision_recall_at_k` of `xmodal_lt.metrics`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            # Not integers for the references: `evaluate` would cut 0.5 down to 0 before the metric can refuse it.
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.List(datasets.Value("float64")),
                }
            ),
            license="Apache-2.0",
            reference_urls=["https://github.com/Lei-Meng/Learning-Using-Privileged-Information-for-Food-Recognition"],
        )

    def _compute(self, predictions, references, **options):
        return precision_recall_at_k(predictions, references, **options)

"""Mean average precision over all, head, medium and tail classes, as a metric of `evaluate`."""

import datasets
import evaluate

from xmodal_lt.metrics import lt_map


_DESCRIPTION = """\
Mean average precision (mAP) of multi-label predictions over all classes, and apart over the head, medium and tail
classes, which have many, some and few training samples. The average precision of a class is scikit-learn's.
"""

_CITATION = """\
@inproceedings{wu2020distribution,
  title = {Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets},
  author = {Wu, Tong and Huang, Qingqiu and Liu, Ziwei and Wang, Yu and Lin, Dahua},
  booktitle = {European Conference on Computer Vision},
  year = {2020}
}
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list` of `list` of `float`): Logits or sigmoid probabilities of every class, one row per sample.
    references (`list` of `list` of `int`): 0 or 1 for every class, one row per sample.
    class_counts (`list` of `int`): Training samples of each class. They alone decide the groups.
    head (`int`, *optional*, defaults to 100): Upper threshold of the groups.
    tail (`int`, *optional*, defaults to 20): Lower threshold of the groups.
    boundaries (`str`, *optional*, defaults to `"multilabel"`): Side that a class exactly at a threshold falls on:
        `"multilabel"` (head >= 100, tail < 20), `"decoupling"` (> 100, < 20) or `"vl_ltr"` (>= 100, <= 20).
    method (`str`, *optional*, defaults to `"step"`): How equal scores rank: `"step"` lets them enter together, as
        scikit-learn does, `"rank"` in the order of the samples, as ML-GCN does.

Returns:
    `map`, `map_head`, `map_medium`, `map_tail` (`float`, in 0..1) and `ap` (`list` of `float`, one per class). A class
    without positives is `nan` in `ap` and left out of the means; a group without any other class is `nan`.

Examples:

    >>> import evaluate
    >>> from xmodal_lt.metrics import evaluate_module
    >>> metric = evaluate.load(evaluate_module("lt_map"))
    >>> scores = [[2.0, -1.0], [0.5, 1.5], [-0.3, 0.2]]
    >>> result = metric.compute(predictions=scores, references=[[1, 0], [0, 0], [1, 1]], class_counts=[120, 7])
    >>> round(result["map"], 3), round(result["map_head"], 3), result["map_tail"]
    (0.667, 0.833, 0.5)
"""


class LTMap(evaluate.Metric):
    """`lt_map` of `xmodal_lt.metrics`."""

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
            reference_urls=[
                "https://arxiv.org/abs/2007.09654",
                "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html",
            ],
        )

    def _compute(self, predictions, references, **options):
        result = lt_map(predictions, references, **options)
        return result | {"ap": result["ap"].tolist()}

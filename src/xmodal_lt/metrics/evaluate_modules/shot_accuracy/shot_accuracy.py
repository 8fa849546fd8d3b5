"""Accuracy overall and on many-, medium- and few-shot classes, as a metric of `evaluate`."""

import datasets
import evaluate

from xmodal_lt.metrics import shot_accuracy


_DESCRIPTION = """\
Top-1 accuracy of single-label predictions, overall and apart over the classes with many, a medium number of, and few
training samples. The defaults are those of OLTR and decoupling.
"""

_CITATION = """\
@inproceedings{kang2020decoupling,
  title = {Decoupling Representation and Classifier for Long-Tailed Recognition},
  author = {Kang, Bingyi and Xie, Saining and Rohrbach, Marcus and Yan, Zhicheng and Gordo, Albert and Feng, Jiashi and
            Kalantidis, Yannis},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list` of `int`): Predicted class of each sample.
    references (`list` of `int`): True class of each sample.
    class_counts (`list` of `int`): Training samples of each class. They alone decide the groups.
    many (`int`, *optional*, defaults to 100): Upper threshold of the groups.
    few (`int`, *optional*, defaults to 20): Lower threshold of the groups.
    average (`str`, *optional*, defaults to `"macro"`): `"macro"` is the mean of the accuracies of the group's classes,
        `"micro"` the share of the group's samples that are right. `accuracy` is over samples in either case.
    boundaries (`str`, *optional*, defaults to `"decoupling"`): Side that a class exactly at a threshold falls on:
        `"decoupling"` (many > 100, few < 20), `"multilabel"` (>= 100, < 20) or `"vl_ltr"` (>= 100, <= 20).

Returns:
    `accuracy`, `many`, `medium`, `few` (`float`, in 0..1) and `per_class` (`list` of `float`). A class without test
    samples is `nan` in `per_class` and left out of its group; a group without any other class is `nan`.

Examples:

    >>> import evaluate
    >>> from xmodal_lt.metrics import evaluate_module
    >>> metric = evaluate.load(evaluate_module("shot_accuracy"))
    >>> metric.compute(predictions=[0, 0, 1, 0, 2], references=[0, 0, 1, 1, 2], class_counts=[500, 60, 3])
    {'accuracy': 0.8, 'many': 1.0, 'medium': 0.5, 'few': 1.0, 'per_class': [1.0, 0.5, 1.0]}
"""


class ShotAccuracy(evaluate.Metric):
    """`shot_accuracy` of `xmodal_lt.metrics`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
            license="Apache-2.0",
            reference_urls=[
                "https://arxiv.org/abs/1910.09217",
                "https://github.com/facebookresearch/classifier-balancing",
            ],
        )

    def _compute(self, predictions, references, **options):
        result = shot_accuracy(predictions, references, **options)
        return result | {"per_class": result["per_class"].tolist()}

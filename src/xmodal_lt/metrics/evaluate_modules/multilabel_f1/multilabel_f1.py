"""Overall and per-class precision, recall and F1 over a threshold, as a metric of `evaluate`."""

import datasets
import evaluate

from xmodal_lt.metrics import multilabel_f1


_DESCRIPTION = """\
Overall (OP, OR, OF1) and per-class (CP, CR, CF1) precision, recall and F1 of multi-label predictions. A class is
predicted where the sigmoid of its logit reaches a threshold. Overall numbers count the pairs of sample and class;
per-class numbers are means over classes, and CF1 is the harmonic mean of CP and CR.
"""

_CITATION = """\
@inproceedings{chen2019multi,
  title = {Multi-Label Image Recognition with Graph Convolutional Networks},
  author = {Chen, Zhao-Min and Wei, Xiu-Shen and Wang, Peng and Guo, Yanwen},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2019}
}
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list` of `list` of `float`): Logits of every class, one row per sample; not probabilities, as the
        sigmoid is applied here.
    references (`list` of `list` of `int`): 0 or 1 for every class, one row per sample.
    threshold (`float`, *optional*, defaults to 0.5): Probability from which a class is predicted, between 0 and 1.
    top_k (`int`, *optional*): Predict at most the k highest scores of a sample (those of them that reach the
        threshold).

Returns:
    `op`, `or`, `of1`, `cp`, `cr`, `cf1` (`float`, in 0..1). A precision without predictions is 0. Classes without
    positives are left out of CP and CR; without any positive the recalls, CP and the F1 are `nan`.

Examples:

    >>> import evaluate
    >>> from xmodal_lt.metrics import evaluate_module
    >>> metric = evaluate.load(evaluate_module("multilabel_f1"))
    >>> result = metric.compute(predictions=[[2.0, 1.0], [-1.0, 0.5]], references=[[1, 0], [0, 1]])
    >>> round(result["of1"], 3), round(result["cf1"], 3)
    (0.8, 0.857)
"""


class MultilabelF1(evaluate.Metric):
    """`multilabel_f1` of `xmodal_lt.metrics`."""

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
            reference_urls=["https://arxiv.org/abs/1904.03582"],
        )

    def _compute(self, predictions, references, **options):
        return multilabel_f1(predictions, references, **options)

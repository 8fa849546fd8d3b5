"""The numbers that the methods' papers report, to stand beside those of a run: none of them is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


__all__ = ["PaperResult", "paper_results"]


@dataclass(frozen=True)
class PaperResult:
    """
    One row of a table of a paper, all in percent.

    Args:
        model_type (`str`):
            The method.
        dataset (`str`):
            Registered name of the data set.
        backbone (`str`):
            Name of the architecture, without the tag of its weights.
        source (`str`):
            Paper, table and row.
        groups (`Mapping[str, float]`, *optional*):
            Accuracy over the samples, or mAP, of `"all"`, `"head"`, `"medium"` and `"tail"` classes.
        scores (`Mapping[str, float]`, *optional*):
            Scores over all samples, by their names in `results.json`.
        note (`str`, *optional*):
            What differs from the recipe of this package.
    """

    model_type: str
    dataset: str
    backbone: str
    source: str
    groups: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


def _groups(*values: float) -> dict[str, float]:
    """Of all, head, medium and tail classes, or of all alone."""
    return dict(zip(("all", "head", "medium", "tail"), values, strict=False))


def _at_k(*values: float) -> dict[str, float]:
    return dict(zip(("precision_at_1", "precision_at_5", "recall_at_1", "recall_at_5"), values, strict=True))


def _top(first: float, fifth: float) -> dict[str, float]:
    return {"accuracy": first, "accuracy_top5": fifth}


_CMLTNET = "CMLTNet, table 2"
_CRIF_IMAGES, _CRIF_VIDEOS = "CRIF, table I", "CRIF, table II"
_CRIF_FUSION = "CRIF, table IV, + Fusion"
_VL_LTR = "VL-LTR, table"
_CPRFL = "CPRFL, table 3, VSI + PI + RW"
_CPRFL_NOTE = "with text embeddings of CLIP"
_ALIGNMENT_NOTE = "row of cross-modal alignment"
_VIDEOS_NOTE = "tested on 4,515 videos, which are no official split"
_VIT = "vit_base_patch16_224"
_CLIP_VIT = "vit_base_patch16_clip_quickgelu_224"
_NUS, _VIREO, _ACTIVITYNET = "nus-wide", "vireofood-172", "activitynet-captions"
_PLAIN = "lt_classifier"

_RESULTS = (
    PaperResult("cmltnet", _NUS, "resnet18", f"{_CMLTNET}, ResNet-18", _groups(47.8, 70.2, 53.9, 40.5)),
    PaperResult("cmltnet", _NUS, "resnet50", f"{_CMLTNET}, ResNet-50", _groups(48.6, 70.7, 54.8, 41.3)),
    PaperResult("cmltnet", _NUS, _VIT, f"{_CMLTNET}, ViT", _groups(49.4, 71.5, 55.7, 42.0)),
    PaperResult("cmltnet", _VIREO, "resnet18", f"{_CMLTNET}, ResNet-18", _groups(79.2, 78.5, 80.0, 78.1)),
    PaperResult("cmltnet", _VIREO, "resnet50", f"{_CMLTNET}, ResNet-50", _groups(83.3, 82.5, 84.2, 82.3)),
    PaperResult("cmltnet", _VIREO, _VIT, f"{_CMLTNET}, ViT", _groups(84.3, 83.7, 85.0, 83.2)),
    PaperResult(_PLAIN, _NUS, "resnet18", f"{_CMLTNET}, backbone ResNet-18", _groups(42.1, 68.1, 50.8, 33.2)),
    PaperResult(_PLAIN, _NUS, "resnet50", f"{_CMLTNET}, backbone ResNet-50", _groups(44.4, 69.2, 53.6, 35.7)),
    PaperResult(_PLAIN, _NUS, _VIT, f"{_CMLTNET}, backbone ViT", _groups(45.5, 70.9, 54.4, 36.7)),
    PaperResult(_PLAIN, _VIREO, "resnet18", f"{_CMLTNET}, backbone ResNet-18", _groups(78.2, 78.4, 78.5, 76.7)),
    PaperResult(_PLAIN, _VIREO, "resnet50", f"{_CMLTNET}, backbone ResNet-50", _groups(81.7, 81.7, 82.4, 79.8)),
    PaperResult(_PLAIN, _VIREO, _VIT, f"{_CMLTNET}, backbone ViT", _groups(83.6, 82.9, 84.6, 83.0)),
    PaperResult("crif", _NUS, "resnet50", f"{_CRIF_IMAGES}, CRIF", scores=_at_k(81.3, 39.8, 45.8, 85.8)),
    PaperResult("crif", _VIREO, "resnet50", f"{_CRIF_IMAGES}, CRIF", scores=_top(84.1, 94.8)),
    PaperResult(_PLAIN, _NUS, "resnet18", f"{_CRIF_IMAGES}, ResNet-18", scores=_at_k(74.6, 37.2, 41.0, 80.4)),
    PaperResult(_PLAIN, _NUS, "resnet50", f"{_CRIF_IMAGES}, ResNet-50", scores=_at_k(78.6, 39.1, 44.0, 86.4)),
    PaperResult(_PLAIN, _VIREO, "resnet18", f"{_CRIF_IMAGES}, ResNet-18", scores=_top(77.3, 93.2)),
    PaperResult(_PLAIN, _VIREO, "resnet50", f"{_CRIF_IMAGES}, ResNet-50", scores=_top(81.6, 95.0)),
    PaperResult(
        "crif", "msr-vtt", "features:gru", f"{_CRIF_VIDEOS}, GRU", scores=_top(54.5, 83.5), note=_ALIGNMENT_NOTE
    ),
    PaperResult("crif", "msr-vtt", "features:vilt", f"{_CRIF_FUSION}, ViLT", scores=_top(56.8, 84.0)),
    PaperResult(
        "crif",
        _ACTIVITYNET,
        "features:gru",
        f"{_CRIF_VIDEOS}, GRU",
        scores=_top(82.0, 95.7),
        note=f"{_ALIGNMENT_NOTE}, {_VIDEOS_NOTE}",
    ),
    PaperResult(
        "crif", _ACTIVITYNET, "features:vilt", f"{_CRIF_FUSION}, ViLT", scores=_top(83.8, 95.1), note=_VIDEOS_NOTE
    ),
    PaperResult(_PLAIN, "msr-vtt", "features:gru", f"{_CRIF_VIDEOS}, visual GRU", scores=_top(51.9, 81.5)),
    PaperResult(_PLAIN, "msr-vtt", "features:vilt", f"{_CRIF_VIDEOS}, visual ViLT", scores=_top(51.5, 81.7)),
    PaperResult(
        _PLAIN, _ACTIVITYNET, "features:gru", f"{_CRIF_VIDEOS}, visual GRU", scores=_top(80.2, 95.5), note=_VIDEOS_NOTE
    ),
    PaperResult(
        _PLAIN,
        _ACTIVITYNET,
        "features:vilt",
        f"{_CRIF_VIDEOS}, visual ViLT",
        scores=_top(81.4, 95.4),
        note=_VIDEOS_NOTE,
    ),
    PaperResult("vl_ltr", "imagenet-lt", "resnet50_clip", f"{_VL_LTR} 1, ResNet-50", _groups(70.1, 77.8, 67.0, 50.8)),
    PaperResult("vl_ltr", "imagenet-lt", _CLIP_VIT, f"{_VL_LTR} 1, ViT-Base", _groups(77.2, 84.5, 74.6, 59.3)),
    PaperResult(_PLAIN, "imagenet-lt", "resnet50_clip", f"{_VL_LTR} 1, Baseline", _groups(60.5, 74.4, 56.9, 34.5)),
    PaperResult("vl_ltr", "places-lt", "resnet50_clip", f"{_VL_LTR} 2, ResNet-50", _groups(48.0, 51.9, 47.2, 38.4)),
    PaperResult("vl_ltr", "places-lt", _CLIP_VIT, f"{_VL_LTR} 2, ViT-Base", _groups(50.1, 54.2, 48.5, 42.0)),
    PaperResult(_PLAIN, "places-lt", "resnet50_clip", f"{_VL_LTR} 2, Baseline", _groups(39.7, 50.8, 38.6, 22.7)),
    PaperResult("vl_ltr", "inaturalist-2018", "resnet50_clip", f"{_VL_LTR} 3, ResNet-50", _groups(74.6)),
    PaperResult("vl_ltr", "inaturalist-2018", _CLIP_VIT, f"{_VL_LTR} 3, ViT-Base", _groups(76.8)),
    PaperResult(_PLAIN, "inaturalist-2018", "resnet50_clip", f"{_VL_LTR} 3, Baseline", _groups(72.6)),
    PaperResult("cprfl", "voc-lt", "resnet101", _CPRFL, _groups(86.28, 81.84, 90.51, 86.43), note=_CPRFL_NOTE),
    PaperResult("cprfl", "coco-lt", "resnet101", _CPRFL, _groups(66.69, 66.35, 70.99, 61.33), note=_CPRFL_NOTE),
)


def paper_results(model_type: str, dataset: str | None, backbone: str) -> list[PaperResult]:
    """
    Look up what papers report of a method on the same data set, with the same backbone.

    Args:
        model_type (`str`):
            The method.
        dataset (`str` or `None`):
            Name of the data set.
        backbone (`str`):
            As in the config, with or without the tag of its weights.

    Returns:
        `list[PaperResult]`: In the order of the papers; empty where nothing is known.

    Example:

    ```python
    >>> from xmodal_lt.hub.paper_results import paper_results

    >>> [row.groups["all"] for row in paper_results("cmltnet", "nus-wide", "resnet50.tv_in1k")]
    [48.6]
    ```
    """
    wanted = (model_type, dataset, backbone.partition(".")[0])
    return [row for row in _RESULTS if (row.model_type, row.dataset, row.backbone) == wanted]

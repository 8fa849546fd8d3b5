"""What the cards say of each method: what it does, what its stages train, and how its paper is cited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


__all__ = ["METHOD_TEXTS", "PACKAGE_BIBTEX", "MethodText"]


@dataclass(frozen=True)
class MethodText:
    """
    A method in the words of a card.

    Args:
        title (`str`):
            Its name.
        summary (`str`):
            One paragraph: what it learns from, and how it predicts.
        stages (`Mapping[str, str]`):
            What each of its stages trains.
        differences (`str`, *optional*):
            Where this implementation stands to the paper's code.
        bibtex (`str`, *optional*):
            Its paper.
    """

    title: str
    summary: str
    stages: Mapping[str, str]
    differences: str | None = None
    bibtex: str | None = None


_NO_CODE = (
    "The paper has no published code; what it leaves open is marked in the config's documentation and the recipe."
)

METHOD_TEXTS = {
    "cmltnet": MethodText(
        title="CMLTNet",
        summary="CMLTNet learns from images and from the words that describe them, and predicts from images alone. It "
        "aligns image and word features in a shared space with one classifier for both, infers the words that an "
        "image suggests, and fuses the aligned features with the embeddings of the inferred words.",
        stages={
            "align": "image and word encoders and the shared space, by alignment and a classifier on both",
            "infer": "prediction of words from the image, and a classifier on the inferred words",
            "fuse": "fusion of both, and its classifier",
            "joint": "everything at once",
        },
        differences=_NO_CODE,
        bibtex="""@article{li2024cmltnet,
  title   = {Cross-modal learning using privileged information for long-tailed image classification},
  author  = {Li, Xiangxian and Zheng, Yuze and Ma, Haokai and Qi, Zhuang and Meng, Xiangxu and Meng, Lei},
  journal = {Computational Visual Media},
  year    = {2024}
}""",
    ),
    "cprfl": MethodText(
        title="CPRFL",
        summary="CPRFL classifies images with several labels. Prompts made of the names of the classes read the local "
        "features of an image, so that each class has features of its own, and the similarity of these to the prompt "
        "is the score of the class. Prediction needs no text encoder.",
        stages={"joint": "image encoder, prompts, and their interaction with the local features"},
        differences="Where the paper and its released code differ, fields of the config say which is followed; the "
        "last epoch counts, without averaged weights, where the released code picks the best epoch on the test split.",
        bibtex="""@inproceedings{yan2024cprfl,
  title     = {Category-Prompt Refined Feature Learning for Long-Tailed Multi-Label Image Classification},
  author    = {Yan, Jiexuan and Huang, Sheng and Mu, Nankun and Huangfu, Luwen and Liu, Bo},
  booktitle = {Proceedings of the 32nd ACM International Conference on Multimedia},
  year      = {2024}
}""",
    ),
    "crif": MethodText(
        title="CRIF",
        summary="CRIF learns from images or videos and from what goes with them in training alone: words or, for "
        "videos, a second sequence of features. It aligns both at two levels, distribution and content, infers the "
        "semantic features from the visual ones, and fuses the two for its prediction.",
        stages={
            "align": "both encoders and their maps to the shared space, by similarity and classifiers on both",
            "infer": "the maps, and the inference of semantic features, by reconstruction and content alignment",
            "fuse": "fusion of visual and inferred features, and its classifier",
            "joint": "everything at once",
            "head": "everything at once but the visual encoder",
        },
        differences=_NO_CODE,
        bibtex="""@misc{guan_crif,
  title  = {Improving the Generalization of Visual Classification Models Across {IoT} Cameras via Cross-modal \
Inference and Fusion},
  author = {Guan, Qing-Ling and Zheng, Yuze and Meng, Lei and Dong, Li-Quan and Hao, Qun}
}""",
    ),
    "lt_classifier": MethodText(
        title="Plain classifier",
        summary="A visual backbone with one classifier on its features, with no words in training or prediction: the "
        "baseline that the cross-modal methods are compared with, and what long-tailed losses, samplers and "
        "re-balancing are tried on.",
        stages={
            "joint": "backbone and classifier",
            "head": "the classifier, on features of the backbone as it is",
            "lws": "one scale for the logit of each class",
        },
    ),
    "vl_ltr": MethodText(
        title="VL-LTR",
        summary="VL-LTR learns from images and from sentences about their classes. It pre-trains an image and a text "
        "encoder by class-wise contrastive learning, chooses the sentences of each class that tell it best from "
        "others, and classifies by a head that reads both the image and these sentences. At prediction the sentences "
        "are constants of the checkpoint.",
        stages={
            "pretrain": "both encoders, by contrastive learning with sentences about the classes",
            "finetune": "the head that reads images and the chosen sentences",
        },
        differences="Where the paper and its released code differ, the config names the choice (`variant`).",
        bibtex="""@inproceedings{tian2022vlltr,
  title     = {{VL-LTR}: Learning Class-wise Visual-Linguistic Representation for Long-Tailed Visual Recognition},
  author    = {Tian, Changyao and Wang, Wenhai and Zhu, Xizhou and Dai, Jifeng and Qiao, Yu},
  booktitle = {European Conference on Computer Vision},
  year      = {2022}
}""",
    ),
}

PACKAGE_BIBTEX = """@software{xmodal_lt,
  title  = {xmodal-lt: cross-modal long-tailed image classification},
  author = {{The xmodal-lt authors}}
}"""

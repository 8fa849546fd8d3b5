"""Numbers that are published about the data sets, with their sources: what a copy must agree with."""

from __future__ import annotations

from dataclasses import dataclass


__all__ = ["Fact", "Facts", "facts"]


@dataclass(frozen=True)
class Fact:
    """
    A number that a data set must have.

    Args:
        quantity (`str`):
            What it is the number of: `"train"`, `"validation"` and `"test"` (images, or videos), `"classes"`,
            `"head"`, `"medium"` and `"tail"` (classes), `"imbalance_ratio"` (of train), `"test_imbalance_ratio"`,
            `"labels_per_image"` (mean of train), `"words"` (distinct ones of train) or `"words_per_image"` (mean of
            train).
        value (`float`):
            The number, as it is published; one with a fraction is rounded.
        source (`str`):
            Who says so.
        varies_with (`tuple[str, ...]`, *optional*):
            Options of the builder that change it.
        at_least (`bool`, *optional*, defaults to `False`):
            Whether a copy may have more.
    """

    quantity: str
    value: float
    source: str
    varies_with: tuple[str, ...] = ()
    at_least: bool = False

    def agrees(self, found: float) -> bool:
        """
        Compare it with what a copy has.

        Args:
            found (`float`):
                The number of the copy.

        Returns:
            `bool`: Whether they are equal, to as many decimals as are published, or it has enough.
        """
        if self.at_least:
            return found >= self.value
        decimals = len(str(self.value).partition(".")[2])
        return round(found, decimals) == self.value


Facts = tuple[Fact, ...]


def facts(source: str, varies_with: tuple[str, ...] = (), **values: float) -> Facts:
    """
    Write down several numbers of one source.

    Args:
        source (`str`):
            Who says so.
        varies_with (`tuple[str, ...]`, *optional*):
            Options of the builder that change them.
        **values (`float`):
            The numbers by quantity.

    Returns:
        `tuple[Fact, ...]`
    """
    return tuple(Fact(quantity, value, source, varies_with) for quantity, value in values.items())


_PACKAGE = "this package, default options"
_OLTR_LISTS = "published lists (OLTR)"
_CMLTNET, _VL_LTR = "CMLTNet paper, section 4.1", "VL-LTR paper, section 4.1"
_MLT_LISTS = "published lists (CPRFL, DB loss)"
_LITERATURE = "literature on long-tailed recognition"
_ALL_EMOJI_OPTIONS = ("styles", "seed")
_CIFAR_OPTIONS = ("imbalance_ratio", "profile")

ACTIVITYNET_CAPTIONS = (
    *facts("official files", ("level", "missing_features"), train=10_009),
    # The videos of val_1.json (4,917) and val_2.json (4,885) together; how many are in both is not published.
    Fact("test", 4_917, "official files (val_1.json)", ("level", "missing_features"), at_least=True),
    *facts("ActivityNet, release 1.3", classes=200),
)
CIFAR100_LT = (
    *facts("CIFAR-100's home page", test=10_000, classes=100, words=20),
    *facts(_PACKAGE, _CIFAR_OPTIONS, train=10_847, head=35, medium=35, tail=30, imbalance_ratio=100),
)
COCO_LT = (
    *facts("CPRFL paper, section 4.1", train=1_909, test=5_000, classes=80, head=22, medium=33, tail=25),
    *facts(_MLT_LISTS, imbalance_ratio=188, labels_per_image=4.36),
)
EMOJI_LT = (
    *facts(_PACKAGE, _ALL_EMOJI_OPTIONS, train=2_638, validation=400, test=758),
    *facts(_PACKAGE, classes=99),
    *facts(_PACKAGE, _ALL_EMOJI_OPTIONS, head=2, medium=42, tail=55, imbalance_ratio=180, words=2_128),
)
EMOJI_LT_MULTILABEL = (
    *facts(_PACKAGE, _ALL_EMOJI_OPTIONS, train=1_832, validation=316, test=526),
    *facts(_PACKAGE, classes=99),
    *facts(_PACKAGE, _ALL_EMOJI_OPTIONS, head=4, medium=24, tail=71, imbalance_ratio=95, words=1_296),
)
IMAGENET_LT = (
    *facts(_LITERATURE, train=115_846, head=385, medium=479, tail=136),
    *facts(_OLTR_LISTS, validation=20_000, test=50_000, classes=1_000),
    *facts(_VL_LTR, imbalance_ratio=256),
)
INATURALIST_2018 = (
    *facts("official files", train=437_513, test=24_426, classes=8_142),
    *facts(_VL_LTR, imbalance_ratio=500),
)
MSR_VTT = (
    *facts("official files", ("validation_in_train", "missing_features"), train=6_513, validation=497),
    *facts("official files", ("missing_features",), test=2_990),
    *facts("official files", classes=20),
)
NUS_WIDE = (
    *facts(_CMLTNET, ("missing_images",), train=121_962, test=81_636),
    *facts(_CMLTNET, classes=81),
    *facts(_CMLTNET, ("missing_images",), imbalance_ratio=1083.62, test_imbalance_ratio=1465.7),
    *facts(_CMLTNET, ("missing_images", "drop_concept_tags"), words=1_000),
)
PLACES_LT = facts(
    _OLTR_LISTS,
    train=62_500,
    validation=7_300,
    test=36_500,
    classes=365,
    head=131,
    medium=163,
    tail=71,
    imbalance_ratio=996,
)
VIREOFOOD_172 = (
    *facts(_CMLTNET, ("missing_images",), train=66_071, test=33_154),
    *facts("official files", ("missing_images",), validation=11_016),
    *facts(_CMLTNET, classes=172, words=353),
    *facts(_CMLTNET, ("missing_images",), imbalance_ratio=5.57, test_imbalance_ratio=5.5),
)
VOC_LT = (
    *facts("CPRFL paper, section 4.1", train=1_142, test=4_952, classes=20),
    *facts("CPRFL paper, section 4.1", ("difficult",), head=6, medium=6, tail=8),
    *facts(_MLT_LISTS, ("difficult",), imbalance_ratio=193.75, labels_per_image=2.05),
)

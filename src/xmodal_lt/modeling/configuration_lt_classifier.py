"""Configuration of the plain image classifier."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_long_tail import LongTailConfig


@strict
class ImageClassifierConfig(LongTailConfig):
    r"""Configuration of [`ImageClassifier`]: a backbone and a head, the visual baseline.

    Besides the arguments of [`LongTailConfig`]:

    Args:
        dropout (`float`, *optional*, defaults to 0.0): dropout on the features, in [0, 1).
        head (`str`, *optional*, defaults to `"linear"`):
            `"linear"`; `"cosine"`, the normalised classifier that LDAM needs; or `"nearest_mean"`, the distance to
            class means, which are fitted and not trained (NCM).
        cosine_scale (`float`, *optional*, defaults to 30.0): factor of the cosines of a `"cosine"` head, above 0.
        class_scales (`bool`, *optional*, defaults to `False`):
            Whether the logit of each class has a factor, which the stage `lws` trains (learnable weight scaling).

    Example:

    ```python
    >>> from xmodal_lt import ImageClassifier, ImageClassifierConfig
    >>> model = ImageClassifier(ImageClassifierConfig(backbone="resnet18", num_labels=10))
    ```
    """

    model_type = "lt_classifier"
    keys_to_ignore_at_inference = ["loss_parts"]

    dropout: int | float = 0.0
    head: Literal["linear", "cosine", "nearest_mean"] = "linear"
    cosine_scale: int | float = 30.0
    class_scales: bool = False

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.cosine_scale <= 0:
            raise ValueError(f"`cosine_scale` must be above 0, got {self.cosine_scale}; 30 is usual.")


__all__ = ["ImageClassifierConfig"]

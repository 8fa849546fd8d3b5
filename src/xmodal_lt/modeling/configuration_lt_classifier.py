"""Configuration of the plain image classifier."""

from huggingface_hub.dataclasses import strict

from .configuration_long_tail import LongTailConfig


@strict
class ImageClassifierConfig(LongTailConfig):
    r"""Configuration of [`ImageClassifier`]: a backbone and a linear head, the visual baseline.

    Besides the arguments of [`LongTailConfig`]:

    Args:
        dropout (`float`, *optional*, defaults to 0.0): dropout on the features, in [0, 1).

    Example:

    ```python
    >>> from xmodal_lt import ImageClassifier, ImageClassifierConfig
    >>> model = ImageClassifier(ImageClassifierConfig(backbone="resnet18", num_labels=10))
    ```
    """

    model_type = "lt_classifier"
    keys_to_ignore_at_inference = ["loss_parts"]

    dropout: int | float = 0.0


__all__ = ["ImageClassifierConfig"]

"""Configuration of CPRFL."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict

from .class_semantics import class_prompts, semantics_size, split_semantics
from .configuration_long_tail import LongTailConfig
from .text_encoder import DEFAULT_TEMPLATES, resolve_text_config
from .vision_encoder import FEATURES_PREFIX


_RANDOM_SIZE = 300  # of random semantics: that of the word vectors which the paper compares them with
_RELEASED_HEAD_SIZE = 512


@strict
class CPRFLConfig(LongTailConfig):
    r"""Configuration of CPRFL.

    Besides the arguments of [`LongTailConfig`], whose `problem_type` is `"multi_label_classification"` here, and whose
    `classification_loss` is then `"asymmetric"`, unless they are given:

    Args:
        semantics (`str`, *optional*, defaults to `"random"`):
            What is known of the classes from their names, W: `"random"`; word vectors, `"glove"` (of the pip package),
            `"glove:<text file>"` or `"word2vec:<file>"`; sentence embeddings, `"sentence"` (MiniLM, of the pip
            package) or `"sentence:<model id or folder>"`, times the root of their width; or CLIP's text embeddings,
            `"clip:<model id or folder>"`. A new model has random ones until its `load_class_semantics` is called, as
            runs of recipes do.
        semantic_size (`int`, *optional*): m, width of W; that of `semantics` when absent, of random ones 300.
        templates (`list[str]`, *optional*):
            Sentences with `{}` for the class name, for sentence embeddings and CLIP, whose mean counts; `"a photo of a
            {}."` when absent, as in the released code. The paper writes it without the full stop.
        clip_text (`str`, *optional*, defaults to `"cached"`):
            What becomes of CLIP's text encoder: `"cached"` uses it once and leaves it out of the model; `"frozen"`
            keeps it in the model as it is; `"trained"` trains it with the rest, as the released code does. The paper
            calls it pretrained. A checkpoint for prediction holds its output alone.
        clip_text_config (`dict`, *optional*):
            CLIP's config of that encoder; read from the model of `semantics` when absent, and saved from then on.
        prompt_network (`str`, *optional*, defaults to `"mlp"`):
            What makes prompts P of W: `"mlp"` (PI, eq. 2), `"linear"` (one layer, with which section 3.2 compares it)
            or `"none"`: P are free parameters and W is not used, [ours] for "VSI" without "PI" in table 3.
        hidden_size (`int`, *optional*, defaults to 2048): d, width of prompts and image tokens.
        expansion (`float`, *optional*, defaults to 0.5): tau, width inside the PI network in units of d.
        num_heads (`int`, *optional*, defaults to 8): attention heads of the VSI network.
        head_size (`int`, *optional*):
            Width of each head; when absent 512 for `variant="code"`, as released, and d / `num_heads` for `"paper"`.
        mlp_size (`int`, *optional*): width inside the MLP of the VSI network, t; d when absent, as released.
        dropout (`float`, *optional*, defaults to 0.1): in the PI and VSI networks, in [0, 1).
        residual (`bool`, *optional*, defaults to `False`):
            Whether the VSI network adds the inputs of attention and MLP to their outputs, as transformers do and
            neither paper nor code does.
        variant (`str`, *optional*, defaults to `"code"`):
            `"code"`: the VSI network normalises its inputs (layer norm), projects the heads' outputs and scales scores
            by the width of a head, and the loss is a mean over samples and classes. `"paper"`: eq. 3 to 5, without
            norms and projection, scaled by d; and the sum of eq. 7, which makes gradients larger: the learning rate of
            SGD, clipping and weight decay depend on it. (Over several processes gradients are averaged.)
        detach_path (`str`, *optional*):
            A path of the gradient to the prompts that is cut, for ablation (section 3.4, figure 2): `"interaction"`,
            through the VSI network; `"direct"`, from the class scores; both count when absent.

    Source: Yan et al. 2024, "Category-prompt refined feature learning for long-tailed multi-label image
    classification".

    Example:

    ```python
    >>> from xmodal_lt import CPRFLConfig, CPRFLForImageClassification
    >>> config = CPRFLConfig(backbone="resnet18", num_labels=10, hidden_size=64, head_size=16)
    >>> model = CPRFLForImageClassification(config)
    >>> config.semantic_size, config.mlp_size
    (300, 64)
    ```
    """

    model_type = "cprfl"
    keys_to_ignore_at_inference = ["loss_parts"]
    fixed_by_checkpoint: ClassVar[tuple[str, ...]] = ("semantics", "templates", "clip_text")

    problem_type: Literal["single_label_classification", "multi_label_classification"] | None = (
        "multi_label_classification"
    )
    semantics: str = "random"
    semantic_size: int | None = None
    templates: list[str] | None = None
    clip_text: Literal["cached", "frozen", "trained"] = "cached"
    clip_text_config: dict[str, Any] | None = None
    prompt_network: Literal["mlp", "linear", "none"] = "mlp"
    hidden_size: int = 2048
    expansion: int | float = 0.5
    num_heads: int = 8
    head_size: int | None = None
    mlp_size: int | None = None
    dropout: int | float = 0.1
    residual: bool = False
    variant: Literal["code", "paper"] = "code"
    detach_path: Literal["interaction", "direct"] | None = None

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.classification_loss is None and self.problem_type == "multi_label_classification":
            self.classification_loss = "asymmetric"
        if self.backbone.startswith(FEATURES_PREFIX):
            raise ValueError(
                f"CPRFL reads local features of images, and {self.backbone!r} encodes videos; set a timm name or "
                "'hf:<model id>' as the backbone."
            )
        self._complete_interaction()
        self._complete_semantics()

    def _complete_interaction(self) -> None:
        for name in ("hidden_size", "num_heads", "head_size", "mlp_size", "semantic_size"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name}={size} must be at least 1.")
        if self.prompt_hidden_size < 1:
            raise ValueError(
                f"expansion={self.expansion} times hidden_size={self.hidden_size} must make a width of at least 1."
            )
        released = self.variant == "code"
        if self.head_size is None:
            self.head_size = _RELEASED_HEAD_SIZE if released else max(1, self.hidden_size // self.num_heads)
        self.mlp_size = self.hidden_size if self.mlp_size is None else self.mlp_size
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 and below 1.")
        if not released and self.num_heads * self.head_size != self.hidden_size:
            raise ValueError(
                f"variant='paper' has no projection behind the heads, so num_heads={self.num_heads} times "
                f"head_size={self.head_size} must be hidden_size={self.hidden_size}; leave head_size out, and choose "
                "num_heads that divides hidden_size."
            )

    def _complete_semantics(self) -> None:
        kind, source = split_semantics(self.semantics)
        if kind != "clip" and self.clip_text != "cached":
            raise ValueError(
                f"clip_text={self.clip_text!r} is for CLIP's text encoder, semantics='clip:...', not for "
                f"{self.semantics!r}; set clip_text='cached'."
            )
        if kind not in ("sentence", "clip") and self.templates is not None:
            raise ValueError(f"semantics={self.semantics!r} read words and no sentences; leave `templates` out.")
        class_prompts([""], self.prompt_templates)  # checks the templates
        if self.prompt_network == "none" and self.clip_text != "cached":
            raise ValueError(
                f"prompt_network='none' reads no semantics; set clip_text='cached', not {self.clip_text!r}."
            )
        if self.clip_text == "cached":
            self.clip_text_config = None
        elif self.clip_text_config is None:
            self.clip_text_config = resolve_text_config(str(source))
        self._complete_semantic_size()

    def _complete_semantic_size(self) -> None:
        if self.clip_text_config is not None:
            known = self.clip_text_config["projection_dim"]
            if self.semantic_size not in (None, known):
                raise ValueError(
                    f"semantics={self.semantics!r} are {known} wide, and the model's "
                    f"semantic_size={self.semantic_size}; leave semantic_size out."
                )
            self.semantic_size = known
        elif self.semantic_size is None:
            of_source = None if self.prompt_network == "none" else semantics_size(self.semantics)
            self.semantic_size = of_source or _RANDOM_SIZE

    @property
    def prompt_hidden_size(self) -> int:
        """t: width inside the PI network."""
        return round(self.expansion * self.hidden_size)

    @property
    def prompt_templates(self) -> list[str]:
        """The sentences that stand for a class."""
        return list(DEFAULT_TEMPLATES if self.templates is None else self.templates)


__all__ = ["CPRFLConfig"]

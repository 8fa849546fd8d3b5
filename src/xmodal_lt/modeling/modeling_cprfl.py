"""CPRFL: class prompts refined by their interaction with the local features of images.

Symbols of the paper: F `local_features`, W `class_semantics`, P `prompts`, P' `category_embeds`, s (here before its
sigmoid) `logits`; phi `projection`, PI `prompts.network`, VSI `interaction`.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from transformers.utils import ModelOutput, can_return_tuple, logging

from .category_prompts import CategoryPrompts
from .class_semantics import class_prompts, encode_classes, split_semantics
from .configuration_cprfl import CPRFLConfig
from .loss_tools import widen
from .modeling_long_tail import LongTailPreTrainedModel, build_vision_encoder
from .stages import Stage
from .visual_semantic_interaction import VisualSemanticInteraction


logger = logging.get_logger(__name__)


@dataclass
class CPRFLModelOutput(ModelOutput):
    """Features of CPRFL.

    Args:
        pooler_output (`Tensor` of shape `[B, C, d]`): the embeddings that are classified: `category_embeds`.
        local_features (`Tensor` of shape `[B, v, d]`): F, one for each place of an image (eq. 1).
        prompts (`Tensor` of shape `[C, d]`): P (eq. 2).
        category_embeds (`Tensor` of shape `[B, C, d]`): P', what an image holds of each class (eq. 5).
    """

    pooler_output: Tensor | None = None
    local_features: Tensor | None = None
    prompts: Tensor | None = None
    category_embeds: Tensor | None = None


@dataclass
class CPRFLClassifierOutput(ModelOutput):
    """Output of [`CPRFLForImageClassification`].

    Args:
        loss (`Tensor`, *optional*): the classification loss, when labels were given.
        logits (`Tensor` of shape `[B, C]`): p'_c . p_c for each class c.
        loss_parts (`dict[str, Tensor]`, *optional*): the loss by name.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    loss_parts: dict[str, Tensor] | None = None


class CPRFLPreTrainedModel(LongTailPreTrainedModel):
    config: CPRFLConfig
    base_model_prefix = "cprfl"

    def _init_weights(self, module):
        if isinstance(module, CategoryPrompts):
            module.reset_parameters()
        else:
            super()._init_weights(module)

    def load_class_semantics(self) -> None:
        """Fills W from the names of the classes in `config.id2label`, in place, as `config.semantics` says.

        Random semantics stay as they are.

        Raises:
            ValueError: when a source cannot be read, or knows none of the words of a class.
            ImportError, OSError: when a package or model is not to be had.
        """
        config, prompts = self.config, self.base_model.prompts
        kind, source = split_semantics(config.semantics)
        if kind == "random" or not prompts.has_semantics:
            return
        names = [config.id2label[index] for index in range(config.num_labels)]
        if all(name.removeprefix("LABEL_").isdecimal() for name in names):
            logger.warning(f"The classes are called {names[:3]}, ...; name them in words for semantics={kind!r}.")
        if prompts.text_encoder is not None:
            prompts.text_encoder.load_pretrained(source)
            prompts.text_encoder.set_prompts(source, class_prompts(names, config.prompt_templates))
            prompts.update_semantics()
        else:
            templates = config.prompt_templates if kind in ("sentence", "clip") else None
            semantics = encode_classes(names, config.semantics, templates)
            if semantics.shape != prompts.class_semantics.shape:
                raise ValueError(
                    f"semantics={config.semantics!r} are {semantics.shape[1]} wide, and the model's "
                    f"semantic_size={config.semantic_size}; leave semantic_size out."
                )
            # Sentence encoders give unit vectors. Word vectors and CLIP's embeddings are about this much longer, and
            # so large enough beside the biases of the network that they meet.
            prompts.class_semantics.copy_(semantics * semantics.shape[1] ** 0.5 if kind == "sentence" else semantics)

    def try_images(self, images: Tensor) -> None:
        self.base_model.vision_encoder.local_features(images)

    def inference_config(self) -> CPRFLConfig:
        config = super().inference_config()
        config.clip_text, config.clip_text_config = "cached", None
        return config


class CPRFLModel(CPRFLPreTrainedModel):
    """CPRFL without the scores of its classes: prompts, and what images hold of each class."""

    def __init__(self, config: CPRFLConfig):
        super().__init__(config)
        assert config.semantic_size and config.head_size and config.mlp_size  # completed by the config
        self.vision_encoder = build_vision_encoder(config)
        self.projection = nn.Linear(self.vision_encoder.local_size, config.hidden_size)
        self.prompts = CategoryPrompts(
            config.num_labels,
            config.semantic_size,
            config.hidden_size,
            config.prompt_hidden_size,
            config.dropout,
            config.prompt_network,
            None if config.clip_text == "cached" else config.clip_text_config,
            len(config.prompt_templates),
            trains_text=config.clip_text == "trained",
        )
        self.interaction = VisualSemanticInteraction(
            config.hidden_size,
            config.num_heads,
            config.head_size,
            config.mlp_size,
            config.dropout,
            config.residual,
            config.variant,
        )
        self.post_init()

    @can_return_tuple
    def forward(self, pixel_values: Tensor) -> CPRFLModelOutput:
        """Computes what images hold of each class.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`): images.

        Returns:
            [`CPRFLModelOutput`].
        """
        local_features = self.projection(self.vision_encoder.local_features(pixel_values.to(self.dtype)))
        prompts = self.prompts()
        asked = prompts.detach() if self.config.detach_path == "interaction" else prompts
        category_embeds = self.interaction(local_features, asked)
        return CPRFLModelOutput(
            pooler_output=category_embeds,
            local_features=local_features,
            prompts=prompts,
            category_embeds=category_embeds,
        )


class CPRFLForImageClassification(CPRFLPreTrainedModel):
    """CPRFL: the score of a class is the product of its prompt with what the image holds of it (eq. 6).

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import CPRFLConfig, CPRFLForImageClassification
    >>> config = CPRFLConfig(backbone="test_resnet", num_labels=3, hidden_size=16, head_size=4)
    >>> model = CPRFLForImageClassification(config).eval()
    >>> model(pixel_values=torch.zeros(2, 3, 64, 64)).logits.shape
    torch.Size([2, 3])
    ```
    """

    def __init__(self, config: CPRFLConfig):
        super().__init__(config)
        self.cprfl = CPRFLModel(config)
        self.post_init()

    @property
    def stages(self) -> dict[str, Stage]:
        """`joint` trains everything, the text encoder with `config.clip_text="trained"`."""
        modules = ["vision_encoder", "projection", "prompts.network", "interaction"]
        if self.config.clip_text == "trained":
            modules.append("prompts.text_encoder")
        return {"joint": Stage("joint", tuple(f"cprfl.{module}" for module in modules), {"classification": 1.0})}

    @can_return_tuple
    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> CPRFLClassifierOutput:
        """Classifies images.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`): images.
            labels (`Tensor`, *optional*): 0/1 targets `[B, C]`, or class ids `[B]` for single-label problems.

        Returns:
            [`CPRFLClassifierOutput`].

        Raises:
            ValueError: for labels of another shape.
        """
        outputs = self.cprfl(pixel_values, return_dict=True)
        classifier = outputs.prompts.detach() if self.config.detach_path == "direct" else outputs.prompts
        # In float32 at least: a sum of thousands of products leaves the range of float16, and the bits of bfloat16.
        logits = (widen(outputs.category_embeds) * widen(classifier)).sum(dim=-1).to(self.dtype)
        loss = loss_parts = None
        if labels is not None:
            self.check_labels(labels)
            classification = self.classification_loss()(logits, labels)
            # The sum of eq. 7 is the mean times as many terms; losses by name are means.
            terms = labels.numel() if self.config.variant == "paper" else 1
            loss_parts = {"classification": terms * classification}
            loss = self.weighted_loss(loss_parts, self.stages["joint"].loss_weights)
        return CPRFLClassifierOutput(loss=loss, logits=logits, loss_parts=loss_parts)


__all__ = ["CPRFLForImageClassification", "CPRFLModel", "CPRFLPreTrainedModel"]

"""Backbones behind one interface: any timm model by name, any transformers vision model as `hf:<model id>`, and
encoders of pre-extracted video features as `features:<kind>`."""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.layers.helpers import to_2tuple
from timm.models import reparameterize_model
from torch import Tensor, nn
from transformers import PreTrainedConfig

from .feature_encoder import build_feature_encoder, check_sequences


HF_PREFIX = "hf:"
FEATURES_PREFIX = "features:"
_WITH_MAPS = "choose a backbone such as resnet50, a ViT or a Swin"
_MERGING = (
    "fuse",
    "reparameterize",
    "switch_to_deploy",
)  # methods of timm's modules that `reparameterize_model` calls


def resolve_backbone_config(backbone: str) -> dict[str, Any] | None:
    """The transformers config of an `hf:` backbone as a dictionary, or `None` for a timm name.

    Models keep it in their own config, so that a checkpoint is rebuilt without asking the Hub again.

    Args:
        backbone (`str`): a timm name, or `hf:` and a model id or a local folder.
    """
    if not backbone.startswith(HF_PREFIX):
        return None
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(backbone.removeprefix(HF_PREFIX))
    return getattr(config, "vision_config", config).to_dict()


class VisionEncoder(nn.Module):
    """A backbone without its classifier: images or videos to one feature vector each (rho_v in CMLTNet, E_v in CRIF).

    Args:
        backbone (`str`):
            A timm model name such as `"resnet50"`; `"hf:<model id>"`; or, for videos as sequences of pre-extracted
            features, `"features:gru"` or `"features:vilt"`.
        backbone_kwargs (`dict`, *optional*):
            Passed to `timm.create_model`, set on the transformers config, or passed to the feature encoder.
        backbone_config (`dict`, *optional*): the transformers config of an `hf:` backbone.
        reparameterized (`bool`, *optional*, defaults to `False`):
            Whether a timm backbone is built as [`VisionEncoder.reparameterize`] leaves it.

    Raises:
        ValueError: when timm has no such model, when an `hf:` backbone comes without its config, or for a feature
            encoder that does not exist or lacks an argument.

    Weights are random; see `load_pretrained_backbone` of the models.
    """

    def __init__(
        self,
        backbone: str,
        backbone_kwargs: dict[str, Any] | None = None,
        backbone_config: dict[str, Any] | None = None,
        reparameterized: bool = False,
    ):
        super().__init__()
        kwargs = backbone_kwargs or {}
        self.takes_features = backbone.startswith(FEATURES_PREFIX)
        self.is_timm = not backbone.startswith(HF_PREFIX) and not self.takes_features
        self._img_size = kwargs.get("img_size")
        self.model: Any
        if self.takes_features:
            self.model = build_feature_encoder(backbone.removeprefix(FEATURES_PREFIX), kwargs)
            self.hidden_size = self.local_size = self.model.hidden_size
        elif self.is_timm:
            self.model = _create_timm_model(backbone, kwargs)
            self.local_size = int(self.model.num_features)  # which heads of some models widen
            self.hidden_size = int(getattr(self.model, "head_hidden_size", None) or self.local_size)
        else:
            self.model, self.hidden_size = _create_transformers_model(backbone, backbone_config, kwargs)
            self.local_size = self.hidden_size
        self.reparameterized = False
        if reparameterized:
            self.reparameterize()

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pooled features F_v, `[B, hidden_size]`.

        Args:
            inputs (`Tensor`): images `[B, 3, H, W]`, or videos as features `[B, T, D]`.
            mask (`Tensor`, *optional*): 1 for steps of a video and 0 for padding, `[B, T]`; all ones when absent.

        Raises:
            ValueError: for videos of another shape or width than the encoder was built for.
        """
        if self.takes_features:
            return self.model(inputs, check_sequences(inputs, mask, self.model.input_size, "features"))
        if self.is_timm:
            # timm pools, but for encoders that it holds for vision-language models.
            features = self.model(inputs)
            return features if features.ndim == 2 else _mean_over_positions(features)
        return _pool(self.model(pixel_values=inputs))

    def local_features(self, images: Tensor) -> Tensor:
        """Features of each place of an image, before the pooling, `[B, v, local_size]`; without class tokens.

        Args:
            images (`Tensor`): `[B, 3, H, W]`.

        Raises:
            ValueError: for an encoder of videos, or a backbone that has no single map of features.
        """
        if self.takes_features:
            raise ValueError("Videos as sequences of features have no places; local features are those of images.")
        if self.is_timm:
            features = self.model.forward_features(images)
            skipped = _num_prefix_tokens(self.model)
            channels_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        else:
            features = self.model(pixel_values=images).last_hidden_state
            skipped = _num_class_tokens(features, self.model.config, images.shape[-2:])
            channels_last = False
        if isinstance(features, Tensor) and features.ndim == 4:
            features = features.flatten(1, 2) if channels_last else features.flatten(2).transpose(1, 2)
        elif isinstance(features, Tensor):
            features = features[:, skipped:]
        if not isinstance(features, Tensor) or not features.shape[1] or features.shape[-1] != self.local_size:
            raise ValueError(
                f"{type(self.model).__name__} has no single map of features of its width, {self.local_size}; "
                f"{_WITH_MAPS}."
            )
        return features

    def data_config(self) -> dict[str, Any]:
        """What a timm backbone expects of its images: `input_size`, `interpolation`, `mean`, `std`, `crop_pct`."""
        if not self.is_timm:
            raise ValueError(
                "Only timm backbones carry a data config; load an AutoImageProcessor for an hf: backbone. A features: "
                "backbone takes no images."
            )
        # timm reports the size of the pretrained weights, not the one that this model was built for.
        size = {} if self._img_size is None else {"input_size": (3, *to_2tuple(self._img_size))}
        return resolve_model_data_config(self.model, args=size)

    def can_be_reparameterized(self) -> bool:
        """Whether timm can merge layers of the backbone for prediction: RepVGG, MobileOne, FastViT and others; not
        where they are merged."""
        if self.reparameterized or not self.is_timm:
            return False
        return any(hasattr(module, name) for module in self.model.modules() for name in _MERGING)

    def reparameterize(self) -> None:
        """Merges the branches and norms of such a backbone into single layers, in place, with the same outputs in
        eval mode."""
        if self.can_be_reparameterized():
            reparameterize_model(self.model, inplace=True)
            _keep_initialization(self.model)
            self.reparameterized = True

    def supports_gradient_checkpointing(self) -> bool:
        """Whether the backbone can compute its activations again in the backward pass instead of keeping them."""
        if self.takes_features:
            return False
        if not self.is_timm:
            return self.model.supports_gradient_checkpointing
        try:
            self.model.set_grad_checkpointing(True)
            self.model.set_grad_checkpointing(False)
        except (AttributeError, AssertionError):  # some timm models lack the method, others have it and refuse
            return False
        return True

    def set_gradient_checkpointing(self, enable: bool, *args, **kwargs) -> None:
        """Switches gradient checkpointing of the backbone; further arguments are those of transformers' models."""
        if self.is_timm:
            self.model.set_grad_checkpointing(enable)
        else:
            self.model._set_gradient_checkpointing(enable, *args, **kwargs)


def _create_timm_model(name: str, kwargs: dict[str, Any]) -> Any:
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('.')[0].split('_')[0]}*")[:5]
        hint = f" Close names: {', '.join(close)}." if close else ""
        raise ValueError(
            f"timm {timm.__version__} has no model {name!r}.{hint} See `timm.list_models()`, or write "
            f"'{HF_PREFIX}<model id>' for a transformers model, '{FEATURES_PREFIX}gru' for features of videos."
        )
    try:
        model = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
    except RuntimeError as error:  # an unknown tag after the dot
        raise ValueError(f"{error} Known: {', '.join(timm.list_pretrained(name.split('.')[0])) or 'none'}.") from error
    _keep_initialization(model)
    return model


def _keep_initialization(model: nn.Module) -> None:
    # timm initialised these weights well; transformers' `post_init` must not draw them again. On the meta device
    # (`from_pretrained`) nothing is initialised, and the flag would hide missing weights.
    for module in model.modules():
        if not any(tensor.is_meta for tensor in (*module.parameters(False), *module.buffers(False))):
            setattr(module, "_is_hf_initialized", True)  # noqa: B010 (no attribute of nn.Module)


def _create_transformers_model(
    backbone: str, backbone_config: dict[str, Any] | None, kwargs: dict[str, Any]
) -> tuple[Any, int]:
    if backbone_config is None:
        raise ValueError(f"Backbone {backbone!r} needs `backbone_config`; build it with `resolve_backbone_config`.")
    # Not at the top: importing the Auto classes registers this package's models, which import this module.
    from transformers import AutoConfig, AutoModel

    settings = dict(backbone_config)
    config = AutoConfig.for_model(settings.pop("model_type"), **{**settings, **kwargs})
    width = _transformers_width(config, backbone)
    # In the dtype of the model around it, not the one that the backbone's own checkpoint was saved in.
    return AutoModel.from_config(config, dtype=torch.get_default_dtype()), width


def _transformers_width(config: PreTrainedConfig, backbone: str) -> int:
    for name in ("hidden_sizes", "hidden_size"):
        width = getattr(config, name, None)
        if width is not None:
            return width[-1] if isinstance(width, (list, tuple)) else width
    raise ValueError(f"Backbone {backbone!r} ({config.model_type}) says no hidden size; use a timm model instead.")


def _pool(outputs: Any) -> Tensor:
    """The model's own pooled output, or the mean over its tokens or positions where it has none."""
    pooled = getattr(outputs, "pooler_output", None)
    return _mean_over_positions(outputs.last_hidden_state) if pooled is None else pooled.flatten(1)


def _mean_over_positions(states: Tensor) -> Tensor:
    """Of tokens `[B, L, D]` or a feature map `[B, D, H, W]`, as `[B, D]`."""
    return states.flatten(2).mean(-1) if states.ndim == 4 else states.mean(dim=1)


def _num_prefix_tokens(model: Any) -> int:
    """How many of the tokens of a timm model are no places; some models have a class token and do not count it."""
    counted = getattr(model, "num_prefix_tokens", None)
    if counted is not None:
        return counted
    tokens = (token for name, token in model.named_parameters(recurse=False) if name.startswith("cls_token"))
    return max((token.shape[1] for token in tokens), default=0)


def _num_class_tokens(states: Tensor, config: PreTrainedConfig, size: Sequence[int]) -> int:
    """How many of the states of a transformers model come before those of its patches: class and other tokens."""
    if states.ndim == 4:
        return 0
    patch_size = getattr(config, "patch_size", None)
    if patch_size is None:
        raise ValueError(
            f"A {config.model_type} tells no size of its patches, and so not which of its states are theirs; "
            f"{_WITH_MAPS}."
        )
    height, width = to_2tuple(patch_size)
    patches = (size[0] // height) * (size[1] // width)
    return max(0, states.shape[1] - patches)  # fewer states than patches where the model merges them, as Swin


@torch.no_grad()
def rebuild_non_persistent_buffers(module: Any) -> None:
    """Recomputes the buffers of a timm module that a checkpoint does not hold and the meta device lost.

    Swin and MaxViT hide them behind `init_non_persistent_buffers`, rotary ViTs behind `_get_pos_embed_values`.
    """
    if hasattr(module, "init_non_persistent_buffers"):
        module.init_non_persistent_buffers()
    elif hasattr(module, "_get_pos_embed_values") and getattr(module, "feat_shape", None) is not None:
        old = module.pos_embed
        module.pos_embed = module._get_pos_embed_values(
            feat_shape=module.feat_shape,
            device=old.device if old is not None else None,
            dtype=old.dtype if old is not None else torch.float32,
        )


__all__ = [
    "FEATURES_PREFIX",
    "HF_PREFIX",
    "VisionEncoder",
    "rebuild_non_persistent_buffers",
    "resolve_backbone_config",
]

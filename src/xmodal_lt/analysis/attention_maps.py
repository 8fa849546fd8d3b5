"""Where a model looks for a class: Grad-CAM maps of each of its branches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from .cam_targets import cam_target


__all__ = ["NO_EVIDENCE", "attention_maps", "branch_title", "images_as_seen", "overlay", "plot_attention_maps"]

NO_EVIDENCE = "no evidence"  # what stands with a map that is all 0
_OWN = "logits"  # the branch of models that have no others
_TITLES = {"aligned": "visual", "inferred": "cross-modal", _OWN: "model"}  # what CMLTNet's figure 5 calls them
_OPACITY = 0.5
_CELL, _TITLE_HEIGHT, _NAME_WIDTH = 1.6, 0.4, 1.4  # inches


def attention_maps(model: Any, pixel_values: Tensor, classes: Sequence[int] | None = None) -> dict[str, np.ndarray]:
    """
    Map which places of images speak for a class, by Grad-CAM in each branch of a model.

    The layer that is looked at is that of [`cam_target`]. CMLTNet infers its words by a choice of the k best, which
    has no gradient; here each chosen word counts by its logit (a straight-through gradient), so that the maps of the
    inferred and the fused branch show where the words are seen that speak for the class.

    Args:
        model (`LongTailPreTrainedModel`):
            A classifier of images. Its weights, modes and gradients are left as they are.
        pixel_values (`Tensor`):
            What its image processor makes of images, `[B, 3, H, W]`.
        classes (`Sequence[int]`, *optional*):
            A class for each image; the best of the model's own when absent.

    Returns:
        `dict[str, np.ndarray]`: By branch, `aligned`, `inferred` and `fused`, or `visual` and `text` of VL-LTR, maps
        of shape [B, H, W], each from 0 to 1, or all 0 where no place speaks for the class more than others. Of models
        without branches, `logits`.

    Raises:
        ImportError: If the package grad-cam is not installed.
        ValueError: If the model takes videos, if its backbone has no map of features, or if the classes are not one
            for each image.

    Source:
        CMLTNet, section 4.6.2 and figure 5.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import ImageClassifier, ImageClassifierConfig
    >>> from xmodal_lt.analysis.attention_maps import attention_maps

    >>> model = ImageClassifier(ImageClassifierConfig(backbone="test_resnet", num_labels=3)).eval()
    >>> maps = attention_maps(model, torch.rand(2, 3, 64, 64), classes=[0, 2])  # doctest: +SKIP
    >>> maps["logits"].shape  # doctest: +SKIP
    (2, 64, 64)
    ```
    """
    from xmodal_lt.training.eval_mode import in_eval_mode

    grad_cam, class_target = _grad_cam()
    pixel_values = pixel_values.detach().to(model.device, model.dtype)
    with in_eval_mode(model):
        target = cam_target(model.get_vision_encoder(), pixel_values)
        targets = [class_target(index) for index in _class_ids(model, pixel_values, classes)]
        maps = {}
        with _gradients_of_inputs_alone(model), _gradients_through_words(model):
            for name in getattr(model, "branches", ()) or (_OWN,):
                cam = grad_cam(_Branch(model, name), [target.layer], target.as_map)
                try:
                    maps[name] = cam(pixel_values.clone().requires_grad_(), targets)
                finally:
                    cam.activations_and_grads.release()
    return maps


class _Branch(nn.Module):
    """A model whose output is the logits of one branch."""

    def __init__(self, model: Any, name: str):
        super().__init__()
        self.model, self.output = model, name if name == _OWN else f"{name}_logits"

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values, return_dict=True)[self.output]


def _grad_cam() -> tuple[Any, Any]:
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise ImportError('Attention maps need grad-cam. Run `pip install "xmodal-lt[figures]"`') from error
    return GradCAM, ClassifierOutputTarget


@torch.no_grad()
def _class_ids(model: Any, pixel_values: Tensor, classes: Sequence[int] | None) -> list[int]:
    if classes is None:
        return model(pixel_values=pixel_values, return_dict=True).logits.argmax(dim=-1).tolist()
    num_labels = model.config.num_labels
    if len(classes) != len(pixel_values) or not all(0 <= index < num_labels for index in classes):
        raise ValueError(
            f"expected a class from 0 to {num_labels - 1} for each of {len(pixel_values)} images; got {list(classes)}"
        )
    return list(classes)


@contextmanager
def _gradients_of_inputs_alone(model: nn.Module) -> Iterator[None]:
    """No parameter gathers a gradient, nor loses the one that it has, which `zero_grad` of grad-cam would clear."""
    before = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    # cuDNN has no gradient of recurrent layers in eval mode.
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    try:
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not recurrent):
            yield
    finally:
        for parameter, requires_grad, grad in before:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad


@contextmanager
def _gradients_through_words(model: Any) -> Iterator[None]:
    """The embedding of each word that CMLTNet chooses is as it was, and has the gradient of itself times the logit."""
    with ExitStack() as stack:
        if model.config.model_type == "cmltnet":
            logits: list[Tensor] = []

            def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
                logits[:] = [output]

            def through(module: nn.Module, inputs: tuple[Tensor, ...], embeddings: Tensor) -> Tensor:
                chosen = logits[0].gather(-1, inputs[0])
                return embeddings * (1 + chosen - chosen.detach()).unsqueeze(-1)

            for module, hook in ((model.base_model.word_predictor, keep), (model.base_model.word_embedding, through)):
                stack.callback(module.register_forward_hook(hook).remove)
        yield


def branch_title(name: str) -> str:
    """What figures call a branch: those of CMLTNet and CRIF as CMLTNet's figure 5 does."""
    return _TITLES.get(name, name)


def images_as_seen(pixel_values: Tensor, image_processor: Any) -> list[Image.Image]:
    """
    Turn a model's input back into pictures: what is left after resizing and cropping, on which the maps lie.

    Args:
        pixel_values (`Tensor`):
            Of shape `[B, 3, H, W]`.
        image_processor (`BaseImageProcessor`):
            What made them.

    Returns:
        `list[PIL.Image.Image]`: B pictures of W x H pixels.
    """
    pixels = pixel_values.detach().cpu().float()
    if getattr(image_processor, "do_normalize", True):
        mean, std = (
            torch.tensor(getattr(image_processor, f"image_{name}")).view(-1, 1, 1) for name in ("mean", "std")
        )
        pixels = pixels * std + mean
    if getattr(image_processor, "do_rescale", True):
        pixels = pixels / image_processor.rescale_factor
    bytes_of = pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(image) for image in bytes_of]


def overlay(image: Image.Image, attention: npt.ArrayLike) -> Image.Image:
    """
    Lay a map over an image, from blue for 0 to red for 1.

    Args:
        image (`PIL.Image.Image`):
            Of W x H pixels.
        attention (`array_like`):
            Shape [H, W], in 0..1.

    Returns:
        `PIL.Image.Image`: In RGB.

    Raises:
        ValueError: If the map is of another size than the image.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.analysis.attention_maps import overlay

    >>> overlay(Image.new("RGB", (2, 1), "white"), [[0.0, 1.0]]).size
    (2, 1)
    ```
    """
    values = np.asarray(attention, dtype=np.float32)
    if values.shape != (image.height, image.width):
        raise ValueError(
            f"the map has shape {values.shape}, and the image {image.height} rows of {image.width} pixels"
        )
    heat = matplotlib.colormaps["jet"](values, bytes=True)[..., :3]
    return Image.blend(image.convert("RGB"), Image.fromarray(heat), _OPACITY)


def plot_attention_maps(
    images: Sequence[Image.Image],
    maps: Mapping[str, npt.ArrayLike],
    names: Sequence[str],
    *,
    title: str | None = None,
) -> Figure:
    """
    Draw images, and beside each what every branch attends to; "no evidence" stands under a map that is all 0.

    Args:
        images (`Sequence[PIL.Image.Image]`):
            As the model sees them, see [`images_as_seen`].
        maps (`Mapping[str, array_like]`):
            By branch, maps of shape [N, H, W], see [`attention_maps`].
        names (`Sequence[str]`):
            What stands before each image, such as its class.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If there is no image or no branch, or if images, maps and names are not equally many.

    Source:
        CMLTNet, figure 5.

    Example:

    ```python
    >>> import numpy as np
    >>> from PIL import Image
    >>> from xmodal_lt.analysis.attention_maps import plot_attention_maps

    >>> maps = {branch: np.random.rand(1, 32, 32) for branch in ("aligned", "inferred", "fused")}
    >>> fig = plot_attention_maps([Image.new("RGB", (32, 32))], maps, ["heron (tail)"])
    ```
    """
    sizes = {branch: len(np.asarray(of_branch)) for branch, of_branch in maps.items()}
    if not images or not maps or {len(images), len(names), *sizes.values()} != {len(images)}:
        raise ValueError(
            f"expected images and as many names and maps of each branch; got {len(images)} images, {len(names)} names "
            f"and maps of {sizes}"
        )
    columns = ["image", *map(branch_title, maps)]
    size = (_NAME_WIDTH + len(columns) * _CELL, _TITLE_HEIGHT + len(images) * _CELL)
    fig = Figure(figsize=size, dpi=120, layout="constrained")
    axes = fig.subplots(len(images), len(columns), squeeze=False)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(column, fontsize=10)
    for index, (row, image, name) in enumerate(zip(axes, images, names, strict=True)):
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, wrap=True, parse_math=False)
        own_maps = [np.asarray(of_branch)[index] for of_branch in maps.values()]
        for ax, own_map in zip(row[1:], own_maps, strict=True):
            if not own_map.any():
                ax.set_xlabel(NO_EVIDENCE, fontsize=9)
        shown = [image, *(overlay(image, own_map) for own_map in own_maps)]
        for ax, picture in zip(row, shown, strict=True):
            ax.imshow(picture)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    if title:
        fig.suptitle(title, parse_math=False)
    return fig

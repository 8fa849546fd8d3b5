"""Backbone features of a whole data set, computed once for the stages that freeze the vision encoder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.vision_encoder import VisionEncoder

from .eval_mode import in_eval_mode
from .failures import reporting_failed_writes
from .streamed_data import StreamedData
from .training_data import TrainingData


_INPUTS = ("pixel_values", "features", "feature_mask")  # of encoders, in the order of their arguments


def cached_features(
    model: LongTailPreTrainedModel,
    data: TrainingData | StreamedData,
    collator: Any,
    directory: str | Path,
    data_key: str,
    views: int = 0,
    batch_size: int = 64,
    num_workers: int = 0,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """The features F_v of every row of `data`, from the cache or computed into it.

    Args:
        model (`LongTailPreTrainedModel`): its vision encoder is used, in eval mode.
        data (`TrainingData` or `StreamedData`): with its augmentation, if views of it are wanted.
        collator (`Callable`): makes `pixel_values`, or `features` and `feature_mask` of videos, from samples.
        directory (`str` or `Path`): where the cache lives; made when absent.
        data_key (`str`): names the data and its image settings; part of the file's name with the encoder's weights.
        views (`int`, *optional*, defaults to 0):
            Number of augmented views: those that epochs 0 to `views - 1` would see. 0 stands for one plain view.
        batch_size (`int`, *optional*, defaults to 64): images encoded at a time.
        num_workers (`int`, *optional*, defaults to 0): of the data loader.
        device (`torch.device` or `str`, *optional*, defaults to `"cpu"`): where to encode.

    Returns:
        `np.ndarray`: memory-mapped float32 `[max(views, 1), N, D]`. Written by the first process of each machine,
        in a temporary file that is renamed when whole.

    Raises:
        CheckpointError: when the cache cannot be written.
    """
    encoder = model.get_vision_encoder()
    path = Path(directory) / f"{_encoder_key(encoder)}-{data_key}-{views}.npy"
    with PartialState().local_main_process_first():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            loader = _ordered_loader(data, batch_size, collator, num_workers)
            _write_features(encoder, data, loader, path, max(views, 1), device)
    return np.load(path, mmap_mode="r")


def _ordered_loader(data: TrainingData | StreamedData, batch_size: int, collator: Any, num_workers: int) -> DataLoader:
    """Batches of all rows in their order, in which several workers would not read a stream."""
    if isinstance(data, StreamedData):
        share = data.in_order().share(batch_size)
        return DataLoader(share, batch_size, collate_fn=collator, num_workers=min(num_workers, 1))
    return DataLoader(data, batch_size, collate_fn=collator, num_workers=num_workers)


@torch.inference_mode()
def _write_features(
    encoder: VisionEncoder,
    data: TrainingData | StreamedData,
    loader: DataLoader,
    path: Path,
    views: int,
    device: torch.device | str,
) -> None:
    encoder.to(device)
    header = {"descr": "<f4", "fortran_order": False, "shape": (views, len(data), encoder.hidden_size)}
    # Written in order and not through a memory map, where a full disk would kill the process.
    with (
        in_eval_mode(encoder),
        reporting_failed_writes(path),
        atomic_path(path) as unfinished,
        unfinished.open("wb") as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for view in range(views):
            data.set_epoch(view)
            for batch in tqdm(loader, desc=f"Encoding, view {view + 1} of {views}", leave=False):
                inputs = [batch[name].to(device) for name in _INPUTS if name in batch]
                file.write(encoder(*inputs).float().cpu().numpy().astype("<f4").tobytes())


def _encoder_key(encoder: VisionEncoder) -> str:
    """A hash of the encoder's structure and of every weight and buffer in it."""
    digest = hashlib.sha256(repr(encoder).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


__all__ = ["cached_features"]

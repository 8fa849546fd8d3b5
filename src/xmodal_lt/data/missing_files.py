"""Which of the files that a data set is made from are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .registry import dataset_spec
from .source_files import MissingFile


__all__ = ["missing_files"]


def missing_files(name: str, data_dir: str | Path | None = None, **options: Any) -> list[MissingFile]:
    """
    List what a data set of [`list_datasets`] is made from and is not there: files, folders or packages.

    Single images are not looked for: an error names them when the data set is loaded or, of those with hundreds of
    thousands of them, when they are read.

    Args:
        name (`str`):
            Name of the data set.
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of its original files. Without it, all files are missing.
        **options:
            Options that [`load_lt`] would be called with, such as `features` or `hub_id`, which give other places.

    Returns:
        `list[MissingFile]`: What to get from where. The data set can be made without what is `optional`.

    Raises:
        ValueError: If there is no data set of that name.

    Example:

    ```python
    >>> from xmodal_lt.data import missing_files

    >>> [missing.names for missing in missing_files("msr-vtt", features="s3d.h5")]
    ['train_val_videodatainfo.json', 'test_videodatainfo.json']
    ```
    """
    builder: Any = dataset_spec(name).builder
    return builder.missing_files(None if data_dir is None else Path(data_dir).expanduser(), **options)

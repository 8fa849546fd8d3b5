"""What tells whether the data of a run, and of its cached features, are still the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import datasets

from xmodal_lt.data.fingerprint import fingerprint_of_files


_FEATURES = ("features", "privileged_features")
_ROWS = 10_000  # read at a time


def fingerprint_of_rows(splits: datasets.DatasetDict) -> str:
    """A hash of what is learned: ids, labels and words of the rows, and the files of their features, by size and time.

    Args:
        splits (`datasets.DatasetDict`): with the columns of `load_lt`.

    Returns:
        `str`: 16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for split, rows in splits.items():
        digest.update(split.encode())
        for column in ("image_id", "label", "labels", "words", *_FEATURES):
            if column in rows.column_names:
                for text in _json_list(rows, column):
                    digest.update(text.encode())
        digest.update(_feature_files(rows).encode())
    return digest.hexdigest()[:16]


def _json_list(rows: datasets.Dataset, column: str) -> Iterator[str]:
    """The JSON text of a whole column, in pieces, as the words of a million rows are many."""
    yield "["
    for number, batch in enumerate(rows.select_columns([column]).iter(batch_size=_ROWS)):
        yield f"{', ' if number else ''}{json.dumps(batch[column])[1:-1]}"
    yield "]"


def fingerprint_of_inputs(rows: datasets.Dataset) -> str:
    """Names the rows and, by place, size and time, the files that hold their features.

    Image files are not looked at: one that is replaced behind its path goes unnoticed.

    Args:
        rows (`datasets.Dataset`): a split with the columns of `load_lt`.

    Returns:
        `str`: other text if rows or files are other ones.
    """
    return f"{rows._fingerprint}\n{_feature_files(rows)}"


def _feature_files(rows: datasets.Dataset) -> str:
    columns = [rows[name][:] for name in _FEATURES if name in rows.column_names]
    paths = {Path(reference["path"]) for column in columns for reference in column if reference is not None}
    return fingerprint_of_files(sorted(path for path in paths if path.is_file()))


__all__ = ["fingerprint_of_inputs", "fingerprint_of_rows"]

"""Reading pickles of plain values and arrays from others, without running any code that they may hold."""

from __future__ import annotations

import pickle
import re
from typing import IO, Any

import numpy as np


__all__ = ["load_pickle"]


def load_pickle(file: IO[bytes]) -> Any:
    """
    Read a pickle, which may be of Python 2.

    A pickle can call whatever can be imported, numpy's own constructors too, some of which take an address in memory
    for an object. So this calls nothing but two classes of this file that hold what an array was pickled as.

    Args:
        file (`IO[bytes]`):
            The pickle.

    Returns:
        Plain values. If it is a dict, arrays of numbers may be among its values; strings of Python 2 are `bytes`.

    Raises:
        Exception: Almost any, if the pickle is broken or asks for something else.
    """
    content = _Unpickler(file, encoding="bytes").load()
    if isinstance(content, dict):
        return {key: value.array if isinstance(value, _Array) else value for key, value in content.items()}
    return content


class _Type:
    """What was pickled as a `numpy.dtype`."""

    def __init__(self, name: str | bytes, *_: Any) -> None:
        name = name.decode() if isinstance(name, bytes) else str(name)
        if not re.fullmatch(r"b1|[iu][1248]|f[248]", name):
            raise pickle.UnpicklingError(f"it has an array of type {name!r}, expected numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")


class _Array:
    """What was pickled as a `numpy.ndarray`: made by numpy's `_reconstruct`, then given shape, type and bytes."""

    def __init__(self, *_: Any) -> None:
        self.array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("it has an array of something else than numbers")
        self.array = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if is_fortran else "C")


# The one in Python: the one in C makes room for as many objects as a pickle claims to have, which can be billions.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of numbers needs")
        return _STAND_INS[module, name]


# All that arrays need; the first is the name of numpy 1.
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): None,  # what `_reconstruct` is told to make
    ("numpy", "dtype"): _Type,
}

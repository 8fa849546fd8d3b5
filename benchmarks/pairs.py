"""Times two functions in turn and compares them pair by pair, which holds on a machine whose speed drifts."""

import gc
import statistics
import time
from collections.abc import Callable


def ratio(first: Callable[[], object], second: Callable[[], object], pairs: int, warmup: int = 1) -> dict[str, float]:
    """Ratio of `first`'s time over `second`'s: median, smallest and largest over the pairs."""
    for _ in range(warmup):
        first()
        second()
    ratios = []
    for number in range(pairs):
        order = (first, second) if number % 2 == 0 else (second, first)
        seconds = {function: _time(function) for function in order}
        ratios.append(seconds[first] / seconds[second])
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def _time(function: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start

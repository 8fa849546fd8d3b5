"""Sharing trained models: their cards, the Hub, other formats, a demo."""

import importlib


# By name, the module that has it; loaded when it is used, as most need packages of an extra.
_PUBLIC = {
    "PublishedModel": "publish",
    "export_onnx": "export_to_onnx",
    "export_program": "export_to_program",
    "export_remote_code": "remote_code",
    "export_timm": "export_to_timm",
    "launch_demo": "demo_app",
    "push_metric_space": "metric_spaces",
    "push_to_hub": "publish",
    "quantize_report": "export_int8",
    "write_card": "card",
    "write_metric_space": "metric_spaces",
    "write_recipe_cards": "card",
    "write_space": "space",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

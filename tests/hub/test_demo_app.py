"""What keeps the demo from opening addresses rests on a private name of gradio."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from xmodal_lt.hub.demo_app import _take_bytes


gr = pytest.importorskip("gradio")


def payload(where: str) -> dict[str, Any]:
    return {"path": where, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def image() -> Any:
    with gr.Blocks(analytics_enabled=False):
        return _take_bytes(gr.Image())


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "https://127.0.0.1:9/x.png"])
def test_gradio_asks_the_demo_before_it_fetches_an_address(image: Any, address: str):
    from gradio.processing_utils import async_move_files_to_cache

    with pytest.raises(gr.Error, match="addresses are not opened"):
        asyncio.run(async_move_files_to_cache(payload(address), image))


def test_a_picture_is_given_as_its_bytes(image: Any, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"as it is")
    assert image.preprocess(image.data_model(path=str(tmp_path / "a.png"))) == b"as it is"
    assert image.preprocess(None) is None


def test_a_gradio_without_that_name_is_refused():
    with pytest.raises(ImportError, match="has no async_move_resource_to_block_cache"):
        _take_bytes(object())

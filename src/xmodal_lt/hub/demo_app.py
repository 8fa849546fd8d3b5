"""The demo as a page: a Gradio app around [`Demo`]."""

from __future__ import annotations

import html
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .demo import MAX_BYTES, Demo, Sight


__all__ = ["build_app", "launch_demo"]

_TIMEOUT = 60.0  # seconds for a picture
_MOST_WAITING = 16
_FORGET_AFTER = 3600  # seconds from which pictures are deleted from Gradio's cache on the disk; as often it looks
_INTO_CACHE = "async_move_resource_to_block_cache"  # what gradio calls with each path or address of a client
_ABOUT = """# {title}

Drop a picture. The model tells its classes from the image alone; behind each stands whether it was frequent (head),
medium or rare (tail) in training. Pictures are deleted within two hours.
"""


def build_app(demo: Demo, title: str, timeout: float = _TIMEOUT) -> Any:
    """
    Make the page.

    A picture is the bytes of a file that was uploaded to this server, never of another file of the machine or of an
    address; one is looked at at a time, and the others wait in a short queue.

    Args:
        demo ([`Demo`]):
            The model.
        title (`str`):
            Heading of the page.
        timeout (`float`, *optional*, defaults to 60):
            Seconds after which a picture is given up with an error.

    Returns:
        `gradio.Blocks`: The app, not yet launched: see [`launch_demo`].

    Raises:
        ImportError: If gradio is not installed, or in a version whose uploads cannot be controlled.
    """
    gr = _gradio()
    worker = ThreadPoolExecutor(max_workers=1)

    def look(picture: bytes | None) -> tuple[Any, ...]:
        if picture is None:
            return None, None, None, None
        waiting = worker.submit(demo.look, picture)
        try:
            return _shown(waiting.result(timeout))
        except TimeoutError:
            waiting.cancel()
            raise gr.Error(f"The picture took longer than {timeout:g} seconds; try again later.") from None
        except ValueError as error:
            raise gr.Error(html.escape(str(error)), duration=None, print_exception=False) from error

    def _shown(sight: Sight) -> tuple[Any, ...]:
        maps = gr.Gallery(sight.maps, label=f"Attention maps for {sight.best}")
        return sight.classes, sight.words or None, maps, sight.similar or None

    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(_FORGET_AFTER, _FORGET_AFTER)) as app:
        gr.Markdown(_ABOUT.format(title=html.escape(title)))
        with gr.Row():
            picture = _take_bytes(gr.Image(label="Picture", sources=["upload", "clipboard"], height=360))
            with gr.Column():
                classes = gr.Label(label="Classes", show_heading=False)
                words = gr.Label(
                    label="Inferred words", show_heading=False, visible=demo.predictor.tokenizer is not None
                )
        maps = gr.Gallery(label="Attention maps", columns=4, height="auto", visible=demo.draws_maps, interactive=False)
        similar = gr.Gallery(
            label="Similar training pictures",
            columns=6,
            height="auto",
            visible=demo.index is not None,
            interactive=False,
        )
        outputs = [classes, words, maps, similar]
        gr.on([picture.upload, picture.clear], look, picture, outputs, api_name="look", concurrency_limit=1)
    return app.queue(max_size=_MOST_WAITING)


def _take_bytes(image: Any) -> Any:
    """Makes an image component give what was uploaded as it is, which gradio would decode without our limits.

    On the component itself: for a subclass gradio writes a stub beside our source.
    """
    into_cache = getattr(image, _INTO_CACHE, None)
    if into_cache is None:  # it is none of gradio's public names
        raise ImportError(
            f"gradio {_gradio().__version__} has no {_INTO_CACHE}, by which the demo refuses addresses. Run "
            '`pip install "xmodal-lt[demo]"`, which installs a version that has it'
        )

    def preprocess(payload: Any) -> bytes | None:
        return None if payload is None or not payload.path else Path(payload.path).read_bytes()

    async def uploads_into_cache(url_or_file_path: Any) -> str | None:
        if str(url_or_file_path).startswith(("http://", "https://")):  # which gradio would download
            raise _gradio().Error("Upload a picture; addresses are not opened.", print_exception=False)
        return await into_cache(url_or_file_path)

    image.preprocess = preprocess
    setattr(image, _INTO_CACHE, uploads_into_cache)
    return image


def launch_demo(
    model: str,
    *,
    index: str | None = None,
    host: str | None = None,
    port: int | None = None,
    device: str | None = None,
) -> None:
    """
    Serve the page until it is interrupted.

    Args:
        model (`str`):
            Folder of a run, or a Hub id, `org/name` or `org/name@revision`.
        index (`str`, *optional*):
            Name or path of the data set whose training pictures similar ones are taken from.
        host (`str`, *optional*):
            Address to listen at; Gradio's own default, `127.0.0.1` but on a Space, when absent.
        port (`int`, *optional*):
            The first free one from 7860 when absent.
        device (`str`, *optional*):
            The accelerator when there is one, else the CPU.

    Raises:
        ImportError: If gradio or grad-cam is not installed.
        OSError: If there is no such model, or the port is taken.
        ValueError: If the model is of videos, or of another package; and as `load_lt` for the index.

    Example:

    ```python
    >>> from xmodal_lt.hub.demo_app import launch_demo

    >>> launch_demo("outputs/cmltnet_emoji_lt", index="emoji-lt")  # doctest: +SKIP
    ```
    """
    _gradio()  # before the model is loaded
    title = Path(model).resolve().name if Path(model).exists() else model
    app = build_app(Demo.from_pretrained(model, index, device), title)
    app.launch(
        server_name=host,
        server_port=port,
        share=False,
        allowed_paths=[],
        max_file_size=MAX_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        footer_links=["api"],
    )


def _gradio() -> Any:
    try:
        import gradio
    except ImportError as error:
        raise ImportError('The demo needs gradio. Run `pip install "xmodal-lt[demo]"`') from error
    return gradio

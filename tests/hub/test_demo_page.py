"""The demo as its users see it: served by the command, in a browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


pytestmark = pytest.mark.slow
pytest.importorskip("gradio", reason="the demo needs gradio")
pytest.importorskip("pytorch_grad_cam", reason="attention maps need grad-cam")

SERVE = "import typer; from xmodal_lt.cli_demo import demo; app = typer.Typer(); app.command()(demo); app()"
PATIENCE = 120_000  # milliseconds, for machines that do other work


@pytest.fixture(scope="module")
def url(cmltnet_run, shapes, tmp_path_factory) -> Iterator[str]:
    """Where the command serves the demo of a run."""
    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    options = ["--port", str(port), "--index", str(shapes), "--device", "cpu"]
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-c", SERVE, str(cmltnet_run), *options]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert server.poll() is None, (folder / "log.txt").read_text()
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is driven by playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("the page is looked at in chromium, which is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, url) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 1400})
    opened.set_default_timeout(PATIENCE)
    opened.goto(url)
    opened.get_by_text("Drop a picture").wait_for()
    yield opened
    opened.close()


def drop(page, file: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(file)


def test_a_picture_is_told_in_classes_words_maps_and_similar_pictures(page, shapes, tmp_path):
    drop(page, shapes / "test" / "circle-1.png")
    page.get_by_text("circle (head, 12 in training)").first.wait_for()
    for text in ("square (medium, 8 in training)", "triangle (tail, 4 in training)", "red", "size 0"):
        assert page.get_by_text(text, exact=True).first.is_visible(), text
    page.get_by_text("Attention maps for").wait_for()
    for caption in ("what the model sees", "visual", "cross-modal", "fused"):
        page.get_by_text(caption).first.wait_for()
    images = page.locator(".grid-container img, .gallery-item img")
    images.nth(9).wait_for()  # the picture, three maps, and six similar ones
    assert images.count() == 10
    for image in images.all():
        page.wait_for_function("one => one.complete && one.naturalWidth > 0", arg=image.element_handle())
    page.screenshot(path=tmp_path / "demo.png")
    assert (tmp_path / "demo.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "content"), [("bad.png", b"this is no picture"), ("bad.svg", b"<svg onload='alert(1)'></svg>")]
)
def test_a_corrupt_file_shows_an_error_and_the_next_picture_works(page, shapes, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    drop(page, tmp_path / name)
    page.get_by_text("The picture cannot be read: it is no image").wait_for()
    page.reload()
    page.get_by_text("Drop a picture").wait_for()
    drop(page, shapes / "test" / "square-1.png")
    page.get_by_text("square (medium, 8 in training)").first.wait_for()


def request(url: str, data: Any = None) -> tuple[int, str]:
    body = None if data is None else json.dumps(data).encode()
    try:
        sent = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def look(url: str, file: dict[str, Any]) -> str:
    """What the page's own API says of a file that a client describes as it likes."""
    status, text = request(f"{url}/gradio_api/call/look", {"data": [file]})
    if status != 200:
        return text
    return request(f"{url}/gradio_api/call/look/{json.loads(text)['event_id']}")[1]


def test_no_file_of_the_machine_is_opened_or_served(url, shapes):
    picture = shapes / "test" / "circle-1.png"  # a picture that is there, and was not uploaded
    for path in (str(picture), f"{picture.parent}/../test/{picture.name}", "../../../../etc/hostname"):
        answer = look(url, {"path": path, "meta": {"_type": "gradio.FileData"}})
        assert "error" in answer and "in training" not in answer
        assert request(f"{url}/gradio_api/file={path}")[0] in (403, 404)


def test_no_address_is_fetched(url):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(3)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"
        for where in ({"path": address}, {"path": address, "url": address}, {"path": address, "is_stream": True}):
            answer = look(url, {**where, "meta": {"_type": "gradio.FileData"}})
            assert "error" in answer and "in training" not in answer
        assert "addresses are not opened" in look(url, {"path": address, "meta": {"_type": "gradio.FileData"}})
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_large_upload_is_refused(url):
    boundary = "xxxx"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'.encode()
    body = head + bytes(11 * 1024**2) + f"\r\n--{boundary}--\r\n".encode()
    sent = urllib.request.Request(
        f"{url}/gradio_api/upload", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(sent, timeout=60)
    assert refused.value.code == 413


def test_a_picture_that_takes_too_long_is_given_up(cmltnet_run, shapes):
    from gradio_client import Client, handle_file

    from xmodal_lt.hub.demo import Demo
    from xmodal_lt.hub.demo_app import build_app

    app = build_app(Demo.from_pretrained(str(cmltnet_run), device="cpu"), "a run", timeout=0.0)
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_name="127.0.0.1")
    try:
        with pytest.raises(Exception, match="took longer than 0 seconds; try again later"):
            Client(url, verbose=False).predict(handle_file(shapes / "test" / "circle-1.png"), api_name="/look")
    finally:
        app.close()

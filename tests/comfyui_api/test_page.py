"""ComfyUI's own web page, as it is served, and in Chromium, which is driven by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket
from fastapi.testclient import TestClient

Clients = tuple[TestClient, TestClient]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "text_to_image.json"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT_S = 200


def test_the_page_and_its_scripts_are_served_small_and_by_their_type(address: str) -> None:
    page = httpx.get(f"{address}/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    script = page.text.partition('type="module" crossorigin src="./')[2].partition('"')[0]
    answer = httpx.get(f"{address}/{script}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < len(answer.content) if "content-length" in answer.headers else True


def test_a_file_outside_the_page_is_not_served(address: str) -> None:
    with httpx.Client() as client:
        for path in ("/..%2f__init__.py", "/%2e%2e/__init__.py", "/assets/..%2f..%2f__init__.py"):
            request = client.build_request("GET", address + path)
            assert client.send(request).status_code == 404


def test_a_guarded_page_asks_for_a_key(guarded: Clients, key: Callable[..., str]) -> None:
    _, comfyui = guarded
    for path in ("/", "/index.html"):
        assert comfyui.get(path).headers["www-authenticate"].startswith("Basic ")
        assert comfyui.get(path, auth=("anybody", key("ada"))).status_code == 200


def test_the_pages_own_extensions_are_there(comfy: Any, address: str) -> None:
    names = comfy.ask("/extensions")
    assert "/extensions/core/widgetInputs.js" in names
    assert all(httpx.get(address + name).status_code == 200 for name in names[:3])


def test_the_loaders_that_the_page_starts_with_are_told_of_as_absent(comfy: Any) -> None:
    entry = comfy.ask("/object_info/StyleModelLoader")["StyleModelLoader"]
    assert "not on this deployment" in entry["display_name"]
    graph = {"1": {"class_type": "StyleModelLoader", "inputs": {"style_model_name": "a"}}}
    assert comfy.ask("/prompt", {"prompt": graph})[1]["error"]["type"] == "invalid_prompt"


class Browser:
    """A tab of Chromium without a window."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1600,900"]
        command += [f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = next(line for line in self._process.stderr if line.startswith("DevTools listening on ws://"))
        host = said.partition("ws://")[2].partition("/")[0]
        (tab,) = [tab for tab in httpx.get(f"http://{host}/json").json() if tab["type"] == "page"]
        self._socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=WAIT_S)
        self._count = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv())).get("id") != self._count:
            continue
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def until(self, expression: str) -> Any:
        """What the expression gives in the page, once that is true of it."""
        look = f"""new Promise((resolve, reject) => {{
            const look = () => {{ try {{ const found = {expression}; if (found) return resolve(found); }} catch {{}}
                                  setTimeout(look, 100); }};
            look(); setTimeout(() => reject('not within {WAIT_S} s'), {WAIT_S * 1000 - 5000}); }})"""
        answer = self.ask("Runtime.evaluate", expression=look, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"]["value"]

    def picture(self) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.communicate()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: `apt-get install chromium`, see docs/comfyui_api.md")
    started = Browser(tmp_path / "chromium")
    yield started
    started.close()


def example() -> dict[str, Any]:
    """The example, small, with ids that are numbers: the page counts its nodes."""
    graph = json.loads(EXAMPLE.read_text())
    ids = {id: str(number) for number, id in enumerate(graph, 1)}
    graph["latent"]["inputs"] |= {"width": 64, "height": 64}
    graph["sampler"]["inputs"]["steps"] = 4
    for node in graph.values():
        linked = {name: value for name, value in node["inputs"].items() if isinstance(value, list)}
        node["inputs"] |= {name: [ids[id], output] for name, (id, output) in linked.items()}
    return {ids[id]: node for id, node in graph.items()}


@pytest.mark.slow
def test_the_page_loads_queues_the_example_and_shows_its_picture(address: str, browser: Browser) -> None:
    httpx.post(f"{address}/settings", json={"Comfy.TutorialCompleted": True})  # or it begins with a choice of templates
    browser.ask("Page.navigate", url=address)
    button = "document.querySelector('[data-testid=queue-button] button')"
    app = "comfyAPI.app.app"
    browser.until(f"{app}.graph._nodes.length > 0 && {button} !== null")  # with the workflow that it begins with
    browser.until(f"({app}.loadApiJson({json.dumps(example())}, 'example'), true)")
    saves = f"{app}.graph._nodes.find((node) => node.type === 'SaveImage')"
    browser.until(f"({app}.canvas.centerOnNode({saves}), {button}.click(), true)")
    shown = browser.until(f"{saves}.imgs?.[0]?.naturalWidth && [{saves}.imgs[0].src, {saves}.imgs[0].naturalWidth]")
    assert shown[1] == 64
    assert shown[0].startswith(f"{address}/api/view?")
    assert browser.picture()[:8] == b"\x89PNG\r\n\x1a\n"

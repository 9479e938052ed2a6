"""ComfyUI's own front end, in a browser, as the reference of what a workflow of the editor becomes."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from scripts.ui_reference.browser import Page, PageError, open_page

# The editor draws lots for texts such as {red|blue}: here the first one always wins.
_NO_CHANCE = "Math.random = () => 0;"
# With a list of the files on the server, a combo may lose the file that the workflow names: when it comes is chance.
_FILE_LISTS = "*/internal/files/*"
_READY = "!!(window.app && window.app.graph && window.app.extensionManager && window.app.vueAppReady)"
_CONVERT = """(async (workflow) => {
  await window.app.loadGraphData(workflow, true, false);
  return JSON.stringify((await window.app.graphToPrompt()).output);
})(%s)"""


class FrontEnd:
    """The editor with the node types of its server."""

    def __init__(self, page: Page, object_info: Mapping[str, Any]) -> None:
        self._page = page
        self.object_info = object_info

    async def convert(self, workflow: Mapping[str, Any]) -> Any:
        """The API format that the editor would send for `workflow`. Raises PageError with the editor's own words."""
        return json.loads(await self._page.evaluate(_CONVERT % json.dumps(workflow)))


@asynccontextmanager
async def front_end(checkout: Path, base: Path) -> AsyncIterator[FrontEnd]:
    """The editor as `checkout` serves it, with ComfyUI's folders at `base`."""
    port = _free_port()
    for folder in ("custom_nodes", "input", "output", "models", "user"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    command = ["-m", "scripts.ui_reference.server", str(checkout), "--port", str(port), "--base-directory", str(base)]
    with (base / "server.log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(sys.executable, "-B", *command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            object_info = await _object_info(url, server, base / "server.log")
            async with open_page(url, before=_NO_CHANCE, blocked=_FILE_LISTS) as page:
                await _until_ready(page)
                yield FrontEnd(page, object_info)
        finally:
            server.kill()
            await server.wait()


async def _object_info(url: str, server: asyncio.subprocess.Process, log: Path) -> Any:
    async with aiohttp.ClientSession() as session:
        for _ in range(240):
            try:
                async with session.get(f"{url}/object_info") as response:
                    return await response.json()
            except aiohttp.ClientError:
                if server.returncode is not None:
                    break
                await asyncio.sleep(0.5)
    raise PageError(f"ComfyUI did not serve: {log.read_text()[-2000:]}")


async def _until_ready(page: Page) -> None:
    for _ in range(240):
        if await page.evaluate(_READY):
            return
        await asyncio.sleep(0.5)
    raise PageError("the editor was not ready within 120 s")


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])

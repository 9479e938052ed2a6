"""Headless Chromium with one page, spoken to over its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


class PageError(Exception):
    """What ran in the page threw; the message is the page's own."""


class Page:
    """A page that evaluates JavaScript. Commands are sent one at a time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """The answer to a command of the protocol. Raises PageError where the browser refuses it."""
        id = next(self._ids)
        await self._socket.send_json({"id": id, "method": method, "params": parameters})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") == id:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
        raise PageError(f"{method}: the browser closed the connection")

    async def evaluate(self, expression: str) -> Any:
        """The JSON value of `expression`, awaited where it is a promise. Raises PageError where it throws."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")


@asynccontextmanager
async def open_page(url: str, *, before: str, blocked: str) -> AsyncIterator[Page]:
    """A page at `url` that runs the script `before` ahead of its own and reaches no address like `blocked`."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise PageError("Chromium is not installed; name it in CHROMIUM")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with aiohttp.ClientSession() as session:
                address = await _page_address(session, Path(profile) / "DevToolsActivePort")
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.send("Page.enable")
                    await page.send("Network.enable")
                    await page.send("Network.setBlockedURLs", urls=[blocked])
                    await page.send("Page.addScriptToEvaluateOnNewDocument", source=before)
                    await page.send("Page.navigate", url=url)
                    yield page
        finally:
            process.kill()
            await process.wait()


async def _page_address(session: aiohttp.ClientSession, port_file: Path) -> str:
    for _ in range(300):
        if port_file.is_file() and (port := port_file.read_text().partition("\n")[0]):
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                pages = [target for target in await response.json() if target["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        await asyncio.sleep(0.1)
    raise PageError("Chromium did not open its DevTools port within 30 s")

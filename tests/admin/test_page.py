"""The page to read and try the API at, in a real browser, by the Chrome DevTools protocol."""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.admin.conftest import Api

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")


class Tab:
    """A page of the browser; `faults` are what it wrote to its console or refused."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.faults: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(await self._socket.recv())
            params = said.get("params", {})
            if said.get("method") == "Runtime.exceptionThrown" or params.get("entry", {}).get("level") == "error":
                self.faults.append(json.dumps(params))
            if said.get("id") == number:
                return said["result"]

    async def value(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        async with asyncio.timeout(20):
            while not (found := await self.value(expression)):
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def opened(url: str, home: Path) -> AsyncGenerator[Tab]:
    assert CHROMIUM is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    program = await asyncio.create_subprocess_exec(
        CHROMIUM, *flags, "--remote-debugging-port=0", f"--user-data-dir={home}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = home / "DevToolsActivePort"
        async with asyncio.timeout(30):
            while not port.exists() or "\n" not in port.read_text():
                await asyncio.sleep(0.05)
        async with httpx.AsyncClient(trust_env=False) as http:
            tabs = (await http.get(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list")).json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        async with websockets.connect(address, max_size=None, proxy=None) as socket:
            tab = Tab(socket)
            await tab.call("Log.enable")
            await tab.call("Runtime.enable")
            await tab.call("Page.navigate", url=url)
            yield tab
    finally:
        program.kill()
        await program.wait()


async def test_every_call_is_shown_and_can_be_tried(url: str, root: Api, tmp_path: Path) -> None:
    async with opened(f"{url}/admin/docs", tmp_path) as tab:
        shown = await tab.until("document.querySelectorAll('summary').length")
        async with httpx.AsyncClient(trust_env=False) as http:
            document = (await http.get(f"{url}/admin/openapi.json")).json()
        assert shown == sum("responses" in one for path in document["paths"].values() for one in path.values())
        token = root.http.headers["authorization"].removeprefix("Bearer ")
        await tab.value(f"document.getElementById('token').value = {json.dumps(token)}")
        boxes = "[...document.querySelectorAll('details')]"
        named = r"one => /^GET\s*.admin.v1.tenants$/.test(one.innerText.trim())"
        await tab.value(f"(window.box = {boxes}.find({named})).open = true")
        await tab.until("!!box.querySelector('button')")
        await tab.value("box.querySelector('button').click()")
        said = await tab.until("(text => text.length > 1 && text)(box.querySelector('pre').innerText)")
        assert said.startswith("200\n")
        assert "default" in [one["name"] for one in json.loads(said.partition("\n")[2])["data"]]
        assert tab.faults == []

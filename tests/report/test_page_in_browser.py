"""The report as a browser shows it: nothing loaded, nothing logged, every picture drawn."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accelsim.report.html import html_report

websocket = pytest.importorskip("websocket") if "CI" not in os.environ else __import__("websocket")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
    "--remote-allow-origins=*", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip
SECONDS = 60.0

PICTURES = """
[...document.querySelectorAll('figure svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  const drawn = [...svg.querySelectorAll('path, use')].map(e => e.getBoundingClientRect());
  return {width: box.width, height: box.height, paths: svg.querySelectorAll('path').length,
          visible: drawn.filter(b => b.width > 0 || b.height > 0).length};
})
"""
WIDER_THAN_PAGE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


class Chromium:
    """A headless browser, spoken to through the DevTools protocol."""

    def __init__(self, program: str, profile: Path) -> None:
        self._events: list[dict[str, Any]] = []
        self._count = 0
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = self._port(profile / "DevToolsActivePort")
            self._socket = websocket.create_connection(port, timeout=SECONDS)
        except BaseException:
            self._kill()
            raise

    def _port(self, file: Path) -> str:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            lines = file.read_text().split() if file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if self._process.poll() is not None:
                raise RuntimeError(f"chromium ended with {self._process.returncode}")
            time.sleep(0.05)
        raise TimeoutError("chromium opened no debugging port")

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events on the way are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            reply = json.loads(self._socket.recv())
            if reply.get("id") == self._count:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                result: dict[str, Any] = reply["result"]
                return result
            self._events.append(reply)

    def wait(self, method: str, session: str) -> None:
        """Wait for an event of a session."""
        while not self.seen(method, session):
            self._events.append(json.loads(self._socket.recv()))

    def seen(self, method: str, session: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of a kind in a session."""
        mine = (e for e in self._events if e.get("sessionId") == session)
        return [e["params"] for e in mine if e.get("method") == method]

    def close(self) -> None:
        """End the browser and wait for it."""
        self._socket.close()
        self._kill()

    def _kill(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


class Page:
    """One opened file."""

    def __init__(self, browser: Chromium, file: Path, dark: bool) -> None:
        self.url = file.as_uri()
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=self.url)
        browser.wait("Page.loadEventFired", self._session)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def value(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def seen(self, method: str) -> list[dict[str, Any]]:
        return self._browser.seen(method, self._session)

    def requests(self) -> list[str]:
        return [event["request"]["url"] for event in self.seen("Network.requestWillBeSent")]

    def errors(self) -> list[dict[str, Any]]:
        logged = [event["entry"] for event in self.seen("Log.entryAdded")]
        found = [entry for entry in logged if entry["level"] == "error"]
        console = self.seen("Runtime.consoleAPICalled")
        found += [event for event in console if event["type"] in ("error", "assert")]
        return found + self.seen("Runtime.exceptionThrown")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if "CI" in os.environ:
            pytest.fail("chromium is not installed, and CI needs it for the report's page")
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    started = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def open_page(browser: Chromium, tmp_path: Path) -> Callable[..., Page]:
    def opened(html: str, dark: bool = False) -> Page:
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        return Page(browser, file, dark)

    return opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("name", "count"), [("small_run", 4), ("crowded_run", 4), ("valued_run", 5)]
)
def test_the_page_opens_alone(
    request: pytest.FixtureRequest,
    open_page: Callable[..., Page],
    tmp_path: Path,
    name: str,
    count: int,
    dark: bool,
) -> None:
    page = open_page(html_report(request.getfixturevalue(name)), dark)
    pictures = page.value(PICTURES)

    assert page.errors() == []
    assert [url for url in page.requests() if not url.startswith("data:")] == [page.url]
    assert len(pictures) == count
    for picture in pictures:
        assert picture["width"] > 400 and picture["height"] > 100
        assert picture["paths"] > 5 and picture["visible"] > 5
    assert not page.value(WIDER_THAN_PAGE)
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_plans_open_without_a_script(
    open_page: Callable[..., Page], small_run: dict[str, Any]
) -> None:
    page = open_page(html_report(small_run))
    assert page.value("document.scripts.length") == 0
    visible = "document.querySelector('.plan pre').checkVisibility()"
    assert page.value(visible) is False
    page.value("document.querySelector('.plan summary').click()")
    assert page.value(visible) is True


def test_names_stay_text(open_page: Callable[..., Page], make_run: Callable[..., Any]) -> None:
    evil = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
    page = open_page(html_report(make_run(model=evil, arch=evil, notes=[evil])))
    assert page.value("window.hit === undefined && document.images.length === 0")
    assert page.value("document.querySelector('h1').textContent").startswith(evil)
    assert page.errors() == []

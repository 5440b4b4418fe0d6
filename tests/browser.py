"""A headless Chromium to read a page with: real keys and sizes, and what it asked the network for.

It is driven by the DevTools protocol over two pipes, JSON messages that end in a zero byte, so that
no package is needed for it. `python -m tests.browser` draws the README's picture of the page anew.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip
CODES = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35,
    "Enter": 13, "Tab": 9, "Backspace": 8, "Escape": 27, " ": 32,
}  # fmt: skip
TEXTS = {"Enter": "\r", " ": " "}


class Browser:
    """One page in a headless Chromium; use it in a `with`."""

    def __enter__(self) -> Browser:
        self._folder = tempfile.mkdtemp()
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()

        def name_pipes() -> None:
            """Chromium reads from 3 and writes to 4; first 103 and 104: our ends may be 3 or 4."""
            os.dup2(read_there, 103)
            os.dup2(write_there, 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={self._folder}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, preexec_fn=name_pipes, close_fds=False, **quiet)
        os.close(read_there)
        os.close(write_there)
        self._to, self._from = os.fdopen(write_here, "wb", 0), os.fdopen(read_here, "rb")
        self._sent, self._session = 0, ""
        self.events: list[dict[str, Any]] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.send("Browser.close")
        finally:
            self._process.wait(20)
            self._to.close()
            self._from.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        message = b""
        while not message.endswith(b"\0"):
            there = self._from.peek()
            part = self._from.read(there.find(b"\0") + 1 or len(there))
            if not part:
                raise RuntimeError("Chromium has ended")
            message += part
        return json.loads(message[:-1])

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; what happens meanwhile is kept in `events`."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._sent:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, path: Path, width: int = 1600, height: int = 1000, dark: bool = False) -> None:
        """Load a file at this size and wait until it has loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.send("Emulation.setEmulatedMedia", features=[scheme, still])
        for url in ("about:blank", path.absolute().as_uri()):  # a load, and no jump inside a page
            self.events.clear()
            self.send("Page.navigate", url=url)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self._read())

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Keys, one after another, as if from a keyboard."""
        for key in keys:
            code = {"key": key, "code": key, "windowsVirtualKeyCode": CODES[key]}
            text = {"text": TEXTS[key]} if key in TEXTS else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", **code, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **code)

    def point(self, x: float, y: float) -> None:
        """Move the mouse there."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, width: int, height: int) -> None:
        """The upper left of the page as a PNG."""
        area = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=area)
        path.write_bytes(base64.b64decode(shot["data"]))

    def asked_for(self) -> list[str]:
        """Every address that was requested since the page was opened."""
        sent = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def errors(self) -> list[str]:
        """What the page threw or complained of."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(e["params"])[:2000] for e in self.events if e["method"] in kinds]


def main() -> None:
    """One gradient in a small residual net, as far as it fits on the first screen."""
    import numpy as np

    import nnlite as nn

    nn.seed(0)
    branch = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Residual(branch), nn.Linear(4, 3))
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    adam = nn.Adam(model.parameters())
    trace = nn.trace(model, nn.CrossEntropyLoss(), x, np.arange(5) % 3, optimizer=adam)
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        page = Path(folder) / "page.html"
        trace.to_html(page)
        browser.open(page, 1400, 930)
        browser.run("show(trace.all.findLastIndex((step) => step.number === 3))")
        browser.screenshot(Path(__file__).parents[1] / "examples/trace_page.png", 1400, 930)


if __name__ == "__main__":
    main()

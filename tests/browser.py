"""A page in headless Chromium, driven through its debugging pipe: no package, no port."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --window-size=1600,1200"
).split()
SECONDS = 60
MIDDLE = """(element => {
    element.scrollIntoView({block: "center"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})"""


@contextmanager
def browser(profile):
    """A browser's one page. It reads commands from descriptor 3 and answers on 4: here its standard two."""
    switches = [*SWITCHES, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', CHROMIUM, *switches],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Page(process.stdin.fileno(), process.stdout.fileno())
    finally:
        process.kill()
        process.communicate()


class Page:
    def __init__(self, writer, reader):
        self.writer, self.reader = writer, reader
        self.numbers, self.received, self.session = itertools.count(), b"", {}
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = {
            "sessionId": self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        }

    def ask(self, method, **params):
        """The browser's answer to one command of its protocol."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params} | self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.received:
                assert select.select([self.reader], [], [], SECONDS)[0], f"{method}: no answer"
                part = os.read(self.reader, 1 << 16)
                assert part, "the browser is gone"
                self.received += part
            answer, _, self.received = self.received.partition(b"\0")
            answer = json.loads(answer)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, address):
        self.ask("Page.navigate", url=address)

    def script(self, text):
        """The value of a JavaScript expression in the page."""
        return self.ask("Runtime.evaluate", expression=text, returnByValue=True)["result"].get("value")

    def wait(self, text):
        """The value of an expression once it is true."""
        end = time.monotonic() + SECONDS
        while not (found := self.script(text)):
            assert time.monotonic() < end, (
                f"{text}: not so after {SECONDS} s; the page says {self.text()[-2000:]}"
            )
            time.sleep(0.1)
        return found

    def text(self):
        return self.script("document.body.innerText") or ""

    def click(self, element):
        """Press the mouse on the middle of what a JavaScript expression finds, once it finds it."""
        x, y = self.wait(f"{element} ? {MIDDLE}({element}) : null")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

"""A page in headless Chromium, driven through its debugging pipe: no package, no port."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --window-size=1600,1200"
).split()
MIDDLE = """(element => {
    element.scrollIntoView({block: "center"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})"""


class Page:
    """The browser's one page; `with Page(profile) as page`."""

    def __init__(self, profile):
        commands, self.writer = os.pipe()
        self.reader, answers = os.pipe()
        # the browser reads commands from descriptor 3 and answers on 4
        pipes = ["sh", "-c", f'exec "$0" "$@" 3<&{commands} 4>&{answers}', CHROMIUM]
        self.process = subprocess.Popen(
            [*pipes, *SWITCHES, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self.numbers, self.received, self.session = itertools.count(), b"", {}
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = {
            "sessionId": self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.writer)
        os.close(self.reader)

    def ask(self, method, **params):
        """The browser's answer to one command of its protocol."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params} | self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.received:
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

    def wait(self, text, seconds=60):
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (found := self.script(text)):
            assert time.monotonic() < end, (
                f"{text}: not so after {seconds} s; the page says {self.text()[-2000:]}"
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

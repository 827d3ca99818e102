"""Chromium without a window, told what to do through a pipe (the Chrome DevTools Protocol).

The drivers there are for Python pin packages that old TensorFlows pin otherwise.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --remote-debugging-pipe"
).split()
SECONDS = 60


def executable():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """A browser with one page; ``events`` are all that it told of without being asked."""

    def __init__(self, folder):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self.events = []
        self._rest, self._count, self._session = b"", 0, None
        # Above those that the child is to have them as.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)]

        def as_3_and_4():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
        self._process = subprocess.Popen(
            [executable(), *SWITCHES, nowhere, "--user-data-dir={}".format(folder), "about:blank"],
            preexec_fn=as_3_and_4,
            pass_fds=(3, 4),
            stderr=subprocess.DEVNULL,
        )
        for end in ends + [commands, answers]:
            os.close(end)
        # Should it hang, so would the reading of its answers.
        signal.signal(signal.SIGALRM, lambda *_: self._process.kill())
        signal.alarm(SECONDS)
        pages = self("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(domain + ".enable")

    def __call__(self, method, **params):
        """Call a method of the protocol; its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path):
        """Open a file, and wait until it is there."""
        before = len(self.events)
        self("Page.navigate", url="file://{}".format(path))
        while "Page.loadEventFired" not in self.told(before):
            self._next()

    def told(self, since=0):
        """The names of the events."""
        return [event["method"] for event in self.events[since:]]

    def evaluate(self, expression):
        """The value of a JavaScript expression, promises awaited."""
        found = self(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def size(self, width, height=800):
        """Make the page so large."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def click(self, selector):
        """Click with a mouse, as a user does: a script may not copy without."""
        box = self.evaluate(
            "(e => (e.scrollIntoView({{block: 'center'}}), e.getBoundingClientRect().toJSON()))"
            "(document.querySelector({!r}))".format(selector)
        )
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def pasted(self):
        """What is in the clipboard, as a user gets it."""
        self.evaluate("document.body.appendChild(document.createElement('textarea')).focus()")
        self("Input.dispatchKeyEvent", type="keyDown", commands=["paste"])
        return self.evaluate("document.activeElement.value")

    def close(self):
        """End it."""
        signal.alarm(0)
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _next(self):
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 16)
            assert read, "Chromium is gone"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(message)
        if "method" in message:
            self.events.append(message)
        return message

"""Progress of training: a bar with the time left on a terminal, a line per epoch elsewhere."""

import sys
import time

from tqdm import tqdm


class Progress:
    def __init__(self, title, steps, done):
        self.title, self.steps, self.done, self.first = title, steps, done, done
        self.start = time.monotonic()
        self.bar = tqdm(
            total=steps,
            initial=done,
            desc=title,
            unit="step",
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def step(self):
        self.done += 1
        self.bar.update()

    def line(self, epoch, epochs, record):
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "chosen")
        left = (time.monotonic() - self.start) / (self.done - self.first) * (self.steps - self.done)
        text = f"{self.title}  epoch {epoch}/{epochs}  {numbers}  {left:.0f} s left"
        self.bar.write(text, file=sys.stderr)

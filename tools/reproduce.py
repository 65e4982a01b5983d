"""python -m tools.reproduce FOLDER

Compute what is not up to date in the pipeline of FOLDER, show it in MLflow, put the tables into README.md and
docs/. It is `dvc repro` with as many stages side by side as there are processors (JOBS=1: one at a time). It
says which stage of how many runs, its epoch, and how much time is left. Killed, it goes on.

reads   dvc.yaml, params.yaml; metrics/environment: how long a stage trained when its number was committed
writes  what the stages and tools.pages write
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from statistics import median

from specialists.base.command import output, readable, run
from specialists.base.files import read_json
from specialists.base.params import load
from specialists.tracking import pipeline
from tools import heal

ROOT = Path(__file__).resolve().parents[1]
BEGUN = re.compile(r"Running stage '.+':|Stage '.+' (is cached - skipping run|didn't change)")
NOT_RUN = {"is cached - skipping run": ": from DVC cache", "didn't change": ": nothing to do"}
SILENT = re.compile("$|> python -m |(Updating|Generating) lock|Use `dvc push`|Data and pipelines are")
ADVICE = "To track the changes with git, run:"  # and what DVC says after it
TIMED = ("cost", "mixed", "published", "routing")  # stages that measure time
USUAL = 5.0  # seconds of a stage that does not train, until one of its kind has run
STAND_IN = "data/stand_in"
NAMED = 4  # files that differ, in the last line


def main(folder: str):
    if not Path(folder, "dvc.yaml").is_file():
        known = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("pipelines/*/dvc.yaml"))
        raise ValueError(f"FOLDER: {folder!r} holds no dvc.yaml; known: ., {', '.join(known)}")
    os.chdir(folder)
    readable()
    root = load().get("data", {}).get("root", STAND_IN)
    if root != STAND_IN and not Path(root).exists():
        fetch = f"{STAND_IN} is made here, others are yours to fetch: see the table's page in docs/"
        raise ValueError(f"data.root: {root!r}: not found, as seen from {folder}; {fetch}")
    show(compute(TIMED))
    output(sys.executable, "-m", "tools.pages", folder=ROOT)
    print(verdict(folder))


def compute(timed):
    """`dvc repro` in the working folder, its stages side by side; returns those that did not run.

    Stages of the kinds `timed` measure time, and have the machine to themselves.
    """
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if (
            ending == signal.SIGINT or signal.getsignal(ending) != signal.SIG_IGN
        ):  # nohup outlives its terminal
            signal.signal(ending, signal.default_int_handler)
    jobs = processors()
    stages = pipeline.resolved(pipeline.stages("dvc.yaml"), load())
    before = pipeline.sources({name: pipeline.paths(stage) for name, stage in stages.items()})
    heal.wait()
    heal.heal()
    Work({"code": stages["code"]}, before, 1).do()  # the stage that decides what is stale
    stale = json.loads(output("dvc", "status", "--json")).keys() - {"code"}
    todo = {name: stage for name, stage in stages.items() if name in stale or before[name] & stale}
    work = Work(todo, before, jobs, timed)
    work.do()
    return {name: stage for name, stage in stages.items() if name not in work.ran}


def processors():
    """How many stages run side by side: JOBS, or one on each processor."""
    jobs = os.getenv("JOBS") or str(len(os.sched_getaffinity(0)))
    if not jobs.isdecimal() or not int(jobs):
        raise ValueError(f"JOBS: {jobs!r} is not a number of stages")
    return int(jobs)


def show(stages):
    """Run those without outputs, which write to MLflow: empty in a fresh clone, where DVC does nothing."""
    for name, stage in stages.items():
        if not pipeline.paths(stage)["outs"]:
            print(f"{name}: runs here too, for MLflow has a database of its own", flush=True)
            if subprocess.run([sys.executable, *stage["cmd"].split()[1:]]).returncode:
                raise ValueError(f"{name}: failed, see above")


def verdict(folder):
    """Whether what was computed here is what git holds; the user's own edits do not count."""
    status = output("git", "status", "--short", "--", "dvc.lock", "metrics").splitlines()
    changed = [line[3:] for line in status]
    if not changed:
        return "the numbers are those in git"
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return (
        f"not as in git: {', '.join(changed[:NAMED])}{more}; in {folder} "
        "`git add dvc.lock metrics :/README.md :/docs` and `dvc push` keep it, "
        "`git checkout dvc.lock metrics` and `python -m tools.pages` return to what was"
    )


class Work:
    """Stages side by side, each after those that it needs; first those on which most training waits."""

    def __init__(self, stages, before, jobs, timed=TIMED):
        self.before = {name: before[name] & stages.keys() for name in stages}
        self.recorded = {name: recorded(stage) for name, stage in stages.items()}
        self.jobs, self.timed, self.screen = jobs, timed, sys.stdout.isatty()
        self.running, self.took = {}, {}  # name -> (its process, when it began); -> seconds, when done
        self.ran = set()  # names, without those for which DVC saw nothing to do

    def do(self):
        waiting, failed, futures = self.queue(), [], {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while futures or (waiting and not failed):
                    for name in [] if failed else self.ready(waiting, [*futures.values()]):
                        waiting.remove(name)
                        futures[pool.submit(self.repro, name, len(self.before) - len(waiting))] = name
                    over, _ = wait(futures, timeout=1, return_when=FIRST_COMPLETED)
                    for future in over:
                        name = futures.pop(future)
                        future.result()
                        failed += [name] if name not in self.took else []
                    self.say()
            finally:
                for process, _ in list(self.running.values()):  # if this was interrupted
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGINT)
        if failed:
            raise ValueError(f"{', '.join(failed)}: failed, see above; ./reproduce goes on from there")

    def ready(self, waiting, running):
        """Stages that may begin now; one that measures time begins last and has the machine to itself."""
        ready = [name for name in waiting if self.before[name] <= self.took.keys()]
        alone = {name for name in [*ready, *running] if kind(name) in self.timed}
        shared = [name for name in ready if name not in alone]
        if shared or running:
            return [] if alone.intersection(running) else shared[: max(0, self.jobs - len(running))]
        return ready[:1]

    def queue(self):
        """All stages; those followed by the longest training come first."""
        longest = {}
        for name in sorted(self.before, key=lambda name: len(self.before[name]), reverse=True):
            after = [longest[each] for each in self.before if name in self.before[each]]
            longest[name] = self.recorded[name] + max(after, default=0)
        return sorted(self.before, key=longest.get, reverse=True)

    def repro(self, name, number):
        """`dvc repro` of one stage, the one with that `number`; prints its output, not DVC's."""
        place = f"[{number:2}/{len(self.before)}] " if len(self.before) > 1 else ""
        command = ["dvc", "--wait-for-lock", "repro", "--single-item", name]
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        # It gets its own process group, for DVC leaves interrupts to the command that it runs.
        with subprocess.Popen(command, start_new_session=True, **said) as process:
            self.running[name], advice = (process, time.monotonic()), False
            for line in map(str.rstrip, process.stdout):
                advice = advice or line == ADVICE
                if begun := BEGUN.match(line):
                    self.say(f"{place}{name}{NOT_RUN[begun[1]] if begun[1] else place and self.left()}")
                    if not begun[1]:
                        self.ran.add(name)
                elif not advice and not SILENT.match(line):
                    self.say(line)
        if not process.returncode:
            self.took[name] = self.elapsed(name)
        del self.running[name]

    def left(self):
        """How much time is left: training takes as long as when it was committed, at the pace until now, and
        any other stage the median of its kind until now, if there is one."""
        known = [name for name in self.took if self.recorded[name]]
        pace = sum(map(self.took.get, known)) / sum(map(self.recorded.get, known)) if known else 1.0
        kinds = {}
        for name in self.took.keys() - known:
            kinds.setdefault(kind(name), []).append(self.took[name])
        ahead = {
            name: pace * seconds or median(kinds.get(kind(name), [USUAL]))
            for name, seconds in self.recorded.items()
            if name not in self.took
        }
        begun = sum(min(self.elapsed(name), ahead.get(name, 0)) for name in [*self.running])
        left = (sum(ahead.values()) - begun) / self.jobs
        return f"  ({duration(left)} left)" if left > 0 else ""

    def elapsed(self, name):
        now = time.monotonic()
        return now - self.running.get(name, (None, now))[1]

    def place(self, name):
        """What runs where; here it is one machine."""
        return name

    def say(self, line=None):
        """Print a line; on a terminal the running stages stand below it."""
        running = ", ".join(f"{self.place(name)} {duration(self.elapsed(name))}" for name in [*self.running])
        text = "" if line is None else f"{line}\n"
        if self.screen:
            width = shutil.get_terminal_size().columns - 1
            text = f"\r\033[K{text}{running:.{width}}"
        sys.stdout.write(text)
        sys.stdout.flush()


def kind(name):
    return name.partition("@")[0]


def recorded(stage):
    """The seconds that a stage trained when its number was committed; 0 if it does not train."""
    for path in pipeline.paths(stage)["outs"]:
        record = Path(path.replace("metrics/curves/", "metrics/environment/"))
        if path.startswith("metrics/curves/") and record.exists():
            return read_json(record)["wall_seconds"]
    return 0.0


def duration(seconds):
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


if __name__ == "__main__":
    run(main)

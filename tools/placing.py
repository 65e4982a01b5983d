"""Stages as tasks of Ray: who may begin, what it takes of a node, what comes back, and how far all is."""

import os
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from specialists.base.command import output
from specialists.base.files import replacing
from specialists.base.params import load, read
from specialists.tracking import pipeline
from tools import nodes, plan
from tools.reproduce import Work, kind, processors

TABLE = Path(__file__).resolve().parents[1] / "cluster.yaml"
LOGS = Path("scratch/cluster")
# Where Ray notes the address of a cluster: also of one that was killed, or that a process has for itself.
CURRENT = Path("/tmp/ray/ray_current_cluster")
HERE, PATIENCE = "127.0.0.1", 5  # seconds, for a head on another machine
REMOTE = ("fetching", "pushing")  # what fails for every stage if it fails for one
REPEATED = re.compile("ERROR: failed to reproduce ")
COUNTED = re.compile("files? failed to (up|down)load$")  # after a line for each, with the reason
RETRIES = 5  # of a stage whose node died
REST = 9  # dvc.lock is written in a tenth of the time at most: 1,000 entries take seconds
# Ray reports to nobody, ends what a worker has started, and alone on a machine listens on loopback only.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_process_group_cleanup_enabled": "1", "RAY_worker_niceness": "0"}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True)
class Needs:
    """A row of cluster.yaml."""

    cpus: int
    gpus: float
    memory: float
    machine: str

    def __str__(self):
        machine = f" and is of the kind {self.machine!r}" if self.machine else ""
        return f"{self.cpus} cpus, {self.gpus} gpus and {self.memory} GiB{machine}"

    def __post_init__(self):
        if self.cpus < 1 or self.gpus < 0 or self.memory < 0:
            raise ValueError(f"{self}: expected at least one cpu, and nothing below zero")

    def options(self):
        found = {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": int(self.memory * 2**30) or None}
        return found | ({"label_selector": {"machine": self.machine}} if self.machine else {})

    def fit(self, node):
        """Whether a node, if it were idle, could do it."""
        has = node["Resources"]
        takes = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory * 2**30}
        labels = {"", node["Labels"].get("machine")}
        return self.machine in labels and all(has.get(key, 0) >= value for key, value in takes.items())


def needs(name):
    row = kind(name)
    return read(row if row in load(TABLE) else "default", Needs, path=TABLE)


def connect():
    """Join the cluster that there is, or begin one of this machine alone; where it is."""
    os.environ |= QUIET
    address = cluster()
    if not address or address.startswith(HERE):
        os.environ |= LOOPBACK  # which Ray reads when it is loaded
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        return f"the cluster at {ray.init(address=address, **quiet).address_info['gcs_address']}"
    alone = {"include_dashboard": False, "object_store_memory": 200 << 20, "_node_ip_address": HERE}
    ray.init(address="local", num_cpus=processors(), **alone, **quiet)
    return "this machine"


def cluster():
    """The address of the cluster to join, or none."""
    if (address := os.getenv("RAY_ADDRESS", "")) and not answers(address):
        raise ValueError(f"RAY_ADDRESS: {address!r}: no cluster answers; expected HOST:PORT of its head")
    noted = CURRENT.read_text().strip() if CURRENT.exists() else HERE
    return address or (noted if not noted.startswith(HERE) and answers(noted) else "")


def answers(address):
    """Whether somebody listens: for a cluster that was killed, Ray waits without an end."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


class Lock:
    """dvc.lock as a serial `dvc repro` writes it: what git holds, in its order, then what is new."""

    def __init__(self, order):
        self.entries = pipeline.stages("dvc.lock") if Path("dvc.lock").exists() else {}
        self.order, self.due = order, 0.0

    def save(self, now=True):
        from dvc.utils.serialize import dump_yaml

        if not now and time.monotonic() < self.due:
            return
        began = time.monotonic()
        names = [name for name in dict.fromkeys([*self.held(), *self.order]) if name in self.entries]
        entries = {name: self.entries[name] for name in names} | self.entries
        with replacing("dvc.lock") as draft:
            dump_yaml(str(draft), {"schema": "2.0", "stages": entries})
        self.due = time.monotonic() + REST * (time.monotonic() - began)

    def held(self):
        known = output("git", "ls-tree", "--name-only", "HEAD", "dvc.lock")
        return pipeline.stages("dvc.lock", pipeline.at("HEAD")("dvc.lock")) if known else {}


class Placed(Work):
    """Stages on a cluster, each when all before it are done; after a failure, all that do not need it."""

    def __init__(self, steps, todo, before, given, whole):
        super().__init__(todo, before, 1)
        self.steps, self.given, self.whole, self.lock = steps, given, whole, Lock([*steps])
        self.table = {name: needs(name) for name in todo}
        self.tasks, self.places, self.failed, self.stopped = {}, {}, [], ""
        self.processors = Counter()

    def __enter__(self):
        where = connect()
        import ray

        ray.cloudpickle.register_pickle_by_value(nodes)
        self.ray = ray
        alive = self.alive()
        self.jobs = processors_of(alive)
        for name, row in self.table.items():
            if not any(map(row.fit, alive)):
                raise ValueError(f"cluster.yaml: {name}: no node of {where} has {row}")
        self.tree, self.board = ray.put(self.given[0]), self.beside(nodes.Board)
        self.task = ray.remote(max_retries=RETRIES, scheduling_strategy="SPREAD")(nodes.run)
        count = f"{len(self.before)} of {len(self.steps)} stages to do"
        self.say(f"{count}, on {where}: {len(alive)} nodes, {self.jobs} processors")
        return self

    def beside(self, actor):
        """On the node of this process, which dies with it alone."""
        node = self.ray.get_runtime_context().get_node_id()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        return self.ray.remote(num_cpus=0, scheduling_strategy=here)(actor).remote()

    def __exit__(self, *_):
        self.ray.shutdown()

    def alive(self):
        """The nodes of now: some die, some join."""
        return [each for each in self.ray.nodes() if each["Alive"]]

    def do(self):
        waiting = self.queue()
        while True:
            self.jobs = processors_of(self.alive())
            for name in [] if self.stopped else self.ready(waiting, [*self.running]):
                waiting.remove(name)
                self.begin(name)
            if not self.tasks:
                break
            for task in self.ray.wait([*self.tasks], timeout=1)[0]:
                self.end(self.tasks.pop(task), task)
            self.places = self.ray.get(self.board.all.remote())
            self.say()
            self.lock.save(now=False)
        self.lock.save()
        self.conclude(waiting)

    def begin(self, name):
        step, (_, folder, settings) = self.steps[name], self.given
        names = (*sorted(step.needs), name)
        known = self.lock.entries.keys() - ({name} if step.lost else set())
        lock = {each: self.lock.entries[each] for each in names if each in known}
        files = nodes.read(Path.cwd(), [*step.sends, *step.kept, *beside(step.kept)])
        files["dvc.yaml"] = plan.part(*self.whole, names)
        job = nodes.Job(name, folder, settings, step.pulls, files, lock, step.kept)
        task = self.task.options(name=name, **self.table[name].options()).remote(job, self.tree, self.board)
        self.tasks[task], self.running[name] = name, (None, time.monotonic())

    def end(self, name, task):
        try:
            done = self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            done = {"failed": "its node", "said": str(error)}
        place, took = self.place(name, done.get("node")), self.elapsed(name)
        del self.running[name]
        if "failed" in done:
            return self.fail(name, place, done["failed"], done["said"])
        self.took[name] = took
        self.processors[done["processor"]] += 1
        self.keep(self.steps[name].kept, done["files"])
        self.lock.entries[name] = done["lock"]
        pull, repro, push = (f"{each:.1f}" for each in done["seconds"])
        count = f"[{len(self.took):2}/{len(self.before)}]"
        self.say(f"{count} {place}: {took:.1f} s (pull {pull}, repro {repro}, push {push}){self.left()}")

    def fail(self, name, place, what, said):
        """One line; what it had printed is in a file."""
        log = LOGS / f"{name}.log"
        log.write_text(said)
        reason = said_of(what, said)
        self.failed.append(name)
        if what in REMOTE:
            self.stopped = f"{what}: the remote failed, so nothing new begins"
        self.say(f"FAILED {place}: {what}: {reason} (all of it: {log})")

    def keep(self, kept, files):
        """Files of git as the node left them; what a folder held before goes."""
        for path in nodes.read(Path.cwd(), kept).keys() - files.keys():
            Path(path).unlink()
        nodes.write(Path.cwd(), files)

    def conclude(self, waiting):
        for name in waiting:
            missing = sorted(self.before[name] & {*self.failed})
            self.say(f"not run: {name}, which needs {', '.join(missing)}" if missing else f"not run: {name}")
        if len(self.processors) > 1 and load()["compute"]["mode"] != "portable":
            kinds = ", ".join(f"{one} ({count} stages)" for one, count in self.processors.items())
            self.say(
                f"bits depend on the processor, and there were several: {kinds}; name one in cluster.yaml"
            )
        if self.failed:
            raise ValueError(
                f"{len(self.failed)} failed, {len(waiting)} not run{self.stopped and f' ({self.stopped})'}: "
                "see above; the same command goes on from there"
            )

    def place(self, name, node=None):
        """What runs where, as far as is known."""
        names = {each["NodeID"]: each["NodeName"] for each in self.ray.nodes()}
        return f"{name} on {names.get(node or self.places.get(name), 'no node yet')}"


def processors_of(alive):
    """How many stages run side by side; one at least, for that is a divisor."""
    return max(1, int(sum(each["Resources"].get("CPU", 0) for each in alive)))


def said_of(what, said):
    """The line that tells most: of a stage its last, of DVC's remote the first error, best that of a file."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not REPEATED.match(line)]
    errors = [line for line in lines if line.startswith("ERROR")]
    if errors and what in REMOTE:
        return next((line for line in errors if not COUNTED.search(line)), errors[0])[:300]
    return (lines or ["it said nothing"])[-1][:300]


def beside(kept):
    """Where the machines are named that computed some numbers."""
    curves = [path.replace("metrics/curves/", "metrics/environment/", 1) for path in kept]
    return {*curves, *(path.replace("metrics/", "metrics/environment/", 1) for path in kept)} - {*kept}

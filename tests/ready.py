"""A Python that has loaded torch and others once, and becomes each stage that DVC starts: it begins at once.

`path(place)` is a PATH on which this stands for `python`, for a test that kills no stage. With LOADED in its
environment a stage writes into that folder which files it loaded, and what sections of params.yaml it read.
With CHECKOUT all files come from there.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path

from specialists.base import portable

# In place of `python`: it asks for the module that stands in its arguments, and ends as that does.
# What Python would read from PYTHONPATH when it starts needs one that starts.
CLIENT = """#!{python} -ES
import array, json, os, socket, sys
if sys.argv[1:2] != ["-m"] or "PYTHONPATH" in os.environ:
    os.execv("{python}", ["{python}", *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX)
connection.connect("{socket}")
asked = json.dumps([os.getcwd(), sys.argv[2:], dict(os.environ)]).encode()
streams = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
connection.sendmsg([len(asked).to_bytes(4, "big")], [streams])
connection.sendall(asked)
os._exit((connection.recv(1) or b"\\x89")[0])  # the last: as of one that was killed
"""


def environment(**more):
    """For processes of their own, which must say for themselves that they compute portably."""
    ours = {*portable.VARIABLES, "ONEDNN_MAX_CPU_ISA"}  # the last by a stage that was called in this process
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def path(place):
    """For stages of the pipeline at `place`."""
    params = place / "params.yaml"
    return _path(params.is_file() and portable.wanted(params))


@cache
def _path(portably):
    folder = tempfile.TemporaryDirectory()
    where, client = f"{folder.name}/socket", Path(folder.name) / "python"
    client.write_text(CLIENT.format(python=sys.executable, socket=where))
    client.chmod(0o755)
    env = environment(**portable.VARIABLES if portably else {})
    words = [sys.executable, "-m", "tests.ready", where]
    held = {"stdin": subprocess.PIPE}  # so that it ends with us, however that is
    server = subprocess.Popen(words, cwd=Path(__file__).parents[1], env=env, **held)
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)
    while not Path(where).exists():
        assert server.poll() is None, f"{words} ended"
        time.sleep(0.05)
    return f"{folder.name}:{os.environ['PATH']}"


def serve(where):
    """Wait for clients until nobody holds the other end of stdin."""
    import matplotlib.figure  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch._dynamo  # noqa: F401, which deterministic algorithms and optimizers load

    gc.freeze()  # or each that ends looks through all of torch
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen()
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            become(connection)
        connection.close()


def become(connection):
    """The stage that a client asks for."""
    length, streams, *_ = socket.recv_fds(connection, 4, 3)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    asked = connection.makefile("rb").read(int.from_bytes(length, "big"))
    folder, sys.argv, env = json.loads(asked)
    os.chdir(folder)
    kept = {name: value for name, value in os.environ.items() if name in portable.VARIABLES}
    os.environ.clear()
    os.environ.update(env | kept)
    sys.path[0] = env.get("CHECKOUT", folder)
    for name in [each for each in sys.modules if each.split(".")[0] == "specialists"]:
        del sys.modules[name]  # those of this checkout
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        if "LOADED" in env:
            note(Path(env["LOADED"]))
        code = 0
    except SystemExit as end:  # the stage has said why
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    connection.send(bytes([code]))
    sys.exit(code)


def note(folder):
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    params = sys.modules.get("specialists.base.params")
    _noted(folder, sys.argv).write_text(json.dumps([files, [*params.seen()] if params else []]))


def noted(folder, command):
    """(files, sections of params.yaml) of a stage that ran as `command` says, with LOADED."""
    return json.loads(_noted(folder, command.split()[2:]).read_text())


def _noted(folder, words):
    return folder / f"{' '.join(words).replace('/', ':')}.json"


if __name__ == "__main__":
    serve(sys.argv[1])

"""pytest that has its imports behind it: a server that forks for every run, and its client.

``python warm.py SOCKET --serve MUTATED MODULE ...`` imports modules, none of which may import the
one that is mutated, and waits;
``python -IS warm.py SOCKET ARGUMENT ...`` has it run pytest, and exits as pytest does. A run ends
with its client, so a time limit for the client is one for the run. It needs a Unix.
"""

import json
import os
import select
import signal
import socket
import sys


def serve(path, mutated, modules):
    """Answer clients, one at a time, until the end of the process."""
    for name in modules:
        __import__(name)
    if mutated in sys.modules:
        raise SystemExit("{} is imported before it is mutated".format(mutated))
    # A mutant is as old as the next one, and often as long.
    sys.dont_write_bytecode = True
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    while True:
        client, _ = server.accept()
        child = os.fork()
        if not child:
            os._exit(run(json.loads(client.makefile().readline())))
        try:
            client.sendall(b"%d" % status_of(child, client))
        except OSError:
            pass  # The client's time was over.
        client.close()


def run(arguments):
    """The exit status of pytest, in this process."""
    os.setpgrp()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    import pytest

    return int(pytest.main(arguments))


def status_of(child, client):
    """That of a child process, which is killed when its client is gone."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        # All that a client says was read, so it is readable when it ends.
        if select.select([client], [], [], 0.005)[0]:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 1


def ask(path, arguments):
    """The exit status of a run in the server."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(json.dumps(arguments).encode() + b"\n")
    return int(client.recv(16))


if __name__ == "__main__":
    path, *rest = sys.argv[1:]
    if rest[:1] == ["--serve"]:
        serve(path, rest[1], rest[2:])
    sys.exit(ask(path, rest))

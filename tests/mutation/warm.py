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

# What a client prints that ends as pytest did, and for no other reason.
ANSWERED = "pytest ended"


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
        with client, client.makefile() as asked:
            # All of it: what can be read from now on is the client's end.
            arguments = json.loads(asked.readline())
            child = os.fork()
            if not child:
                os._exit(run(arguments))
            os.setpgid(child, child)
            status = status_of(child, client)
            if status is not None:
                client.sendall(b"%d" % status)


def run(arguments):
    """The exit status of pytest, in this process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    import pytest

    return int(pytest.main(arguments))


def status_of(child, client):
    """That of a child process; None if its client is gone, with which it ends."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        if select.select([client], [], [], 0.005)[0]:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None


def ask(path, arguments):
    """The exit status of a run in the server."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(json.dumps(arguments).encode() + b"\n")
    answer = client.recv(16)
    if not answer:
        raise SystemExit("the server of the tests ended")
    print(ANSWERED)
    return int(answer)


if __name__ == "__main__":
    path, *rest = sys.argv[1:]
    if rest[:1] == ["--serve"]:
        serve(path, rest[1], rest[2:])
    sys.exit(ask(path, rest))

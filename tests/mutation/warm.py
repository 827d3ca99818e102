"""pytest that has its imports behind it: a server that forks for every run, and its client.

``python warm.py SOCKET --serve MUTATED MODULE ...`` imports modules, none of which may import the
one that is mutated, and waits;
``python -IS warm.py SOCKET ARGUMENT ...`` has it run pytest, and exits as pytest does; before its
arguments, ``--reached MODULE FILE`` has it written which functions of a module each test calls. A
run ends with its client, so a time limit for the client is one for the run. It needs a Unix.
"""

import json
import os
import select
import signal
import socket
import sys

# What a client prints first that ends as pytest did, and for no other reason.
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
            told, tells = os.pipe()
            child = os.fork()
            if not child:
                os._exit(run(arguments, tells))
            os.setpgid(child, child)
            os.close(tells)
            status = status_of(child, client)
            with os.fdopen(told) as file:
                if status is not None:
                    answer = {"status": status, "failed": file.read()}
                    client.sendall(json.dumps(answer).encode() + b"\n")


class First:
    """A plugin of pytest that tells of the test which failed first, and ended the run."""

    def __init__(self, tells):
        self.tells = tells

    def pytest_runtest_logreport(self, report):
        """Of a test that failed its name, in a pipe that holds one."""
        if report.failed:
            os.write(self.tells, report.nodeid.encode()[: select.PIPE_BUF])


class Reached:
    """A plugin of pytest that writes which functions of a file each test calls.

    As a table of tests and, of the functions, first lines; what is called outside of tests, such as
    where modules are imported, stands under "".
    """

    def __init__(self, file, path):
        self.file, self.path, self.found = os.path.abspath(file), path, {}
        self.begin("")

    def begin(self, test):
        """What is called from now on is called by this test."""
        here = self.found.setdefault(test, [])

        def trace(frame, event, _):
            code = frame.f_code
            if code.co_filename == self.file and code.co_firstlineno not in here:
                here.append(code.co_firstlineno)

        sys.settrace(trace)

    def pytest_runtest_logstart(self, nodeid):
        """Before each test."""
        self.begin(nodeid)

    def pytest_runtest_logfinish(self):
        """After it."""
        self.begin("")

    def pytest_sessionfinish(self):
        """After all."""
        sys.settrace(None)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(self.found, file)


def run(arguments, tells):
    """The exit status of pytest, in this process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    import pytest

    plugins = [First(tells)]
    if arguments[0] == "--reached":
        plugins.append(Reached(*arguments[1:3]))
        arguments = arguments[3:]
    return int(pytest.main(arguments, plugins=plugins))


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
    """The exit status of a run in the server; what failed is printed."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(json.dumps(arguments).encode() + b"\n")
    with client.makefile() as file:
        answer = file.readline()
    if not answer:
        raise SystemExit("the server of the tests ended")
    answer = json.loads(answer)
    print(ANSWERED, answer["failed"])
    return answer["status"]


if __name__ == "__main__":
    path, *rest = sys.argv[1:]
    if rest[:1] == ["--serve"]:
        serve(path, rest[1], rest[2:])
    sys.exit(ask(path, rest))

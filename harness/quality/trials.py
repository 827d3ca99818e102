"""Trials side by side, each in a process of its own that has judged nothing before.

Where there can be a server of forks, each process is one of an interpreter that has imported all
and done nothing: a cold start at the price of a fork. What the imports take is measured apart.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import wait
from typing import Any, Dict, Iterator, Sequence, Tuple

from rnndiff.harness.errors import in_one_line
from rnndiff.harness.quality.power import GRAPH, Trial, run_trial
from rnndiff.harness.stop import Stop, without_signals_of_a_terminal
from rnndiff.harness.subjects.orphans import end_with

# Seconds between two looks at whether to stop, and that a trial may take at most.
_LOOKS_EVERY, _ENDS = 0.25, 900.0
_MODULES = [__name__]
_OF_GRAPHS = ["rnndiff.models.tf1", "rnndiff.harness.subjects.tensorflow"]


def run_trials(
    trials: Sequence[Trial], workers: int, stop: Stop
) -> Iterator[Tuple[Trial, Dict[str, Any]]]:
    """What came of each trial, as :func:`rnndiff.harness.quality.power.run_trial` has it.

    One that ended its process, or took too long, has an "error" instead. When `stop` is asked to
    end, those that run are ended and left out.
    """
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        of_graphs = any(trial.task.planted_in == GRAPH for trial in trials)
        context.set_forkserver_preload(_MODULES + (_OF_GRAPHS if of_graphs else []))
    waiting = list(trials)
    running: Dict[Any, Tuple[Trial, Any, float]] = {}
    try:
        while (waiting or running) and not stop.signal:
            while waiting and len(running) < workers:
                trial = waiting.pop(0)
                end, process = _started(context, _measure, trial)
                running[end] = trial, process, time.monotonic()
            ready = wait(list(running), _LOOKS_EVERY)
            for end, (trial, process, began) in list(running.items()):
                if end not in ready and time.monotonic() - began < _ENDS:
                    continue
                result: Dict[str, Any] = {"error": "it took too long"}
                if end in ready:
                    try:
                        result = end.recv()
                    except (EOFError, OSError):
                        result = {"error": "it ended its process"}
                _end(end, process)
                del running[end]
                yield trial, result
    finally:
        for end, (_, process, _) in running.items():
            _end(end, process)


def seconds_of_imports(of_graphs: bool) -> float:
    """Processor seconds from the start of an interpreter until it could begin with a trial."""
    end, process = _started(multiprocessing.get_context("spawn"), _import, of_graphs)
    try:
        return float(end.recv())
    finally:
        _end(end, process)


def _started(context: Any, function: Any, what: Any) -> Tuple[Any, Any]:
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(theirs, what), daemon=True)
    with without_signals_of_a_terminal():
        process.start()
    theirs.close()
    return mine, process


def _end(end: Any, process: Any) -> None:
    process.kill()
    process.join()
    end.close()


def _measure(end: Any, trial: Trial) -> None:
    # A server of forks ends with who started it, and this with the server.
    end_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        result = run_trial(trial)
    except Exception as error:
        result = {"error": in_one_line(error)}
    with contextlib.suppress(OSError):
        end.send(result)


def _import(end: Any, of_graphs: bool) -> None:
    end_with(os.getppid())
    if of_graphs:
        import importlib

        for module in _OF_GRAPHS:
            importlib.import_module(module)
    end.send(time.process_time())

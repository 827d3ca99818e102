"""When this process begins to take part in a run: once there is something to judge or to tell."""

from typing import Any


def begin(config: Any) -> Any:
    """Keep what is found from now on; the part of this process in the run, which may have begun."""
    if config.rnndiff is None:
        from rnndiff.harness.pytest_plugin import process

        kind = process.Worker if hasattr(config, "workerinput") else process.Main
        config.rnndiff = kind(config)
        config.pluginmanager.register(config.rnndiff, "rnndiff-process")
        config.rnndiff.begin()
    return config.rnndiff

"""The project's own tests use what it brings for those of others."""

pytest_plugins = ["harness.pytest_plugin"]

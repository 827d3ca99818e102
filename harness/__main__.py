"""``python -m harness`` is ``rnndiff``."""

from harness.cli import main

main()

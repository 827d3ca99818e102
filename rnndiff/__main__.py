"""``python -m rnndiff`` is ``rnndiff``."""

from rnndiff.harness.cli import main

main()

"""The tests of this folder share cells that are wrong."""

import os
import sys

# Of no use to anybody else, so not in the package.
sys.path.insert(0, os.path.dirname(__file__))

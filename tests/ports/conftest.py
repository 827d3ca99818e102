"""The tests of this folder share their ports."""

import os
import sys

# Of no use to anybody else, so not in the package.
sys.path.insert(0, os.path.dirname(__file__))

"""The tests of this folder share their scripts, and the cases of the tests of the harness."""

import os
import sys

for folder in (os.path.dirname(__file__), os.path.join(os.path.dirname(__file__), "..", "harness")):
    sys.path.insert(0, os.path.abspath(folder))

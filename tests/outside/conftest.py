"""The package of a user's that the tests of this folder import."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

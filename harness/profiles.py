"""The profiles of Hypothesis that cases are drawn with: deterministic, or random when exploring."""

import os
import zlib
from typing import Any, Dict

from hypothesis import HealthCheck, Phase, seed, settings

# A failing case is shrunk by rnndiff.harness.shrinking: Hypothesis, which knows nothing of graphs,
# would build a new one at almost every step.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
PROFILES: Dict[str, Dict[str, Any]] = {
    "quick": dict(max_examples=5, derandomize=True, phases=_PHASES),
    "default": dict(max_examples=20, derandomize=True, phases=_PHASES),
    "thorough": dict(max_examples=1000, derandomize=False, phases=_PHASES + (Phase.target,)),
}


def load_profile(name: str = "") -> None:
    """Register the profiles, and use one; by default the one that the environment asks for.

    What a `conftest.py` calls, so that the tests beside it draw cases as those of rnndiff do: the
    profile "default" takes the place of Hypothesis' own of that name, which has a deadline.
    """
    for each, chosen in PROFILES.items():
        settings.register_profile(
            each,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                # Of one batch the least is small enough, of two in a test it is not.
                HealthCheck.large_base_example,
            ],
            print_blob=False,
            report_multiple_bugs=False,
            **chosen,
        )
    settings.load_profile(name or os.environ.get("HYPOTHESIS_PROFILE") or "default")


def seed_by_name(test: Any, name: str) -> None:
    """Where nothing is random, let a parametrized test draw other cases for each parameter.

    To Hypothesis they are one function, which would draw the same for all.
    """
    if settings().derandomize:
        seed(zlib.crc32(name.encode()))(test)

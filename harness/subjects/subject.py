"""An implementation under test: it takes a case and returns its trace."""

from typing import Mapping, Optional, Tuple

import numpy as np

from harness.arithmetic import Arithmetic
from harness.case import Case
from harness.divergences import Entry


class Subject:
    """An implementation under test.

    Derive from it to test your own: say how to compute a case, and in which arithmetic.

    Attributes
    ----------
    known : tuple of entries of ``harness.divergences``
        Where it is known to be wrong.
    """

    known: Tuple[Entry, ...] = ()

    @property
    def label(self) -> str:
        """What failing cases say they failed on."""
        return type(self).__name__

    @property
    def premise(self) -> str:
        """What its arithmetic presumes, and where that comes from, in one line; "" if not known."""
        return ""

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """Compute every array of the trace, with the oracle's names and shapes.

        Raises
        ------
        SubjectError
            If the implementation raises an error instead: that is a disagreement.
        """
        raise NotImplementedError

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which it would end the process in computing `case`; None if it does not."""
        return None

    def arithmetic(self, case: Case) -> Arithmetic:
        """The arithmetic in which it computes this case: the same for all cases of a config."""
        raise NotImplementedError

"""What a limit of time may be, wherever one is given."""

from typing import Union

# A day; more than clocks take is no time either.
MOST_SECONDS = 86400.0


def seconds(limit: Union[str, float]) -> float:
    """The seconds of a limit, of a number or its text.

    Raises
    ------
    ValueError
        If it is no number, not above 0, or above :data:`MOST_SECONDS`.
    """
    if not 0 < float(limit) <= MOST_SECONDS:
        raise ValueError(
            "a limit is above 0 and up to {:g} seconds, not {}".format(MOST_SECONDS, limit)
        )
    return float(limit)

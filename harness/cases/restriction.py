"""What is drawn of a model for somebody who does not compute all of it.

Sizes that are fixed or in ranges, options of one value, no sizes of 0. What is drawn, and what it
shrinks to, stays within.
"""

import difflib
import re
from dataclasses import fields
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

from rnndiff.harness.errors import UserError
from rnndiff.harness.files import numbers_in
from rnndiff.harness.text import printable
from rnndiff.models import Model
from rnndiff.models.layout import Size, is_optional, options_in, sizes_in

Range = Tuple[int, int]
# Numbers that one case may have: of a gigabyte in balls, and somewhat more in a stack of some.
_MOST_NUMBERS = 2**24
# Of which a batch may have as many cases as of small ones.
_FEW_NUMBERS = 2**14
# A size of 0 is drawn once in so many rounds through the others: without rows, inputs or units
# there is little to compare.
_ZERO_EVERY = 6


class _Sizes(Sequence[int]):
    """Each of a range, which may be a long one, so many times, and then 0 once if need be."""

    def __init__(self, sizes: range, zero: bool) -> None:
        self._sizes, self._zero = sizes, zero

    def __len__(self) -> int:
        return len(self._sizes) * _ZERO_EVERY + self._zero

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(place)
        zero = place == len(self._sizes) * _ZERO_EVERY
        return 0 if zero else self._sizes[place % len(self._sizes)]


class Restriction(NamedTuple):
    """What may be drawn; by default anything. :func:`make_restriction` makes one.

    Parameters
    ----------
    ranges : dict of str to (int, int)
        The least and the largest of some sizes.
    options : dict of str to value
        Of the config, those that have one value.
    empty : bool
        Whether sizes may be 0.
    """

    ranges: Mapping[str, Range] = {}
    options: Mapping[str, Any] = {}
    empty: bool = True

    def allows(self, config: Any) -> bool:
        """Whether a config is within."""
        if not self.empty and 0 in config.sizes().values():
            return False
        return all(
            value is not None and least <= value <= most
            for value, (least, most) in ((getattr(config, x), y) for x, y in self.ranges.items())
        ) and all(getattr(config, name) == value for name, value in self.options.items())

    def sizes(self, name: str, known: Size, largest: int) -> Sequence[int]:
        """What is drawn for a size, the simplest first, each as often as it is to be drawn.

        Up to `largest`, unless there is none so small.
        """
        least, most = self.ranges.get(name, (known.least, largest))
        low = max(1, least)
        high = min(most, largest) if low <= largest else most
        zero = least == 0 and known.least == 0 and self.empty
        return _Sizes(range(low, high + 1), zero)

    def within(self, name: str, sizes: Sequence[int]) -> List[int]:
        """Those of some values of a size that are within."""
        least, most = self.ranges.get(name, (0, max(sizes, default=0)))
        return [size for size in sizes if least <= size <= most]

    def largest(self, sizes: Mapping[str, int]) -> Dict[str, int]:
        """The largest sizes of a large case, where `sizes` are if nothing is restricted."""
        return dict(sizes, **{name: most for name, (_, most) in self.ranges.items()})

    def nearest(self, Config: Any, given: Mapping[str, Any]) -> Any:
        """The config that is within and nearest to one of these sizes, and options as they are."""
        sizes = dict(given)
        for name, (least, most) in self.ranges.items():
            sizes[name] = min(max(sizes.get(name, 1), least), most)
        return Config(**dict(sizes, **self.options))

    def is_small(self, model: Model) -> bool:
        """Whether the cases with few of all that is not restricted have few numbers."""
        if not self.ranges:
            return True
        small = {name: size.small for name, size in sizes_in(model.Config).items()}
        return _numbers(model, self.nearest(model.Config, small)) <= _FEW_NUMBERS


ANY = Restriction()


def make_restriction(
    model: Model,
    sizes: Mapping[str, Union[int, Range]],
    options: Mapping[str, Any],
    empty: bool = True,
) -> Restriction:
    """A restriction of what is drawn of a model.

    Parameters
    ----------
    model : Model
    sizes : dict of str to int or (int, int)
        What a size is to be, or its least and its largest.
    options : dict of str to value
        What an option of the config is to be.
    empty : bool
        Whether sizes may be 0.

    Raises
    ------
    UserError
        If the model has no such size or option, or it cannot be so.
    """
    known, ranges = sizes_in(model.Config), {}
    for name, given in sizes.items():
        if name not in known:
            raise UserError(_unknown(model, "size", name, list(known)))
        ranges[name] = _range_of(name, given, known[name], empty)
    for name in options:
        left_out = options[name] is None and is_optional(model.Config, name)
        if name not in options_in(model.Config) and not left_out:
            raise UserError(_unknown(model, "option", name, options_in(model.Config)))
    found = Restriction(ranges, dict(options), empty)
    required = {name: 1 for name in known if name in _required(model.Config)}
    try:
        found.nearest(model.Config, required)
        largest = found.nearest(model.Config, found.largest(required))
    except ValueError as error:
        raise UserError("{}.".format(error))
    numbers = _numbers(model, largest)
    if numbers > _MOST_NUMBERS:
        raise UserError(
            "A case of sizes up to these has {} numbers, more than {}: take smaller ones.".format(
                numbers, _MOST_NUMBERS
            )
        )
    return found


def _numbers(model: Model, config: Any) -> int:
    """How many numbers a case and its trace have."""
    arrays: List[Any] = [*model.fields(config), *model.trace]
    return sum(numbers_in(array.shape(config)) for array in arrays)


def options_named(model: Model, names: Sequence[str]) -> Sequence[str]:
    """Names of options of a model, or of sizes of it that may be None.

    Raises
    ------
    UserError
        If one of them is none.
    """
    known = [x for x in sizes_in(model.Config) if is_optional(model.Config, x)]
    known = options_in(model.Config) + known
    for name in names:
        if name not in known:
            raise UserError(_unknown(model, "option", name, known))
    return names


def sizes_named(text: str) -> Dict[str, Range]:
    """The sizes in a text such as "num_units=64,inputs=1-16".

    Raises
    ------
    UserError
        If it is no such text.
    """
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        read = re.match(r"(\w+)=(\d+)(?:-(\d+))?$", part)
        if not read:
            raise UserError(
                "{} says no size: write NAME=SIZE or NAME=LEAST-LARGEST, as in "
                "num_units=64,inputs=1-16.".format(printable(part))
            )
        found[read[1]] = int(read[2]), int(read[3] or read[2])
    return found


def _required(Config: Any) -> List[str]:
    return [field.name for field in fields(Config) if field.default is not None]


def _range_of(name: str, given: Union[int, Range], known: Size, empty: bool) -> Range:
    least, most = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, given)
    if not (_is_whole(least) and _is_whole(most)):
        raise UserError(
            "The size {} is a whole number or a pair of them, the least and the largest, not "
            "{!r}.".format(name, given)
        )
    if least > most:
        raise UserError("The size {} cannot be from {} to {}.".format(name, least, most))
    if least < known.least:
        raise UserError("The size {} is at least {}, not {}.".format(name, known.least, least))
    if not empty and most == 0:
        raise UserError("The size {} cannot be 0 where no size is to be.".format(name))
    return max(int(least), 0 if empty else 1), int(most)


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _unknown(model: Model, what: str, name: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(name), known, 1)
    return "{} has no {} {!r}{}: {}.".format(
        model.name,
        what,
        name,
        " (is it {}?)".format(near[0]) if near else "",
        "its {}s are {}".format(what, ", ".join(known)) if known else "it has none",
    )

"""Arrays as heat maps: small ones with their numbers in the cells, larger ones as pictures."""

from typing import Iterator, List, NamedTuple, Optional

import numpy as np

from rnndiff.harness.report.plots import picture

# Positive, negative, and not a finite number. How opaque says how large, so that they look the same
# on a light and on a dark page.
_POSITIVE, _NEGATIVE, _ODD = (38, 110, 200), (214, 120, 20), (200, 40, 60)
_OPAQUE = 0.75
_COLUMNS = 12
_CELLS = 144
_SLICES = 6


class Cell(NamedTuple):
    """A number, in short and in full, its colour, and whether it is to be marked as wrong."""

    text: str
    full: str
    color: str
    wrong: bool


class Slice(NamedTuple):
    """Two axes of an array, at `place` of the others: rows of cells, or else a picture."""

    place: str
    rows: List[List[Cell]]
    picture: str
    width: int


class HeatMap(NamedTuple):
    """An array to be drawn; ``left_out`` is how many slices are not."""

    title: str
    shape: List[int]
    slices: List[Slice]
    left_out: int


def largest(*arrays: np.ndarray) -> float:
    """The largest finite magnitude in arrays that share a scale; 1 if all is zero."""
    finite = [np.abs(array[np.isfinite(array)]) for array in map(np.asarray, arrays)]
    return float(max((np.max(numbers, initial=0.0) for numbers in finite), default=0.0)) or 1.0


def heat_map(
    title: str, array: np.ndarray, scale: float, wrong: Optional[np.ndarray] = None
) -> HeatMap:
    """Draw an array of any number of axes: the last two are rows and columns.

    Parameters
    ----------
    title : str
    array : array of numbers
    scale : float
        The magnitude that is drawn in the full colour.
    wrong : array of bool of the same shape, optional
        The elements to be marked; where they do not all fit, slices without any are left out.
    """
    array = np.asarray(array, np.float64)
    wrong = np.zeros(array.shape, bool) if wrong is None else wrong
    places = list(np.ndindex(array.shape[:-2]))
    shown = [place for place in places if np.any(wrong[place])]
    shown = (shown if shown and len(places) > _SLICES else places)[:_SLICES]
    in_numbers = array.shape[-1:] <= (_COLUMNS,) and array.size <= _CELLS
    slices = [
        _slice(
            "[{}]".format(", ".join(map(str, place))) if len(places) > 1 else "",
            array[place],
            scale,
            wrong[place],
            in_numbers,
        )
        for place in shown
    ]
    return HeatMap(title, list(array.shape), slices, len(places) - len(shown))


def _slice(
    place: str, array: np.ndarray, scale: float, wrong: np.ndarray, in_numbers: bool
) -> Slice:
    array, wrong = np.atleast_2d(array), np.atleast_2d(wrong)
    colors = _colors(array, scale)
    if in_numbers:
        rows = [list(_cells(*row)) for row in zip(array, colors, wrong)]
        return Slice(place, rows, "", 0)
    return Slice(place, [], picture(colors), min(6 * array.shape[1], 760))


def _cells(numbers: np.ndarray, colors: np.ndarray, wrong: np.ndarray) -> Iterator[Cell]:
    for number, color, marked in zip(numbers.tolist(), colors.tolist(), wrong.tolist()):
        red, green, blue, alpha = color
        css = "rgba({}, {}, {}, {:.2f})".format(red, green, blue, alpha / 255)
        yield Cell("{:.3g}".format(number), "{:.17g}".format(number), css, marked)


def _colors(array: np.ndarray, scale: float) -> np.ndarray:
    """Red, green, blue and opacity of each element, in bytes."""
    finite = np.isfinite(array)
    colors = np.where((array < 0)[..., None], _NEGATIVE, _POSITIVE)
    colors = np.where(finite[..., None], colors, _ODD)
    strength = np.where(finite, np.minimum(np.abs(np.where(finite, array, 0.0)) / scale, 1.0), 1.0)
    opacity = np.round(255 * _OPAQUE * strength)
    return np.concatenate([colors, opacity[..., None]], axis=-1).astype(np.uint8)

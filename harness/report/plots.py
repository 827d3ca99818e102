"""The figures of a report, as SVG that takes the colours of the page it stands in."""

import base64
import html
import io
import re
from typing import Any, List

import numpy as np

from rnndiff.harness.judging.tally import EDGES
from rnndiff.harness.judging.verdict import FREE_RUNNING, TEACHER_FORCED, WIDE
from rnndiff.harness.numerics.accuracy import ulp_of
from rnndiff.harness.report.growth import Growth

# Matplotlib draws with these, and the style sheet of the page says what they are: in a dark scheme
# something else than in a light one.
_COLORS = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--cool)",
    "#050505": "var(--warm)",
    "#060606": "var(--bad)",
}
_INK, _SOFT, _LINE, _COOL, _WARM, _BAD = _COLORS
_STYLE: Any = {
    "font.size": 8,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "rnndiff",
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
_SIZE = (3.7, 2.6)
_ULP = float(ulp_of(1.0))


def histogram(name: str, counts: List[int], most: int) -> str:
    """How many elements of a model have which ratio of error to bound.

    Parameters
    ----------
    name : str
        Of the model.
    counts : list of int
        In each bin of ``tally.EDGES``, and above.
    most : int
        The largest number that any model has in a bin: all are drawn to one scale.
    """
    figure, axes = _figure(name)
    one = int(np.argmax(EDGES == 1))
    # The bin of zero stands apart: it is at no place of a logarithmic axis.
    places = np.arange(len(counts), dtype=float)
    places[0] -= 1.5
    colors = [_COOL if place <= one else _BAD for place in range(len(counts))]
    axes.bar(places, counts, width=0.86, color=colors)
    # Before the scale, which would look for limits where there may be no case.
    axes.set_ylim(0.5, 3 * max(most, 1))
    axes.set_yscale("log")
    axes.axvline(one + 0.5, color=_BAD, linewidth=1, linestyle=(0, (3, 2)))
    powers = range(one, 0, -4)
    axes.set_xticks([places[0]] + [power + 0.5 for power in powers] + [places[-1]])
    names = ["1" if power == one else "1/{:.0f}".format(1 / EDGES[power]) for power in powers]
    axes.set_xticklabels(["0"] + names + ["more"])
    axes.set_xlabel("error / bound")
    axes.set_ylabel("elements")
    return _svg(figure, "Histogram of error over bound of {}".format(name))


def along_the_steps(growth: Growth) -> str:
    """Error and bound of both runs of the oracle at each step."""
    figure, axes = _figure(growth.model)
    # More than this no state can be off, so an infinite bound is drawn there.
    top = 2.0 / _ULP
    for run, color in ((FREE_RUNNING, _WARM), (TEACHER_FORCED, _COOL)):
        curve = growth.curves[run]
        steps = np.arange(1, curve.median.size + 1)
        median, largest, bound = (np.clip(y / _ULP, 0.02, top) for y in curve)
        axes.fill_between(steps, median, largest, color=color, alpha=0.2, linewidth=0)
        axes.plot(steps, median, color=color, linewidth=1.6)
        axes.plot(steps, bound, color=color, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.axhline(WIDE / _ULP, color=_SOFT, linewidth=1, linestyle=(0, (1, 2)))
    axes.set_yscale("log")
    axes.set_ylim(0.05, 3 * top)
    axes.set_xlim(1, steps[-1])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("step")
    axes.set_ylabel("error of the states, ULP of 1")
    return _svg(figure, "Growth of the error along the steps of {}".format(growth.model))


def picture(rgba: np.ndarray) -> str:
    """An array [rows, columns, 4] of bytes as a PNG, a pixel for each element, as a data URI."""
    from matplotlib import image

    file = io.BytesIO()
    image.imsave(file, rgba, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _figure(title: str) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE)
        axes = figure.add_axes((0.15, 0.17, 0.83, 0.72))
        axes.set_title(title)
        axes.grid(axis="y", color=_LINE, linewidth=0.5)
        axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any, label: str) -> str:
    """The figure as an element of a page: no size of its own, no name that another could have."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(file, format="svg", transparent=True)
    text = file.getvalue()
    start, _, content = text.partition("</metadata>")
    box = re.findall(r'viewBox="[^"]*"', start)[0]
    used = set(re.findall(r"#([-\w]+)", content))
    content = re.sub(r' id="([-.\w]+)"', lambda m: m.group() if m.group(1) in used else "", content)
    for color, variable in _COLORS.items():
        content = content.replace(color, variable)
    return '<svg {} role="img" aria-label="{}">{}'.format(box, html.escape(label), content)

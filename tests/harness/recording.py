"""Numbers that are recorded in a CSV file beside a test, by keys, and held to what is there."""

import csv
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=None)
def read(path, keys):
    """The rows of a file below its columns, each without the keys that it begins with, by these."""
    with open(path, newline="") as file:
        return {tuple(row[:keys]): row[keys:] for row in list(csv.reader(file))[1:]}


def write(path, columns, rows):
    """Record rows, keys and numbers, below the names of the columns."""
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def mean_log2(sizes):
    """The mean of log2 of the sizes that are neither 0 nor infinite, as a text; "" of none."""
    sizes = sizes[(sizes > 0) & (sizes < np.inf)]
    return "{:.12g}".format(np.log2(sizes).mean()) if sizes.size else ""


def assert_same(key, columns, row, before, allowed):
    """That numbers, as texts, are those before, or off by what is `allowed` of column and text."""

    def is_same(column, now, then):
        if now == then or not (now and then):
            return now == then
        return abs(float(now) - float(then)) <= allowed(column, then)

    differ = [
        "{} {}, not {}".format(column, now, then)
        for column, now, then in zip(columns, row, before)
        if not is_same(column, now, then)
    ]
    assert not differ, "{}: {}".format(", ".join(key), "; ".join(differ))

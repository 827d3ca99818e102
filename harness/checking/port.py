"""A function as a test of itself: ``rnndiff.port``."""

import contextlib
import inspect
import itertools
import os
import re
import sys
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.random_cases import model_named, random_batch
from rnndiff.harness.cases.restriction import Range, Restriction, make_restriction, options_named
from rnndiff.harness.checking.check import SECONDS, Checker
from rnndiff.harness.diagnosis.diagnose import report_with_diagnosis
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.numerics.arithmetic import Arithmetic
from rnndiff.harness.subjects.executable import Executable
from rnndiff.harness.subjects.port import Port, look, premise_named, restrict_subject
from rnndiff.models import MODELS, Model

# A port has no graph to be built: fewer cases of a config, and so more configs.
CASES_TO_A_CONFIG = 32


class PortScope(NamedTuple):
    """What of a port is to be checked; see :func:`port`.

    Beside the options that it asks for, those of the names ``drawn`` do not keep their defaults.
    """

    model: Union[str, Model]
    cell: str
    layout: str
    sizes: Mapping[str, Union[int, Range]]
    options: Mapping[str, Any]
    empty: bool
    drawn: Sequence[str] = ()

    def model_and_restriction(self, subject: Any) -> Tuple[Model, Restriction]:
        """The model, and what is drawn of it.

        Raises
        ------
        UserError
            If there is no such model, cell, layout, size or option, or the port asks for what the
            model does not have.
        """
        model = model_of(self.model, self.cell, self.layout)
        kept = subject.knows(model) if isinstance(subject, (Port, Executable)) else {}
        others = options_named(model, self.drawn), self.sizes
        kept = {name: x for name, x in kept.items() if not any(name in each for each in others)}
        return model, make_restriction(model, self.sizes, dict(kept, **self.options), self.empty)


def model_of(model: Union[str, Model], cell: str = "", layout: str = "") -> Model:
    """A model with cells of another kind, and with weights of a layout.

    Raises
    ------
    UserError
        If there is none.
    """
    name = model if isinstance(model, str) else model.name
    if not (cell or layout):
        return model_named(name) if isinstance(model, str) else model
    if cell:
        family = MODELS[name].family if name in MODELS else name
        if "{}-{}".format(family, cell) not in MODELS:
            of_family = [x.name for x in MODELS.values() if x.family == family]
            raise UserError(
                "There is no {} with the cell {!r}: take one of the models {}.".format(
                    family, cell, ", ".join(of_family or MODELS)
                )
            )
        name = "{}-{}".format(family, cell)
    return model_named("{}@{}".format(name, layout) if layout else name)


def port(
    model: Union[str, Model],
    *,
    cell: str = "",
    layout: str = "",
    sizes: Optional[Mapping[str, Union[int, Range]]] = None,
    empty: bool = True,
    options: Optional[Mapping[str, Any]] = None,
    premise: Union[str, Arithmetic] = "float32",
    cases: int = 1000,
    seed: int = 0,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a test of a function that computes a model.

    ::

        @rnndiff.port("bidirectional", sizes={"num_units": 64, "inputs": (1, 16)}, empty=False)
        def test_my_port(parameters, inputs):
            return my_port(parameters, inputs)  # the scores

    The function is given what its arguments are called, and returns the array of the scores or of
    the outputs of all steps, or a dict of any arrays of the oracle's trace: see
    :class:`rnndiff.harness.subjects.port.Port`. An object with a method ``reset``, or a class,
    will do as well. What comes of it is a test without arguments: pytest runs it, and to call it is
    to check. Options of the model that the function does not ask for keep their defaults.

    Parameters
    ----------
    model : str or Model
        The name of one that is registered, or one.
    cell : str
        Take cells of this kind, such as "lstm".
    layout : str
        Give weights as "pytorch", "onnx", "keras" or "tensorflow" has them: see
        :data:`rnndiff.models.cells.layouts.LAYOUTS`.
    sizes : dict of str to int or (int, int)
        What a size is always, or its least and its largest.
    empty : bool
        Whether sizes are 0, too.
    options : dict of str to value
        What an option of the model is always.
    premise : str or Arithmetic
        What the port computes in: one of ``rnndiff.harness.subjects.port.PREMISES``, or what
        ``rnndiff.arithmetic`` returns.
    cases : int
        How many are judged, 1 or more.
    seed : int
        The cases depend on it alone.

    Raises
    ------
    UserError
        If anything of this is wrong: what the function asks for, the premise and the number of
        cases at once, all else when the test runs.
    """
    if cases < 1:
        raise UserError("A test of cases={} judges nothing: take 1 or more.".format(cases))
    asked = PortScope(model, cell, layout, dict(sizes or {}), dict(options or {}), empty)

    def test_of(function: Callable[..., Any]) -> Callable[..., None]:
        stated = premise if isinstance(premise, Arithmetic) else premise_named(premise)
        subject = Port(function, stated)

        def test(pytestconfig: Any = None) -> None:
            subject.name = _name_of(test)
            with _told_to(pytestconfig):
                model, restriction = asked.model_and_restriction(subject)
                check = _checker(subject, model, restriction, seed, pytestconfig)
            for batch in _batches(model, restriction, subject.precision, cases, seed):
                check(batch)

        told: Any = test
        told.__name__ = getattr(function, "__name__", type(function).__name__)
        for kept in ("__doc__", "__module__", "__qualname__"):
            setattr(told, kept, getattr(function, kept, getattr(test, kept)))
        # Of pytest it asks for this alone, whatever the function asks of a case.
        given = inspect.Parameter("pytestconfig", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        told.__signature__ = inspect.Signature([given])
        told.rnndiff_port, subject.asked = subject, asked
        return test

    return test_of


def _batches(
    model: Model, restriction: Restriction, precision: str, cases: int, seed: int
) -> Iterator[List[Case]]:
    left = cases
    for number in itertools.count():
        if left <= 0:
            return
        most = min(CASES_TO_A_CONFIG, left)
        batch = random_batch(model, seed, number, precision, restriction, most)
        left -= len(batch)
        yield batch


def _checker(
    subject: Port, model: Model, restriction: Restriction, seed: int, pytestconfig: Any
) -> Callable[[Sequence[Case]], None]:
    """What fails, in pytest's way or by an AssertionError, unless all cases agree."""
    within = restrict_subject(subject, restriction)
    how: Dict[str, Any] = dict(restriction=restriction, seconds=SECONDS, first_alone=True)
    if pytestconfig is None:
        check = _alone(within, seed, how)
    else:
        from rnndiff.harness.pytest_plugin.beginning import begin

        check = begin(pytestconfig).check_on(within, seed, **how)
    look(within, model, restriction)
    return check


@contextlib.contextmanager
def _told_to(pytestconfig: Any) -> Iterator[None]:
    """What is wrong inside is told in pytest's way, if pytest runs the test."""
    try:
        yield
    except UserError as error:
        if pytestconfig is None:
            raise
        why = str(error)
    else:
        return
    import pytest

    pytest.fail(why, pytrace=False)


def _alone(subject: Any, seed: int, how: Mapping[str, Any]) -> Callable[[Sequence[Case]], None]:
    checker = Checker(subject, Tally(), **how)

    def check(cases: Sequence[Case]) -> None:
        __tracebackhide__ = True
        failures = checker(cases).failures
        if failures:
            raise AssertionError(
                report_with_diagnosis(subject, failures[0], how["restriction"], seed)
            )

    return check


def _name_of(test: Any) -> str:
    """By what a command finds the test: the path of its file, or its module, and its name there."""
    module = sys.modules.get(test.__module__)
    names = [name for name, value in vars(module).items() if value is test] if module else []
    if not names:
        return ""
    path = os.path.relpath(getattr(module, "__file__", None) or "?").replace(os.sep, "/")
    is_below = re.match(r"[\w./-]+\.py$", path) and not path.startswith("..")
    return "{}:{}".format(path if is_below else test.__module__, names[0])

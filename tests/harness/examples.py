"""Small cases and subjects that tests of the harness share."""

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.cases.draws import lengths
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.float32 import Float32
from rnndiff.models import MODELS
from rnndiff.models.layout import choices_of, options_in

SIZES = {
    "seq2seq": dict(batch=2, time=3, output_time=3, inputs=2, outputs=3, num_units=4),
    "bidirectional": dict(batch=2, time=3, inputs=2, outputs=3, num_units=4),
    "attention": dict(
        batch=2, time=3, output_time=3, inputs=2, outputs=3, num_units=4, attn_length=2
    ),
}
# Of a cell that is run over a sequence.
SEQUENCE = dict(batch=2, time=3, inputs=2, num_units=4)
SIZES["stackbirnn"] = dict(SEQUENCE, layers=2)
FLOAT32 = arithmetic(
    "float32",
    dict(
        dict.fromkeys(("tanh", "exp", "log"), Accuracy(4, 2.0**-126)),
        softmax=Accuracy(10, 2.0**-125),
    ),
)


def random_case(name, seed=0, gain=1.0, **sizes):
    """A case with normally distributed numbers."""
    model = MODELS[name]
    config = model.Config(**dict(SIZES.get(model.family, SEQUENCE), **sizes))
    random = np.random.RandomState(seed)
    arrays = {
        field.name: lengths(
            random.randint(256, size=field.shape(config)), config.sizes()[field.counts]
        )
        if field.counts
        else (random.standard_normal(field.shape(config)) * gain).astype(np.float32)
        for field in model.fields(config)
    }
    if "labels" in arrays:
        classes = random.randint(config.outputs, size=arrays["labels"].shape[:-1])
        arrays["labels"] = np.eye(config.outputs, dtype=np.float32)[classes]
    return Case(model, config, arrays)


def with_all_options(name, **sizes):
    """The same with the last choice of every option: with all arrays that the model may have."""
    Config = MODELS[name].Config
    options = options_in(Config)
    chosen = {option: choices_of(Config, option)[-1] for option in options}
    return random_case(name, **dict(chosen, **sizes))


class Float32Port(Float32):
    """A right subject that needs no TensorFlow.

    `mistake` is a function of a trace that makes it a wrong one.
    """

    def __init__(self, mistake=lambda trace: trace):
        self._mistake = mistake

    def __call__(self, case):
        return self._mistake(super().__call__(case))

    def arithmetic(self, case):
        return FLOAT32

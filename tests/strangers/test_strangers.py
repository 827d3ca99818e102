"""Scripts that know nothing of rnndiff are oracles as they are.

They were written from the equations of the article alone, by somebody who had not read this
project's oracles, and are not to be changed. What is left out of their traces: they predict by the
largest probability, where TensorFlow does by the largest score, and rounding may make two
probabilities equal.
"""

from dataclasses import replace

import numpy as np
import pytest
import script_attention
import script_bidirectional
import script_seq2seq
from examples import FLOAT32, Float32Port, random_case

from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.judging.verdict import AGREE, TEACHER_FORCED, UNDECIDED, judge
from rnndiff.harness.report.describe import describe
from rnndiff.models import MODELS


def seq2seq(config, parameters, inputs, labels):
    if config.output_time == 1:
        parameters = [*parameters, None, None]
    trace = script_seq2seq.seq2seq(parameters, inputs, labels)
    trace["decoder_states"] = trace["decoder_states"][:, 1:]
    return without_predictions(trace)


def bidirectional(config, parameters, inputs, labels):
    trace = script_bidirectional.bidirectional(parameters, inputs, labels)
    trace["forward_final_state"] = trace["forward_states"][:, -1]
    trace["backward_final_state"] = trace["backward_states"][:, 0]
    return without_predictions(trace)


def attention(config, parameters, inputs, labels):
    trace = script_attention.attention(parameters, inputs, labels)
    for name, part in (("states", "states"), ("contexts", "attentions"), ("weights", "alignments")):
        trace["encoder_" + part] = trace[name][:, : config.time]
        trace["decoder_" + part] = trace[name][:, config.time :]
    for part in ("outputs", "windows"):
        trace["encoder_" + part] = trace[part][:, : config.time]
        trace["decoder_" + part] = trace[part][:, config.time :]
    return without_predictions(trace)


def without_predictions(trace):
    return {name: x for name, x in trace.items() if name not in ("predictions", "accuracy")}


ORACLES = {"seq2seq": seq2seq, "bidirectional": bidirectional, "attention": attention}
JUDGED = {
    "seq2seq": ("encoder_states", "decoder_states", "scores", "probabilities", "loss"),
    "bidirectional": (
        "outputs",
        "forward_final_state",
        "backward_final_state",
        "scores",
        "probabilities",
        "loss",
    ),
    "attention": tuple(
        side + part
        for side in ("encoder_", "decoder_")
        for part in ("states", "alignments", "attentions", "outputs", "windows")
    )
    + ("scores", "probabilities", "loss"),
}


def cases(name, count):
    """Cases of small networks that the scripts can compute: what is fed back is like an input."""
    trace = tuple(array for array in MODELS[name].trace if array.name in JUDGED[name])
    model = MODELS[name]._replace(oracle=ORACLES[name], trace=trace)
    sizes = np.random.RandomState(0)
    for seed in range(count):
        batch, time, classes, units, tokens = sizes.randint(1, 6, 5)
        config = dict(batch=batch, time=time, inputs=classes, outputs=classes, num_units=units)
        if name != "bidirectional":
            config["output_time"] = tokens + (name == "attention")
        if name == "attention":
            config["attn_length"] = 7
        config = {size: int(value) for size, value in config.items()}
        yield replace(random_case(name, seed, 0.25 * 4 ** (seed % 3), **config), model=model)


@pytest.mark.parametrize("name", list(ORACLES))
def test_tensorflow_agrees_with_a_stranger(name, tensorflow):
    for case in cases(name, 12):
        verdict, _ = verdict_on(tensorflow, case)
        assert verdict.status in (AGREE, UNDECIDED), describe(case, verdict)
        found = {array.name for array in verdict.arrays if array.run == TEACHER_FORCED}
        assert found >= set(JUDGED[name])
        forced = [array.undecided.mean() for array in verdict.arrays if array.bound.size]
        assert np.mean(forced) < 0.5


@pytest.mark.parametrize("name", list(ORACLES))
def test_a_mistake_is_found_by_a_stranger_where_it_was_made(name):
    case = next(cases(name, 1))
    for array in JUDGED[name]:
        trace = Float32Port()(replace(case, model=MODELS[name]))
        trace[array] = trace[array] + np.float32(2.0**-8)
        verdict = judge(case, trace, FLOAT32)
        wrong = [x.name for x in verdict.arrays if x.run == TEACHER_FORCED and x.worst > 1]
        assert array in wrong, (array, verdict.summary())

"""How small a mistake is still seen, and how often a right subject is blamed.

One element of one recorded state is multiplied by 1 + 2^k 2^-24, everywhere it is recorded. The
verdict by bounds is compared with fixed tolerances, which hold the subject against a float64 run of
the oracle from the initial state to the end, as most tools do; that run is fed the subject's
tokens, or a tie would decide everything. Detected is what is objected to and was not before.
Cases of known divergences are left out.
Usage: ``python benchmarks/sensitivity.py [--cases N] [--json FILE]``.
"""

import json

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rnndiff.harness.cases.frequencies import draw_batches
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.cases.regimes import REGIMES
from rnndiff.harness.cases.strategies import batches
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.judging.forcing import follow
from rnndiff.harness.judging.verdict import DISAGREE, KNOWN, TEACHER_FORCED, judge
from rnndiff.harness.subjects.tensorflow import TensorFlow
from rnndiff.models import ARTICLE, MODELS

UNITS = (4, 16, 128)
SMALL = range(1, 17)
DEFAULT = "default, up to 16 units"
TOLERANCES = {"rtol 1e-2, atol 1e-3": (1e-2, 1e-3), "rtol 1e-5, atol 1e-6": (1e-5, 1e-6)}
POWERS = range(-1, 19)
BOUNDS = "bounds, teacher-forced"
STATES = {
    "seq2seq": ("encoder_states",),
    "bidirectional": ("outputs", "forward_final_state", "backward_final_state"),
    "attention": ("encoder_states",),
}


def default_cases(count):
    """Cases of at most 16 units from the default strategies: all models, regimes and sizes."""
    kinds = [(MODELS[name], regime) for name in sorted(ARTICLE) for regime in sorted(REGIMES)]
    each, cases = -(-count // len(kinds)), []
    for model, regime in kinds:
        last = [batch[-1] for batch in draw_batches(batches(model, regime), 2 * each)]
        small = [case for case in last if case.config.batch and case.config.num_units in SMALL]
        cases.extend(small[:each])
    return cases


def cases_of_units(random, units, count):
    """Normally distributed cases with so many units, from contractive to chaotic."""
    cases = []
    for number in range(count):
        model = MODELS[sorted(ARTICLE)[number % 3]]
        sizes = dict(batch=2, time=6, inputs=4, outputs=4, num_units=units)
        if model.name != "bidirectional":
            sizes["output_time"] = 3
        if model.name == "attention":
            sizes["attn_length"] = 4
        config = model.Config(**sizes)
        gain = random.choice([0.3, 1.0, 3.0])
        cases.append(normal_case(random, model, config, gain))
    return cases


def perturbed(case, trace, random, factor):
    """The trace with one element of magnitude 0.1 or more multiplied; None without such a one."""
    name = STATES[case.model.name][0]
    states = trace[name]
    with np.errstate(invalid="ignore"):
        places = np.argwhere((np.abs(states) >= 0.1) & np.isfinite(states))
    if not len(places):
        return None
    row, step, unit = places[random.randint(len(places))]
    changed = {name: array.copy() for name, array in trace.items()}
    changed[name][row, step, unit] *= np.float32(factor)
    units = case.config.num_units
    if case.model.name == "bidirectional":
        if step == case.config.time - 1 and unit < units:
            changed["forward_final_state"][row, unit] = changed[name][row, step, unit]
        if step == 0 and unit >= units:
            changed["backward_final_state"][row, unit - units] = changed[name][row, step, unit]
    return changed


def alarms(case, trace, arithmetic):
    """Which methods object to the trace."""
    verdict = judge(case, trace, arithmetic)
    forced = [a for a in verdict.arrays if a.run == TEACHER_FORCED]
    found = {BOUNDS: any(a.status == DISAGREE for a in forced)}
    golden = follow(case, trace)
    with np.errstate(all="ignore"):
        for name, (rtol, atol) in TOLERANCES.items():
            found[name] = not all(
                np.allclose(trace[key], array, rtol=rtol, atol=atol, equal_nan=True)
                for key, array in golden.items()
            )
    return found


@click.command()
@click.option("--cases", default=600, show_default=True, help="Cases of each kind.")
@click.option("--json", "json_file", type=click.File("w"))
def main(cases, json_file):
    """Print the table of detections and false alarms."""
    random = np.random.RandomState(0)
    subject = TensorFlow()
    kinds = {DEFAULT: default_cases(cases)}
    kinds.update(("{} units".format(u), cases_of_units(random, u, cases)) for u in UNITS)
    result = {}
    for kind, of_kind in kinds.items():
        rates = {name: {power: [] for power in POWERS} for name in (BOUNDS,) + tuple(TOLERANCES)}
        false = {name: [] for name in rates}
        for case in track(of_kind, description=kind, console=Console(stderr=True)):
            verdict, trace = verdict_on(subject, case)
            if verdict.status == KNOWN:  # To object would be right.
                continue
            arithmetic = subject.arithmetic(case)
            right = alarms(case, trace, arithmetic)
            for name, alarm in right.items():
                false[name].append(alarm)
            for power in POWERS if kind != DEFAULT else (6,):
                changed = perturbed(case, trace, random, 1 + 2.0 ** (power - 24))
                if changed is None:
                    continue
                for name, alarm in alarms(case, changed, arithmetic).items():
                    rates[name][power].append(alarm and not right[name])
        result[kind] = {
            name: {
                "false alarms": float(np.mean(false[name])),
                "detected at 64 u": float(np.mean(rates[name][6])),
                "cases": len(false[name]),
                "perturbed": len(rates[name][6]),
                "half detected at": next(
                    (
                        2.0 ** (p - 24)
                        for p in POWERS
                        if rates[name][p] and np.mean(rates[name][p]) >= 0.5
                    ),
                    None,
                ),
            }
            for name in rates
        }
    table = Table(
        "cases", "method", "perturbed", "false alarms", "64 * 2^-24 detected", "half detected at"
    )
    for kind, methods in result.items():
        for name, figures in methods.items():
            half = figures["half detected at"]
            table.add_row(
                kind,
                name,
                "{} of {}".format(figures["perturbed"], figures["cases"]),
                "{:.1%}".format(figures["false alarms"]),
                "{:.1%}".format(figures["detected at 64 u"]),
                "" if kind == DEFAULT else "never" if half is None else "{:.1e}".format(half),
            )
    Console().print(table)
    if json_file:
        json.dump(result, json_file, indent=2)


if __name__ == "__main__":
    main()

"""``python keras_on.py BACKEND COUNT``: how Keras 3 is judged on a backend, as JSON.

It takes its backend when it is imported, so that each needs a process of its own.
"""

import json
import sys

from judging import blamed, cases_until_blamed
from test_engines import MODELS, Mistaken, bias_left_out

from rnndiff.harness.checking.verdicts import verdicts_on
from rnndiff.harness.subjects.named import subject_named

LAYERS = ("keras-simple-rnn", "keras-bidirectional-lstm", "keras-gru")


def main(backend, count):
    subject = subject_named("keras3", mode=backend)
    cases = {entry.name: entry.minimal.case() for entry in subject.known}
    minimal = {name: verdicts_on(subject, [case])[1][0][-1] for name, case in cases.items()}
    told = {
        "blamed": blamed(subject, MODELS + LAYERS, count),
        "until_blamed": cases_until_blamed(Mistaken(subject, bias_left_out), LAYERS, 300),
        "known": {name: [v.status, list(v.known)] for name, v in minimal.items()},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

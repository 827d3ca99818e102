"""What the known divergences mean for those who use TensorFlow, as data for `FINDINGS.md`.

What they are stands in :mod:`rnndiff.harness.subjects.tensorflow.divergences`, under the same
names.
"""

from typing import Mapping, NamedTuple

_ISSUES = "https://github.com/{}/issues/{}"


class Finding(NamedTuple):
    """What a divergence means.

    ``means`` says whom it meets, and what to do. ``tracker`` is what the trackers of TensorFlow and
    its parts were found to say of it, in Markdown, "" if nothing was found; they were searched in
    November 2026. ``processors`` says on which it shows, "" if it is not known to depend on them.
    """

    means: str
    tracker: str = ""
    processors: str = ""


def _issue(number: int, more: str = "", repository: str = "tensorflow/tensorflow") -> str:
    said = "[{}#{}]({})".format(repository, number, _ISSUES.format(repository, number))
    return "{}, {}".format(said, more) if more else said


_FLOAT16 = "those that compute in float16 (AVX512-FP16)"
_BFLOAT16 = "those that compute in bfloat16 (AVX512-BF16)"

FINDINGS: Mapping[str, Finding] = {
    "argmax-skips-nan": Finding(
        "A network that has run into NaN goes on to predict classes, and has an accuracy. Look for "
        "NaN in the scores; the predictions do not show it.",
        _issue(118177, "takes it for right, and XLA's for wrong"),
    ),
    "argmax-skips-lowest": Finding(
        "Where classes are masked by the lowest number and by -inf, class 0 is chosen, though it "
        "may be one that is masked by -inf. Mask by one of the two alone.",
    ),
    "xla-argmax-goes-on-after-nan": Finding(
        "Compiled by XLA, a network that has run into NaN predicts other classes than without.",
        _issue(118177, "open; also {}".format(_issue(118647))),
    ),
    "xla-argmax-of-all-goes-on-after-nan": Finding(
        "Compiled by `jit_compile=True`, a network that has run into NaN predicts other classes "
        "than without.",
        _issue(118177, "open; also {}".format(_issue(118647))),
    ),
    "xla-argmax-takes-the-last": Finding(
        "Of equal scores, as of classes that were never trained, 1.15 chooses another one if XLA "
        "compiles the arg max: predictions and accuracy change by switching it on.",
    ),
    "xla-leaves-an-argmax": Finding(
        "A decoder that has run into NaN is fed another token than the one that it is said to have "
        "predicted.",
    ),
    "xla-leaves-a-tied-argmax": Finding(
        "Where scores are equal, too, a decoder is fed another token than the one that it is said "
        "to have predicted.",
    ),
    "softmax-zero-beside-nan": Finding(
        "Probabilities and alignments of a row with NaN or +inf are NaN in one place alone, so "
        "that a look at another place shows nothing; attention goes on with the zeros.",
    ),
    "xla-softmax-of-unrounded": Finding(
        "Attention with scores beyond 1.5e9, where rounding one moves it by more than exp takes, "
        "may be NaN under XLA, and has weights without it.",
        _issue(37234, "of the same in JAX, which has the same compiler", "jax-ml/jax"),
    ),
    "xla-clips-nan": Finding(
        "A loss with `tf.clip_by_value` before its logarithm stays a number when the network has "
        "run into NaN: training goes on, and no check of the loss tells.",
        _issue(116992, "of `tf.minimum` and `tf.maximum`, which it is made of"),
    ),
    "xla-hard-sigmoid-of-nan": Finding(
        "A layer with `hard_sigmoid`, the default of Keras' first versions for gates, takes a gate "
        "that is NaN for a closed one, and goes on with numbers.",
        _issue(116992, "of `tf.minimum` and `tf.maximum`, which a clip is made of"),
    ),
    "xla-clips-a-state-that-is-nan": Finding(
        "An LSTM with `cell_clip` or `proj_clip` that has run into NaN goes on with numbers within "
        "the clip, or with NaN: which of them depends on the number of units, and on what else "
        "reads the state. Look for NaN in what is not clipped.",
        _issue(116992, "of `tf.minimum` and `tf.maximum`, which a clip is made of"),
    ),
    "xla-takes-nan-for-nothing": Finding(
        "Nothing that XLA computes tells whether there was NaN.",
        _issue(
            276,
            "of the same in JAX, which has it off by `XLA_FLAGS=--xla_cpu_enable_fast_math=false`",
            "jax-ml/jax",
        ),
    ),
    "zero-window-times-nan": Finding(
        "Of an attention whose weights are NaN, the first step is 0: NaN comes a step late.",
        _issue(119428, "closed as stale"),
    ),
    "zero-state-times-nan": Finding(
        "A gate that is NaN does not show in the first step of a static or unrolled network; in a "
        "dynamic one of the same weights it does.",
        _issue(119428, "closed as stale"),
    ),
    "tanh-of-nan-is-minus-one": Finding(
        "A network of eight units or more takes NaN in its inputs for -1, and says nothing.",
    ),
    "rsqrt-of-huge-numbers": Finding(
        "A layer-normalized LSTM of numbers beyond 1e19 is wrong by half, in batches of eight and "
        "more, and right in the rows that are left.",
        _issue(51043, "of the same factor, at the other end of the range"),
    ),
    "relu-of-nan-is-zero": Finding(
        "A network with relu takes NaN for 0, silently, from 2.9 on by default. "
        "`TF_ENABLE_ONEDNN_OPTS=0` shows it.",
        "{} and {} are of the same on GPUs".format(_issue(32730), _issue(40072)),
    ),
    "half-sigmoid-of-nan": Finding(
        "A GRU of float16 whose gates are NaN goes on with closed gates.",
        processors=_FLOAT16,
    ),
    "half-relu-of-minus-infinity": Finding(
        "A network of float16 with relu is NaN where a sum overflows to -inf, and should be 0.",
        processors=_FLOAT16,
    ),
    "odd-product-of-infinity": Finding(
        "A network of bfloat16 with an infinite state or input is NaN where it should not be, if "
        "sizes add up to an odd number.",
        processors=_BFLOAT16,
    ),
    "bidirectional-zeroes-the-last-output": Finding(
        "A masked Bidirectional without return_sequences, such as a classifier of padded texts, "
        "has 0 in the forward half of every row that is shorter than the longest one. What is "
        "trained so gives other numbers from 1.14 on.",
    ),
    "unrolled-mask-is-not-reversed": Finding(
        "An unrolled `Bidirectional` of padded sequences with `zero_output_for_mask` has zeros at "
        "true steps, and states at padded ones, in its backward half. Do without `unroll`.",
    ),
    "unrolled-mask-of-one-output": Finding(
        "A layer with `unroll` and `zero_output_for_mask`, from 2.9 on an argument of all layers, "
        "needs `return_sequences`, too.",
    ),
    "lstm-block-of-no-inputs": Finding(
        "Only networks without inputs meet it, as in a test of empty arrays.",
    ),
    "xla-lengths-do-not-compile": Finding(
        "`jit_compile=True` of a dynamic network with `sequence_length` ends in an "
        "InvalidArgumentError. Use 2.7 or later, or do without lengths.",
    ),
    "empty-convolution": Finding(
        "An empty batch, such as the last one of a split data set, ends in an error in "
        "`AttentionCellWrapper` if `attn_size` is not `attn_vec_size`.",
        "[tensorflow/tensorflow#30968](https://github.com/tensorflow/tensorflow/pull/30968) mended "
        "the same of Conv3D",
    ),
    "empty-product-loses-bias": Finding(
        "Only networks of no units, or without inputs, meet it: they should give their bias, and "
        "give 0.",
    ),
    "swish-of-two-numbers": Finding(
        "An LSTM with linear activation, as it is or in a larger model, computes another network, "
        "of any weights and inputs. Use 2.15 or later, or `TF_ENABLE_ONEDNN_OPTS=0`.",
        _issue(60941, "closed: mended by [tensorflow/tensorflow#61334]")
        + "(https://github.com/tensorflow/tensorflow/pull/61334)",
    ),
    "keep-probability-in-single": Finding(
        "Variational dropout in float64 scales by a probability that is right to seven digits, not "
        "to sixteen: what checks gradients in float64 will see it.",
    ),
    "empty-reverse": Finding(
        "An empty batch in `bidirectional_dynamic_rnn` without lengths ends the process: no "
        "exception can be caught. Look at the size of each batch before.",
        _issue(42248, "closed: mended by [tensorflow/tensorflow#42334]")
        + "(https://github.com/tensorflow/tensorflow/pull/42334)",
    ),
    "empty-reverse-of-one-step": Finding(
        "A network over sequences of one step meets it, too.",
        _issue(42248, "closed: mended by [tensorflow/tensorflow#42334]")
        + "(https://github.com/tensorflow/tensorflow/pull/42334)",
    ),
    "empty-reverse-of-one-step-as-written": Finding(
        "Nobody who leaves Grappler on meets it in 1.x.",
        _issue(42248, "closed: mended by [tensorflow/tensorflow#42334]")
        + "(https://github.com/tensorflow/tensorflow/pull/42334)",
    ),
    "gru-block-of-no-inputs": Finding(
        "Only networks without inputs meet it, but then the process ends.",
    ),
    "empty-inner-product": Finding(
        "A network with a size of 0 ends the process, from 2.9 on by default. "
        "`TF_ENABLE_ONEDNN_OPTS=0` computes it.",
    ),
    "empty-inner-product-of-one-row": Finding(
        "Only layers without inputs meet it, but then the process ends. `TF_ENABLE_ONEDNN_OPTS=0` "
        "computes it.",
    ),
}

"""The page of a run: what it says, and that a browser shows it."""

import base64
import io
import os
import re
import subprocess
import sys
import time

import chromium
import numpy as np
import pytest
from click.testing import CliRunner
from examples import Float32Port, random_case

from rnndiff.harness.cases.case import Case
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.verdicts import verdict_on
from rnndiff.harness.commands.fuzz import fuzz
from rnndiff.harness.commands.verify import _Seen, verify
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.failure import Failure
from rnndiff.harness.judging.tally import EDGES, Tally
from rnndiff.harness.judging.verdict import FREE_RUNNING, TEACHER_FORCED, Verdict, judge
from rnndiff.harness.report import page
from rnndiff.harness.report.exhibits import exhibits
from rnndiff.harness.report.growth import JudgedTrace, sampled
from rnndiff.harness.report.heatmaps import heat_map
from rnndiff.models import ARTICLE

# A browser may take its time; how much, its driver says.
COPIED = """new Promise(resolve => {
  const button = document.querySelector("button");
  const look = () => button.textContent === "Copied" ? resolve(true) : setTimeout(look, 10);
  look();
})"""


def wrong_scores(trace):
    return dict(trace, scores=trace["scores"] + np.float32(0.25))


def report_on(port, folder, name="bidirectional", **kwargs):
    """The report of one case."""
    tally = Tally()
    failures = Checker(port, tally, str(folder))([random_case(name)]).failures
    found = exhibits(failures, port)
    return page.Report("fuzz", tally, [], found, **kwargs)


def test_the_page_of_a_run_without_a_failure_says_so_and_has_its_numbers(tmp_path):
    report = report_on(Float32Port(), tmp_path, environment={"seed": 1234567})
    text = page.render(report)
    assert "None of 1 cases disagrees" in text and "1234567" in text
    assert "Failures" not in text
    assert "{:,}".format(report.tally.elements[TEACHER_FORCED]) in text
    assert text.count("<svg") == 1


def test_a_failure_is_there_with_its_first_wrong_element_and_its_small_matrices(tmp_path):
    report = report_on(Float32Port(wrong_scores), tmp_path)
    text = page.render(report)
    assert "1 way of failing in 1 cases" in text
    assert "bidirectional-scores-teacher-forced" in text
    assert "scores[row 0, class 0], teacher-forced" in text
    (exhibit,) = report.failures
    assert [drawn.title for drawn in exhibit.compared] == ["subject", "oracle", "difference"]
    assert exhibit.compared[2].slices[0].rows[0][0][::3] == ("0.25", True)
    assert '<td class="wrong"' in text


def test_a_port_of_the_users_own_has_no_script_for_tensorflow(tensorflow, tmp_path):
    assert not report_on(Float32Port(wrong_scores), tmp_path / "a").failures[0].script
    port = Float32Port(wrong_scores)
    port.script = tensorflow.script
    assert "import tensorflow" in report_on(port, tmp_path / "b").failures[0].script


def test_what_a_name_holds_is_text_and_not_part_of_the_page():
    said = "<script>alert('&')</script>"
    tally = Tally()
    tally.known[said], tally.worst_where = 1, said
    failures = exhibits([Failure(said, "", said + "\nmore")], None)
    report = page.Report(said, tally, [], failures, notes=[said], environment={"seed": said})
    text = page.render(report)
    assert said not in text
    assert text.count("&lt;script&gt;alert(") >= 7


def test_the_page_of_no_cases_says_that_there_was_none():
    assert "No case was judged" in page.render(page.Report("fuzz", Tally(), [], []))


def test_a_case_whose_file_is_gone_is_shown_in_words(tmp_path):
    failure = Failure("seq2seq-loss", str(tmp_path / "gone.npz"), "what was said\nand more")
    (exhibit,) = exhibits([failure], Float32Port())
    assert exhibit.summary == "what was said"
    assert "There is no file" in exhibit.text and not exhibit.compared


def test_nothing_on_the_page_is_fetched(tmp_path):
    text = page.render(report_on(Float32Port(wrong_scores), tmp_path))
    addresses = re.findall(r"""(?:(?:src|href)=|url\()["']?([^"')]*)""", text)
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert "default-src 'none'" in text


@pytest.mark.parametrize("command", [fuzz, verify])
def test_a_missing_package_is_told_of_before_the_work(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = CliRunner().invoke(command, ["--report", str(tmp_path / "page.html")])
    assert isinstance(result.exception, UserError)
    assert "pip install '.[report]'" in str(result.exception)


@pytest.mark.parametrize("command", [fuzz, verify])
def test_a_file_that_cannot_be_written_is_told_of_before_the_work(command, tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(command, ["--report", str(tmp_path / "file" / "page.html")])
    assert isinstance(result.exception, UserError)
    assert "Cannot write" in str(result.exception)


@pytest.mark.parametrize("port, outside", [(Float32Port(), 0), (Float32Port(wrong_scores), 6)])
def test_every_teacher_forced_element_is_in_the_bin_of_its_ratio(port, outside):
    tally, case = Tally(), random_case("bidirectional")
    verdict, _ = verdict_on(port, case)
    tally.add(case, verdict)
    counts = np.array(tally.ratios["bidirectional"])
    assert counts.sum() == verdict.elements(TEACHER_FORCED)
    above = counts[1 + np.flatnonzero(EDGES == 1)[0] :].sum()
    assert (above > 0) == (outside > 0)
    equal = sum((a.ratios == 0).sum() for a in verdict.arrays if a.run == TEACHER_FORCED)
    assert counts[0] == equal


class Disturbed(Float32Port):
    """One whose inputs are wrong at two steps: backward, too, those are its 12th and 13th."""

    STEPS = slice(11, 13)

    def __call__(self, case):
        inputs = case.inputs.copy()
        inputs[:, self.STEPS] += np.float32(1)
        return Float32Port.__call__(
            self, Case(case.model, case.config, dict(case.arrays, inputs=inputs))
        )


@pytest.mark.parametrize("name", ARTICLE)
def test_free_running_an_error_goes_on_along_the_steps_and_teacher_forced_it_is_seen_once(name):
    (growth,) = sampled(Disturbed(), [name], cases=3)
    free, forced = growth.curves[FREE_RUNNING], growth.curves[TEACHER_FORCED]
    start, end = Disturbed.STEPS.start, Disturbed.STEPS.stop
    outside = np.flatnonzero(forced.median > forced.bound).tolist()
    # With attention the cell does not read the inputs, but what is recorded as its own.
    assert outside == ([] if name == "attention" else list(range(start, end)))
    assert (free.median <= free.bound)[:start].all()
    # In a chaotic network it becomes as large as a state, and so does what a rounding error may
    # become; what it may be in a single step stays small.
    assert free.median[start:].min() > 10 * forced.bound.max()
    assert free.bound[start:].min() > 100 * forced.bound.max() > free.bound[0]


def test_growth_is_not_waited_for_longer_than_for_any_case():
    asked = []

    class Hangs(Float32Port):
        def __call__(self, case):
            asked.append(case.model.name)
            if case.model.name == "bidirectional":
                time.sleep(60)
            return super().__call__(case)

    began = time.monotonic()
    (growth,) = sampled(Hangs(), ["seq2seq", "bidirectional", "attention"], 2, timeout=3.0)
    assert growth.model == "seq2seq" and asked == ["seq2seq"] * 2 + ["bidirectional"]
    assert time.monotonic() - began < 50


def test_growth_of_what_harms_a_case_is_left_out():
    class Harms(Float32Port):
        def __call__(self, case):
            trace = super().__call__(case)
            case.inputs[...] = 0
            return trace

    assert sampled(Harms(), ["seq2seq"], cases=2) == []


def test_a_heat_map_marks_what_is_wrong_and_tells_special_values_apart():
    array = np.array([[0.5, -1.0], [np.nan, np.inf]])
    drawn = heat_map("scores", array, 1.0, array < 0)
    (first, second) = drawn.slices[0].rows
    assert [cell.text for cell in first + second] == ["0.5", "-1", "nan", "inf"]
    assert [cell.wrong for cell in first + second] == [False, True, False, False]
    assert len({cell.color for cell in first + second}) == 3


def test_a_large_array_is_a_picture_of_a_pixel_an_element_and_shows_the_slice_that_is_wrong():
    from matplotlib import image

    array = np.zeros((20, 30, 40))
    array[17, 3, 5] = 1.0
    drawn = heat_map("states", array, 1.0, array > 0)
    assert [part.place for part in drawn.slices] == ["[17]"] and drawn.left_out == 19
    kind, _, data = drawn.slices[0].picture.partition(",")
    assert kind == "data:image/png;base64"
    pixels = image.imread(io.BytesIO(base64.b64decode(data)), format="png")
    assert pixels.shape == (30, 40, 4)
    assert np.argwhere(pixels[..., 3]).tolist() == [[3, 5]]


@pytest.fixture
def browser(tmp_path):
    if not chromium.executable():
        pytest.skip("this needs Chromium: on Debian, apt-get install chromium")
    browser = chromium.Chromium(tmp_path / "profile")
    yield browser
    browser.close()


@pytest.fixture
def large_page(tensorflow, tmp_path):
    """A page with everything on it, and the script of its first failure."""
    port = Float32Port(wrong_scores)
    port.script = tensorflow.script
    report = report_on(port, tmp_path)
    large = random_case("attention", num_units=40, time=20)
    (exhibit,) = report.failures
    second = exhibit._replace(
        way="large", given=[heat_map(name, array, 1.0) for name, array in large.arrays.items()]
    )
    table = page.Table(["a model"], ["", "a " * 60], [["accuracy", "0.5" * 30]], "agree", "agree")
    path = tmp_path / "page.html"
    growths = sampled(Float32Port(), ARTICLE, cases=2)
    report = report._replace(growths=growths, failures=[exhibit, second], tables=[table])
    page.write(str(path), report)
    return path, exhibit.script


@pytest.mark.slow
def test_a_browser_shows_the_page_from_a_file_without_an_error_or_a_request(browser, large_page):
    path, script = large_page
    browser.open(path)
    for section in ("summary", "failures", "ratios", "growth", "environment"):
        assert browser.evaluate("document.querySelector('#{} h2') !== null".format(section))
    sizes = browser.evaluate("[...document.images].map(i => i.naturalWidth * i.naturalHeight)")
    assert sizes and min(sizes) > 0
    plots = browser.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height)"
    )
    assert len(plots) == 4 and min(plots) > 100
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    root = "document.documentElement"
    for scheme in ("light", "dark"):
        browser(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        for width in (1280, 400):
            browser.size(width)
            assert browser.evaluate("window.innerWidth") == width
            beside = browser.evaluate("(e => e.scrollWidth - e.clientWidth)({})".format(root))
            assert beside == 0, (scheme, width)
    requested = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}
    assert [url for url in requested if url.startswith("file")] == [path.as_uri()]
    told = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
    assert not [event for event in browser.events if event["method"] in told]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["undefined", "{writeText: () => Promise.reject()}"])
def test_a_click_copies_the_script_where_the_browser_has_no_clipboard_for_files(
    way, browser, large_page
):
    path, script = large_page
    browser(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(navigator, 'clipboard', {{value: {}}})".format(way),
    )
    browser.open(path)
    browser.click("button")
    assert browser.evaluate(COPIED)
    assert browser.pasted() == script


@pytest.mark.slow
def test_a_click_copies_the_script(browser, large_page):
    path, script = large_page
    browser.open(path)
    browser.click("button")
    assert browser.evaluate(COPIED)
    assert browser.pasted() == script


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_page_of_pytest_has_what_its_workers_found(workers, tensorflow, tmp_path):
    (tmp_path / "planted.py").write_text(PLANTED)
    path = tmp_path / "page.html"
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "planted", "-n", workers, "--report", str(path)]
        + ["tests/test_models.py", "-k", "ties and not attention"],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stdout
    text = path.read_text(encoding="utf-8")
    assert "1 way of failing" in text and "bidirectional-outputs-teacher-forced" in text
    assert text.count("<svg") == 4


PLANTED = """
from rnndiff.harness.subjects import tensorflow as subjects
from rnndiff.harness.quality.mistakes import MISTAKES

mistake = next(m for m in MISTAKES if m.name == "backward-not-reversed-back")
right = subjects.TensorFlow.__init__


def wrong(self, **options):
    def build(case):
        planted = case.model.name in mistake.models
        return mistake.build(case) if planted else case.model.graph().build(case.config)

    right(self, build=build, **options)


subjects.TensorFlow.__init__ = wrong
"""


def test_a_known_divergence_has_no_growth_but_is_counted():
    case, port = random_case("seq2seq"), Float32Port()
    trace = port(case)
    verdict = judge(case, trace, port.arithmetic(case))
    forced = [array for array in verdict.arrays if array.run == TEACHER_FORCED]
    seen = _Seen()
    seen(JudgedTrace(case, trace, Verdict(forced, known=("one",))))
    assert seen.growths == [] and seen.tally.cases["known"] == 1
    seen(JudgedTrace(case, trace, verdict))
    assert len(seen.growths) == 1

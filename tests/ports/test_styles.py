"""No right port is blamed, in whatever style it is written; with a mistake in it, each is."""

import pytest
from judging import blamed, cases_until_blamed
from port import Port
from styles import MISTAKES, STYLES

from rnndiff.models import ARTICLE


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_right_port_is_not_blamed(style):
    reports = blamed(Port(STYLES[style]), ARTICLE, 500)
    assert not reports, reports[0]


@pytest.mark.slow
@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_right_port_is_not_blamed_in_10000_cases(style):
    reports = blamed(Port(STYLES[style]), ARTICLE, 10000, seed=1)
    assert not reports, reports[0]


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_port_with_a_mistake_is_blamed(style, mistake):
    port = Port(MISTAKES[mistake](STYLES[style]))
    assert cases_until_blamed(port, ARTICLE, 300)

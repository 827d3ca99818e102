"""The pages of the project lead where they say."""

import glob
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = [
    os.path.relpath(page, ROOT)
    for pattern in ("*.md", "docs/*.md", "examples/*.md")
    for page in sorted(glob.glob(os.path.join(ROOT, pattern)))
]


def text_of(page):
    with open(page, encoding="utf-8") as file:
        return file.read()


def anchors_of(page):
    """What the headings of a page are called in links, as GitHub makes it of them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page):
    path = os.path.join(ROOT, page)
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text_of(path))
    for target, anchor in links:
        there = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        assert os.path.exists(there), target
        assert not anchor or anchor in anchors_of(there), (target, anchor)

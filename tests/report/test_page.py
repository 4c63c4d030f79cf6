"""The HTML page: whole in itself, nothing in it can run but its own script, everything linked is there."""

import base64
import re
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from reported import GENERATED, TURN, case_of, recorded_case

from spantriage.detectors.example import agent, answers, asks, calls, fails
from spantriage.report.compose import compose
from spantriage.report.page import run_page

EVIL = (
    '</script><script>alert(1)</script><img src=x onerror=alert(2)>"><svg onload=alert(3)> {{ 777*777 }} javascript:alert(4) '
    "api_key=sk-ant-canary000000000000000000 \x1b[31m\u202e"
)


class Reader(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = Counter(), [], {"style": "", "script": ""}
        self._inside = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag if tag in self.texts else None

    def handle_data(self, data):
        if self._inside:
            self.texts[self._inside] += data

    def handle_endtag(self, tag):
        self._inside = None

    def all(self, name):
        return [value for _, own, value in self.attributes if own == name]


def page_of(case):
    return run_page(case, compose(case, generated=GENERATED))


@pytest.fixture(scope="module")
def page():
    return Reader(page_of(recorded_case(TURN / "attempt_1", TURN)))


@pytest.fixture(scope="module")
def evil():
    case = case_of(agent(EVIL[:180], result=EVIL), calls(EVIL[:180], EVIL, EVIL), fails(calls("t", EVIL), EVIL[:90], EVIL),
                   asks(EVIL[:80]), answers(EVIL))  # fmt: skip
    return page_of(case)


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(page):
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    allowed = {kind: base64.b64encode(sha256(page.texts[kind].encode()).digest()).decode() for kind in ("style", "script")}

    assert policy == (
        f"default-src 'none'; style-src 'sha256-{allowed['style']}'; "
        f"script-src 'sha256-{allowed['script']}'; base-uri 'none'; form-action 'none'"
    )


def test_nothing_is_fetched_and_nothing_needs_an_unsafe_policy(page):
    assert page.tags["script"] == page.tags["style"] == 1
    assert not {"img", "iframe", "link", "object", "embed", "form", "base"} & page.tags.keys()
    assert page.all("src") == page.all("style") == []
    assert [name for _, name, _ in page.attributes if name.startswith("on")] == []
    assert all(value.startswith("#") for value in page.all("href"))


def test_every_link_leads_to_something_on_the_page(page):
    ids = Counter(page.all("id"))

    assert [value for value, number in ids.items() if number > 1] == []
    assert [value for value in page.all("href") if value[1:] not in ids] == []


def test_text_of_agents_cannot_become_an_element(evil):
    read = Reader(evil)

    assert read.tags["script"] == 1
    assert read.tags["img"] == 0
    assert [name for _, name, _ in read.attributes if name.startswith("on")] == []
    for secret in ("canary", "\x1b", "\u202e", "603729"):
        assert secret not in evil


def test_the_first_screen_names_the_failing_agent_and_its_cause():
    case = case_of(agent("buyer", failed=True, error_type="AuthenticationError", sign="authentication"),
                   fails(answers(None), "AuthenticationError", "invalid api key"))  # fmt: skip
    top = page_of(case).split('<ul class="tiles">')[0]

    assert re.search(r"Failing agent</dt><dd[^>]*><bdi>buyer", top)
    assert "authentication" in top.split('id="cause"')[1]


def test_a_run_without_findings_says_so():
    assert "No failure found" in page_of(case_of(agent(result="4"), answers("4")))


def test_every_step_stands_below_its_parent(page):
    levels = [int(level) for level in page.all("aria-level")]

    assert levels[0] == 1
    assert max(levels) > 2
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_what_a_screen_reader_needs_is_there(page):
    assert ("html", "lang", "en") in page.attributes
    assert page.tags["h1"] == 1
    assert page.tags["main"] == 1
    for tag, name in (("svg", "role"), ("button", "type")):
        assert page.tags[tag] >= 1
        assert [value for own, key, value in page.attributes if own == tag and key == name]
    drawings = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    assert drawings
    assert all(drawings)


def test_a_long_run_is_capped_and_says_what_it_leaves_out():
    case = case_of(*[calls("search", f'{{"q": "{number}"}}', "found") for number in range(5_200)], answers())

    assert re.search(r"\d+ more steps are not shown", page_of(case))

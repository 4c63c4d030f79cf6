"""Reports in a real browser: `make browser`. Screenshots go to SPANTRIAGE_SCREENSHOTS, where that is set."""

import os
import shutil
from pathlib import Path

import pytest
from reported import GENERATED, TURN, case_of, recorded_case

from spantriage.detectors.example import agent, answers, calls, fails
from spantriage.parallel import result_of
from spantriage.report.comparing import compare_runs
from spantriage.report.compose import compose
from spantriage.report.fleet import Fleet
from spantriage.report.fleet_document import compose_fleet
from spantriage.report.many_pages import compare_page, fleet_page
from spantriage.report.page import run_page

pytestmark = pytest.mark.browser
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
EVIL = "</script><script>document.title='owned'</script><img src=http://evil.example/x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install --group browser")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, tmp_path):
    def shown(case, name):
        path = tmp_path / f"{name}.html"
        path.write_text(run_page(case, compose(case, generated=GENERATED)))
        browser.get(path.as_uri())
        _shoot(browser, name)
        return browser

    return shown


def _shoot(browser, name):
    folder = os.environ.get("SPANTRIAGE_SCREENSHOTS")
    if folder:
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def press(browser, keys, on="body"):
    find(browser, on)[0].send_keys(keys)


def log():
    return recorded_case(TURN / "attempt_1", TURN)


def test_a_page_opens_without_a_word_in_the_console_or_on_the_network(show):
    browser = show(log(), "run")

    assert browser.get_log("browser") == []
    asked = [entry["message"] for entry in browser.get_log("performance") if "Network.requestWillBeSent" in entry["message"]]
    assert all("file:///" in message for message in asked)


def test_hostile_text_runs_nothing_and_fetches_nothing(show):
    browser = show(
        case_of(agent(EVIL[:100], result=EVIL), calls(EVIL[:100], EVIL, EVIL), fails(calls("t", EVIL), EVIL[:80], EVIL), answers(EVIL)),
        "evil",
    )

    assert browser.title == "Run Analysis Report"
    assert find(browser, "img") == []
    assert not any(
        "evil.example" in entry["message"] for entry in browser.get_log("performance") if "requestWillBeSent" in entry["message"]
    )


def test_the_failing_agent_and_its_cause_are_on_the_first_screen(show):
    case = case_of(agent("buyer", failed=True, error_type="AuthenticationError", sign="authentication"),
                   fails(answers(None), "AuthenticationError", "invalid api key"))  # fmt: skip
    browser = show(case, "failed")

    for selector in ("#failing-agent", "#cause"):
        (element,) = find(browser, selector)
        assert element.rect["y"] + element.rect["height"] < 600
    assert find(browser, "#failing-agent")[0].text == "buyer"


def test_search_agent_and_severity_filter_findings_and_steps(show):
    browser = show(log(), "search")
    shown = lambda selector: [each for each in find(browser, selector) if each.is_displayed()]  # noqa: E731
    everything = len(shown(".finding"))

    find(browser, "#search")[0].send_keys("agent9")
    assert 0 < len(shown(".finding")) < everything
    assert "1 of 8 findings" in find(browser, "#shown")[0].text
    press(browser, "\ue00c", "#search")
    find(browser, "#agent option")[1].click()
    assert {each.get_attribute("data-agent") for each in shown(".finding")} == {"agent_a"}
    assert {each.get_attribute("data-agent") for each in shown("#tree tbody tr")} == {"agent_a"}


def test_everything_can_be_reached_with_the_keyboard(show):
    browser = show(log(), "keyboard")
    focused = lambda: browser.switch_to.active_element  # noqa: E731

    press(browser, "/")
    assert focused().get_attribute("id") == "search"
    press(browser, "\ue00c", "#search")
    press(browser, "j")
    assert "here" in find(browser, ".finding")[0].get_attribute("class")
    press(browser, "?")
    assert find(browser, "#help")[0].is_displayed()
    find(browser, "#close")[0].click()
    rows = find(browser, "#tree tbody tr")
    browser.execute_script("arguments[0].focus()", rows[0])
    focused().send_keys("\ue012")
    assert rows[0].get_attribute("aria-expanded") == "false"
    assert not rows[1].is_displayed()
    focused().send_keys("\ue014")
    assert rows[1].is_displayed()
    focused().send_keys("\ue015")
    assert focused() == rows[1]


def test_a_link_to_a_step_shows_it_whatever_was_folded_or_filtered(show):
    browser = show(log(), "link")
    (twist, *_), (link, *_) = find(browser, ".twist"), find(browser, ".finding ul a")
    for each in (twist, link):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", each)
        each.click()

    target = find(browser, f"#{link.get_attribute('href').partition('#')[2]}")[0]
    assert target.is_displayed()
    assert "here" in target.get_attribute("class")


def test_light_and_dark_follow_the_system_and_the_button(show):
    browser = show(log(), "light")
    background = lambda: browser.execute_script("return getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = background()

    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    dark = background()
    _shoot(browser, "dark")
    assert dark != light
    find(browser, "#theme")[0].click()
    assert background() == light
    browser.execute_script("localStorage.clear()")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_printed_page_leaves_the_tools_out_and_shows_all_rows(show):
    browser = show(log(), "screen")

    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not find(browser, "header.bar")[0].is_displayed()
    assert browser.execute_script("return getComputedStyle(document.querySelector('.tall')).maxHeight") == "none"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_nothing_runs_over_the_side_of_a_narrow_screen(show):
    browser = show(log(), "wide")

    browser.set_window_size(500, 900)
    _shoot(browser, "narrow")
    assert browser.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    browser.set_window_size(1280, 900)


def _pages():
    """Each kind of page by name."""
    one, two = log(), recorded_case(TURN.parent.parent / "spans.jsonl", TURN)
    fleet = Fleet()
    for case in (one, two):
        fleet.add(result_of(case.judged))
    yield "run", run_page(one, compose(one, generated=GENERATED))
    yield "compare", compare_page([one, two], compare_runs([one, two], generated=GENERATED))
    yield "fleet", fleet_page(fleet, compose_fleet(fleet, generated=GENERATED, name="runs"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_a_screen_reader(browser, tmp_path, scheme):
    axe = pytest.importorskip("axe_core_python", reason="no axe: pip install --group browser")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    told = []
    for name, text in _pages():
        path = tmp_path / f"{name}.html"
        path.write_text(text)
        browser.get(path.as_uri())
        _shoot(browser, f"{name}-{scheme}")
        browser.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text())
        found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        told += [
            (name, rule["id"], node["target"], node.get("failureSummary")) for rule in found["violations"] for node in rule["nodes"][:2]
        ]
        assert browser.get_log("browser") == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert told == []

"""The page in a browser, against a training that goes on: one story, in the order of the tests."""

import json
import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WAIT, Training

TABS = ("Training", "Federation", "Privacy", "Testing", "Runs")
ROUND = "() => Number((document.querySelector('.stats dd')?.firstChild.textContent ?? '0').replaceAll(',', ''))"
POINTS = "() => Number(/round (\\d+)/.exec(document.querySelector('.chart')?.getAttribute('aria-label'))?.[1] ?? 0)"
AUDIT = {
    "policy": "standard",
    "holds": False,
    "findings": [
        {"attack": "pixel losses", "figure": "", "refused": ["pixel_losses"], "holds": True, "said": "refused"},
        {"attack": "canaries", "figure": "epsilon at least", "value": 2.5, "low": 2.0, "high": 3.0, "allowed": 1.0}
        | {"holds": False, "said": "200 canaries; they are told apart more often than the policy's epsilon allows"},
    ],
}
SOURCES = "() => [...document.querySelectorAll('#samples img')].map((image) => image.src)"


def at_least(page: Page, expression: str, wanted: int) -> None:
    page.wait_for_function(f"(wanted) => ({expression})() >= wanted", arg=wanted, timeout=WAIT)


def choose(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()


def test_curves_grow_without_a_reload(page: Page) -> None:
    page.evaluate("window.loadedOnce = true")
    at_least(page, POINTS, 3)
    before = page.evaluate(POINTS)
    at_least(page, POINTS, before + 3)
    at_least(page, ROUND, before + 3)
    assert page.evaluate("window.loadedOnce")
    expect(page.locator("#state")).to_have_text("in training")
    assert "#" not in page.url  # the token is out of the address


def test_one_slider_moves_all_pictures(page: Page) -> None:
    slider = page.locator("#sample-slider")
    page.wait_for_function("() => Number(document.querySelector('#sample-slider')?.max) >= 2", timeout=WAIT)
    slider.evaluate("(input) => { input.value = 0; input.dispatchEvent(new Event('input')); }")
    page.wait_for_function("() => document.querySelector('output').textContent === 'round 2'")
    page.wait_for_function("() => document.querySelectorAll('#samples img').length > 0")
    page.wait_for_timeout(300)
    first = page.evaluate(SOURCES)
    columns = page.locator(".strip").first.locator(".head").all_text_contents()
    slider.evaluate("(input) => { input.value = 2; input.dispatchEvent(new Event('input')); }")
    page.wait_for_function(
        "(first) => document.querySelector('#samples img:not([src=\"' + first + '\"])')", arg=first[0]
    )
    page.wait_for_function("() => document.querySelector('output').textContent === 'round 6'")
    page.wait_for_timeout(300)
    later = page.evaluate(SOURCES)
    assert len(first) == len(later) > 0
    drawn = [columns[at % len(columns)].startswith("draw") for at in range(len(first))]
    changed = [before != after for before, after in zip(first, later, strict=True)]
    assert changed == drawn  # every draw of every site, and no label map or real image


def test_a_picture_is_shown_at_full_size(page: Page) -> None:
    page.locator("#samples .picture").nth(1).click()
    expect(page.locator("#large")).to_be_visible()
    assert page.locator("#large-image").get_attribute("alt") == page.locator("#large-caption").text_content()
    page.keyboard.press("Escape")
    expect(page.locator("#large")).to_be_hidden()


def test_a_broken_client_appears_with_its_reason(page: Page) -> None:
    choose(page, "Federation")
    at_least(
        page, "() => Number(document.querySelectorAll('#panel-federation tbody tr')[1]?.cells[10].textContent ?? 0)", 1
    )
    row = page.locator("#panel-federation tbody tr").nth(1)
    expect(row).to_contain_text("part-1")
    page.wait_for_function(
        "() => document.querySelectorAll('#panel-federation tbody tr')[1].textContent.includes('answer refused')"
    )
    assert re.search(r"finite|NaN|nan", row.text_content() or "")
    expect(page.locator("#panel-federation tbody tr").nth(0)).not_to_contain_text("refused")


def test_what_left_each_site_is_listed(page: Page) -> None:
    choose(page, "Privacy")
    expect(page.locator("#panel-privacy")).to_contain_text("gradients")
    expect(page.locator("#panel-privacy details summary").first).to_contain_text("part-0")


def test_the_mask_pad_paints_with_the_generator_of_the_training(page: Page) -> None:
    choose(page, "Testing")
    expect(page.locator("#paint")).to_be_enabled(timeout=WAIT)
    assert "newest" in (page.locator("#paint-step option").first.text_content() or "")

    def paint() -> list[str]:
        page.locator("#paint").click()
        page.wait_for_function("() => document.querySelector('#paint-said').textContent.startsWith('Painted')")
        found: list[str] = page.locator("#painted img").evaluate_all("(images) => images.map((image) => image.src)")
        page.evaluate("document.querySelector('#paint-said').textContent = ''")
        return found

    assert page.locator("#paint-step").input_value() == "newest"
    blank = paint()
    assert len(blank) == 4  # two sites, two draws
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8, steps=8)
    page.mouse.up()
    drawn = paint()
    assert all(one != other for one, other in zip(blank, drawn, strict=True))


def test_a_client_may_be_called_what_every_object_has(page: Page) -> None:
    names = ["constructor", "toString", "__proto__"]
    found = page.evaluate(
        """(names) => {
          const curves = new dgan.Curves();
          for (const since of [0, 1]) {
            const clients = JSON.parse("{" + names.map((name) => `"${name}": [0.5]`).join(", ") + "}");
            curves.take({ stride: 1, since, rounds: [since + 1], measures: { generator_loss: clients } });
          }
          return Object.entries(curves.measures.generator_loss);
        }""",
        names,
    )
    assert found == [[name, [0.5, 0.5]] for name in names]


def test_who_skips_to_the_content_can_load_the_page_again(browser: Browser, address: str) -> None:
    with browser.new_page() as opened:
        opened.goto(address)
        opened.locator(".skip").focus()
        opened.keyboard.press("Enter")
        assert opened.url.endswith("#panels")
        opened.reload()
        expect(opened.locator("#tabs button").first).to_be_visible(timeout=WAIT)
        expect(opened.locator("#state")).not_to_have_text("not connected")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_everybody_can_use_every_tab(page: Page, training: Training, scheme: str, width: int) -> None:
    (training.directory / "audit.json").write_text(json.dumps(AUDIT))
    choose(page, "Privacy")
    expect(page.locator("#panel-privacy")).to_contain_text("what it promises does not hold", timeout=WAIT)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    for tab in TABS:
        choose(page, tab)
        page.wait_for_timeout(200)
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, [(tab, each["id"], [node["html"] for node in each["nodes"]]) for each in serious]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab  # nothing stands out to the side


def test_a_kill_and_a_resume_are_shown_as_such(page: Page, training: Training) -> None:
    choose(page, "Training")
    before = page.evaluate(ROUND)
    training.kill()
    expect(page.locator("#state")).to_have_text("killed", timeout=WAIT)
    expect(page.locator("#panel-training")).to_contain_text("resume")
    training.start("resume")
    expect(page.locator("#state")).to_have_text("in training", timeout=WAIT)
    expect(page.locator("#panel-training")).to_contain_text("attempt 2", timeout=WAIT)
    at_least(page, ROUND, before + 2)
    at_least(page, POINTS, before + 2)
    assert page.evaluate("window.loadedOnce")


def test_no_request_left_the_machine_and_nothing_broke(page: Page, address: str) -> None:
    asked = [url for url in page.asked if not url.startswith(("data:", "blob:"))]  # type: ignore[attr-defined]
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}
    assert all("#" not in url and urlsplit(address).fragment not in url for url in asked[1:])
    assert page.wrong == []  # type: ignore[attr-defined]

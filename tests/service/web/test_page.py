"""What a person sees at ``/``, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from service.formatting import joint_notes, percent, points, strength
from service.storage import Storage
from tests.service import studies

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page that fails the test if it asks another host or its script complains."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda request: None if "//127.0.0.1:" in request.url else complaints.append(request.url),
    )
    yield page
    page.close()
    assert complaints == []


def test_empty_page_says_how_to_submit_a_study(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_text("Nothing has been tuned yet")).to_be_visible()
    command = page.locator("#submit code").first
    expect(command).to_be_visible()
    expect(command).to_contain_text(f"curl -X POST {url}/v1/studies")


def test_recommendation_shows_setting_gain_and_interval(
    page: Page, url: str, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    page.goto(url)
    table = page.get_by_role("table").first
    row = table.get_by_role("row").filter(has_text="confirmed")
    expect(row).to_contain_text("digits_cnn")
    expect(row).to_contain_text(strength(stored.setting.alpha))
    expect(row).to_contain_text(percent(stored.accuracy.mean))
    plot = row.get_by_role("img")
    expect(plot).to_have_attribute("class", "interval better")
    zero = float(plot.locator(".zero").get_attribute("x1") or "nan")
    low = float(plot.locator(".span").get_attribute("x1") or "nan")
    assert zero < low, "an interval above zero lies right of the line of no difference"
    expect(page.get_by_text(stored.message)).to_be_visible()


def test_what_was_tuned_jointly_is_said_wherever_a_setting_is(
    page: Page, url: str, storage: Storage
) -> None:
    tune = ("learning_rate", "alpha_schedule")
    study = studies.submit(storage, studies.request_for(tune=tune))
    stored = studies.finish(storage)
    page.goto(url)
    tuned, without = joint_notes(stored.candidate), joint_notes(stored.control)
    assert tuned.startswith("learning rate x") and without.startswith("learning rate x")
    expect(page.get_by_text(f"To be trained with {', '.join(stored.train_with)}.")).to_be_visible()
    board = page.locator(".board tbody tr")
    expect(board.filter(has_text="tuned")).to_contain_text(tuned)
    expect(board.filter(has_text="without HAM")).to_contain_text(without)
    page.locator("details[id^=evidence] summary").click()
    evidence = page.locator("details[id^=evidence]")
    expect(evidence.get_by_role("row").filter(has_text="no HAM, recipe")).to_be_visible()
    page.goto(f"{url}/studies/{study.id}")
    expect(
        page.get_by_text("With HAM and without it, learning rate 0.2 to 5 times the recipe")
    ).to_be_visible()
    expect(page.get_by_text("Alpha schedule: constant or linear or cosine.")).to_be_visible()
    expect(page.get_by_text(tuned).first).to_be_visible()
    run = next(r for r in storage.runs.of_study(study.id) if r.setting == stored.candidate)
    page.goto(f"{url}/runs/{run.id}")
    expect(page.locator(".lead")).to_contain_text(tuned)


def test_study_of_two_objectives_shows_its_front(page: Page, url: str, storage: Storage) -> None:
    studies.submit(storage, studies.front_request())
    stored = studies.finish_front(storage)
    page.goto(url)
    page.locator("section[aria-labelledby=fronts]").get_by_text(stored.study_id).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("random-0.80,0.90")
    section = page.locator("section[aria-labelledby=front]")
    expect(section.get_by_text(stored.message)).to_be_visible()
    picture = section.get_by_role("img")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    rows = section.locator("tbody tr")
    assert rows.count() == len(stored.points)
    for row, point in zip(rows.all(), stored.points, strict=True):
        expect(row).to_contain_text(f"{point.combination.sparsity:.2f}")
        expect(row).to_contain_text(strength(point.setting.alpha))
        assert point.test_accuracy is not None and point.gain is not None
        expect(row).to_contain_text(percent(point.test_accuracy.mean))
        expect(row).to_contain_text(points(point.gain.mean))
        expect(row).to_contain_text("shown")
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate(CONTRAST) == []


def test_leaderboard_shows_ranks_in_order(page: Page, url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    page.goto(url)
    board = page.locator(".board")
    ranks = board.locator("td[data-label=Rank]").all_inner_texts()
    assert ranks == sorted(ranks)
    expect(board.locator("tbody tr").first).to_contain_text("+ HAM, tuned")


def test_progress_moves_without_reloading(page: Page, url: str, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    page.goto(url)
    card = page.locator(".card")
    expect(card).to_contain_text("queued")
    expect(card).to_contain_text("0 of 4")
    _, held = studies.claim(storage)
    studies.search(storage, study, held, 3)
    expect(card).to_contain_text("search", timeout=10_000)
    expect(card).to_contain_text("3 of 4")
    assert card.locator("progress").evaluate("bar => bar.value") == 3


def test_opened_evidence_stays_open_while_the_page_refreshes(
    page: Page, url: str, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    study = studies.submit(storage, studies.request_for("rigl"))
    page.goto(url)
    summary = page.locator("details[id^=evidence] summary")
    summary.click()
    _, held = studies.claim(storage)
    studies.search(storage, study, held, 2)
    expect(page.locator(".card")).to_contain_text("2 of 4", timeout=10_000)
    expect(page.locator("details[id^=evidence] pre")).to_be_visible()
    expect(summary).to_be_focused()


def test_failed_study_shows_its_reason_as_text(page: Page, url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    _, held = studies.claim(storage)
    storage.queue.fail(held, "no trial gave a result: <script>alert(1)</script>")
    page.goto(url)
    reason = page.get_by_text("no trial gave a result: <script>alert(1)</script>")
    expect(reason).to_be_visible()


@pytest.mark.parametrize("opened", [False, True])
def test_page_fits_a_phone(page: Page, url: str, storage: Storage, opened: bool) -> None:
    for sparsifier, gain in (("random", 0.03), ("rigl", -0.02)):
        studies.submit(storage, studies.request_for(sparsifier))
        studies.finish(storage, gain)
    studies.submit(storage, studies.request_for())
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    page.goto(url)
    if opened:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    outside = page.evaluate(
        """() => [...document.querySelectorAll("main :not(pre, pre *, thead, thead *)")]
            .filter((e) => e.getBoundingClientRect().right > innerWidth)
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(
    browser: Browser, url: str, storage: Storage, scheme: str
) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for every piece of text."""
    for sparsifier, gain in (("random", 0.03), ("rigl", -0.02), ("dense", 0.0)):
        studies.submit(storage, studies.request_for(sparsifier, 0.9 * (sparsifier != "dense")))
        studies.finish(storage, gain)
    studies.submit(storage, studies.request_for())
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(url)
    weak = page.evaluate(CONTRAST)
    page.close()
    assert weak == []


CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3)
    .map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const rgba = channels(getComputedStyle(e).backgroundColor);
      if (rgba.length < 4 || rgba[3] > 0) return rgba;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !element.checkVisibility()) continue;
    const pair = [channels(getComputedStyle(element).color), background(element)].map(luminance);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) weak.push(element.textContent.trim().slice(0, 40) + " " + ratio.toFixed(2));
  }
  return weak;
}"""

"""The home page, in a real browser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

from ham.client.records import Estimate
from search_spaces import Tunable
from service.formatting import joint_notes, percent, strength
from service.storage import Storage
from service.web.home import Axis
from tests.service import studies
from tests.service.web.layout import CONTRAST, PHONE


def test_empty_page_says_how_to_submit_a_study(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_text("Nothing has been tuned yet")).to_be_visible()
    command = page.locator("#submit code").first
    expect(command).to_be_visible()
    expect(command).to_contain_text(f"curl -X POST {url}/v1/studies")


def test_recommendation_shows_configuration_gain_and_interval(
    page: Page, url: str, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    page.goto(url)
    table = page.get_by_role("table").first
    row = table.get_by_role("row").filter(has_text="confirmed")
    expect(row).to_contain_text("digits_cnn")
    expect(row).to_contain_text(strength(stored.setting.alpha))
    assert stored.accuracy is not None
    expect(row).to_contain_text(percent(stored.accuracy.mean))
    plot = row.get_by_role("img")
    expect(plot).to_have_attribute("class", "interval better")
    zero = float(plot.locator(".zero").get_attribute("x1") or "nan")
    low = float(plot.locator(".span").get_attribute("x1") or "nan")
    assert zero < low, "an interval above zero lies right of the line of no difference"
    expect(page.get_by_text(stored.message)).to_be_visible()


def test_jointly_tuned_values_are_shown_with_every_configuration(
    page: Page, url: str, storage: Storage
) -> None:
    tune: tuple[Tunable, ...] = ("learning_rate", "alpha_schedule")
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
    expect(evidence.get_by_role("row").filter(has_text="recipe baseline")).to_be_visible()
    page.goto(f"{url}/studies/{study.id}")
    expect(
        page.get_by_text(
            "In both branches, HAM and baseline, learning rate 0.2 to 5 times the recipe"
        )
    ).to_be_visible()
    expect(page.get_by_text("Alpha schedule: constant or linear or cosine.")).to_be_visible()
    expect(page.get_by_text(tuned).first).to_be_visible()
    run = next(r for r in storage.runs.of_study(study.id) if r.setting == stored.candidate)
    page.goto(f"{url}/runs/{run.id}")
    expect(page.locator(".lead")).to_contain_text(tuned)


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
    _, lease = studies.claim(storage)
    studies.search(storage, study, lease, 3)
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
    _, lease = studies.claim(storage)
    studies.search(storage, study, lease, 2)
    expect(page.locator(".card")).to_contain_text("2 of 4", timeout=10_000)
    expect(page.locator("details[id^=evidence] pre")).to_be_visible()
    expect(summary).to_be_focused()


def test_failed_study_shows_its_reason_as_text(page: Page, url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    _, lease = studies.claim(storage)
    storage.queue.fail(lease, "no trial gave a result: <script>alert(1)</script>")
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


finite = st.floats(-1, 1, allow_subnormal=False)


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=5))
def test_axis_holds_every_interval_and_zero(pairs: list[tuple[float, float]]) -> None:
    estimates = [Estimate(mean=(a + b) / 2, low=min(a, b), high=max(a, b), n=3) for a, b in pairs]
    axis = Axis.around(estimates, 0.0)
    for value in (
        0.0,
        *(estimate.low for estimate in estimates),
        *(estimate.high for estimate in estimates),
    ):
        assert 0 < axis.coordinate(value) < 100


@given(finite, finite)
def test_axis_keeps_order(a: float, b: float) -> None:
    axis = Axis(-1.5, 1.5)
    assert (axis.coordinate(a) <= axis.coordinate(b)) or a > b

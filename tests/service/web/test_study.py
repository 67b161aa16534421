"""The page of a study, in a real browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from service.formatting import percent, points, strength
from service.storage import Storage
from tests.service import studies
from tests.service.web.layout import CONTRAST, PHONE


def test_study_of_two_objectives_shows_its_pareto_front(
    page: Page, url: str, storage: Storage
) -> None:
    studies.submit(storage, studies.pareto_request())
    stored = studies.finish_pareto_study(storage)
    page.goto(url)
    page.locator("section[aria-labelledby=pareto-fronts]").get_by_text(stored.study_id).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("random-0.80,0.90")
    section = page.locator("section[aria-labelledby=pareto-front]")
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


def test_home_page_leads_to_a_studys_runs(page: Page, url: str, storage: Storage) -> None:
    study = studies.submit(storage, studies.request_for())
    studies.finish(storage)
    page.goto(url)
    page.locator(".board a.method").first.click()
    expect(page).to_have_url(f"{url}/studies/{study.id}")
    expect(page.get_by_text("Early stopping is off.")).to_be_visible()
    confirmation = page.get_by_role("region", name="Confirmation")
    expect(confirmation.get_by_role("row")).to_have_count(1 + 3 * 3)

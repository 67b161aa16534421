"""The page of a run, in a real browser, after a real training."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from ham.client.records import Run
from ham.results import EarlyStop, MeasuredCost
from service.formatting import amount, count, percent
from service.storage import Storage
from service.web.measures import shown_measures
from service.web.run import line, run_page
from service.web.templating import templates
from tests.service.web.conftest import trained
from tests.service.web.layout import CONTRAST


def test_pages_show_every_measure_of_a_run(page: Page, url: str, run: Run) -> None:
    measures = shown_measures(run)
    sparsity, of_run = measures.sparsity, measures.of_run
    missing = {
        name for part in (sparsity, of_run) for name, value in vars(part).items() if value is None
    }
    assert missing == {"emerged", "early_stopping", "cost"}
    page.goto(f"{url}/studies/{run.study_id}")
    row = page.get_by_role("row").filter(has_text="succeeded")
    for text in (
        percent(run.test_accuracy),
        percent(sparsity.realised),
        count(sparsity.nonzeros),
        percent(measures.training_share),
        percent(measures.inference_share),
        percent(of_run.explored),
    ):
        expect(row).to_contain_text(text)
    row.get_by_role("link").click()
    expect(page).to_have_url(f"{url}/runs/{run.id}")
    shown = page.locator(".measures")
    for text in (
        percent(sparsity.target),
        amount(of_run.training_flops),
        amount(of_run.inference_flops),
    ):
        expect(shown).to_contain_text(text)
    expect(page.get_by_role("img", name="Sign flips over 15 epochs")).to_be_visible()
    expect(page.get_by_role("img", name="Mask churn over 15 epochs")).to_be_visible()
    layers = page.get_by_role("region", name="Layers").get_by_role("row")
    expect(layers).to_have_count(1 + len(sparsity.layers))
    expect(layers.last).to_contain_text(count(sparsity.layers[-1].nonzeros))
    expect(page.get_by_text("began ").first).to_contain_text("15 of 15 epochs")
    page.locator("#curve summary").click()
    expect(page.locator("#curve tbody tr")).to_have_count(15)


def test_page_shows_the_emerged_sparsity(page: Page, url: str, storage: Storage) -> None:
    run = trained(storage, "str")
    emerged = shown_measures(run).sparsity.emerged
    assert emerged is not None
    page.goto(f"{url}/runs/{run.id}")
    shown = page.locator(".measures div").filter(has_text="emerged")
    expect(shown).to_contain_text(percent(emerged))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_have_enough_contrast(
    browser: Browser, url: str, run: Run, scheme: str
) -> None:
    dark = scheme == "dark"
    page = browser.new_page(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": 390, "height": 844})
    for path in (f"/studies/{run.study_id}", f"/runs/{run.id}", "/catalogue"):
        page.goto(url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path
        assert page.evaluate(CONTRAST) == [], path
    page.close()


def test_unknown_study_and_run_are_not_found(page: Page, url: str) -> None:
    for path in ("/studies/study_" + "0" * 26, "/runs/run_" + "0" * 26):
        response = page.request.get(url + path)
        assert response.status == 404


def test_line_stays_in_its_box_and_a_flat_one_at_the_bottom() -> None:
    assert line("t", [1.0, 3.0, 2.0]).points == "0.00,29.00 50.00,1.00 100.00,15.00"
    assert line("t", [0.0, 0.0]).points == "0.00,29.00 100.00,29.00"
    assert line("t", [5.0]).points == "0.00,29.00"


def test_page_shows_peak_memory_and_the_rule_that_stopped_the_run(
    storage: Storage, run: Run
) -> None:
    measures = replace(
        run.measures,
        cost=MeasuredCost(peak_memory_bytes=3_000_000),
        early_stopping=EarlyStop(rule="median", rank_correlation=0.8),
    )
    page = run_page(storage, run.id)
    page = replace(page, measures=shown_measures(run.model_copy(update={"measures": measures})))
    text = templates.get_template("run.html").render(page=page)
    assert "<dt>Peak memory</dt><dd>3 MB</dd>" in text
    assert "Early stopping (median) ended it, at a rank correlation of 0.8" in text

"""``ham.recommend``, over real HTTP."""

from __future__ import annotations

import http.server
import threading

import pytest
import torch

from ham import HAM, StrengthSchedule
from ham.client.client import Client
from ham.client.errors import RequestRefused, ServiceNotRunning
from ham.client.recommended import TunedJointly, recommend
from ham.config import RECIPE_BASELINE
from service.storage import Storage
from tests.service import studies
from tests.service.cli.conftest import free_port


def test_recommended_configuration_unpacks_into_ham(url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for())
    stored = studies.finish(storage)
    found = recommend("digits_cnn", "digits", "random", 0.9, url=url)
    base = torch.optim.SGD([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1)
    optimizer = HAM(base, **found)
    group = optimizer.param_groups[0]
    assert (group["ham_alpha"], group["ham_beta"]) == (found.alpha, found.beta)
    assert dict(found) == {"alpha": stored.setting.alpha, "beta": stored.setting.beta}
    assert found.evidence == stored.evidence
    assert str(found) == stored.message


def test_configuration_tuned_jointly_comes_with_a_warning_that_names_the_rest(
    url: str, storage: Storage
) -> None:
    studies.submit(storage, studies.request_for(tune=("learning_rate",)))
    stored = studies.finish(storage)
    assert stored.learning_rate == 0.1 * stored.setting.learning_rate != 0.1
    with pytest.warns(TunedJointly, match=f"learning rate {stored.learning_rate:.6g}"):
        found = recommend("digits_cnn", "digits", "random", 0.9, url=url)
    assert dict(found) == {"alpha": stored.setting.alpha, "beta": stored.setting.beta}
    assert (found.learning_rate, found.weight_decay) == (stored.learning_rate, None)
    with Client(url) as client:
        runs = client.evidence_runs(stored)
    assert [(run.setting, run.seed) for run in runs] == [
        (ham_config, seed) for ham_config in stored.compared for seed in stored.seeds
    ]
    assert stored.control.learning_rate != 1 and RECIPE_BASELINE in stored.compared


def test_recommended_schedules_can_be_followed(url: str, storage: Storage) -> None:
    studies.submit(storage, studies.request_for(tune=("beta_schedule",)))
    stored = studies.finish(storage)
    assert stored.setting.beta_schedule == "cosine"
    with pytest.warns(TunedJointly, match=r"beta cosine to 0; ham\.StrengthSchedule"):
        found = recommend("digits_cnn", "digits", "random", 0.9, url=url)
    optimizer = HAM(torch.optim.SGD([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1), **found)
    strengths = StrengthSchedule(optimizer, found.setting, steps=2)
    strengths.set(2)
    (group,) = optimizer.param_groups
    assert group["ham_alpha"] == stored.setting.alpha
    assert group["ham_beta"] == pytest.approx(stored.setting.beta / 2)


def test_untuned_combination_is_refused_with_the_request_that_tunes_it(url: str) -> None:
    with pytest.raises(RequestRefused, match="POST /v1/studies") as caught:
        recommend("digits_cnn", "digits", "rigl", 0.5, url=url)
    assert caught.value.status == 404


def test_missing_service_is_reported_with_the_command_that_starts_it() -> None:
    with pytest.raises(ServiceNotRunning, match="hamtune serve"):
        recommend("digits_cnn", "digits", "dense", url=f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["http://[::bad", "nonsense", "ftp://127.0.0.1"])
def test_invalid_address_is_reported_as_a_missing_service(url: str) -> None:
    with pytest.raises(ServiceNotRunning):
        recommend("digits_cnn", "digits", "dense", url=url)


def test_another_program_at_the_address_is_reported_as_a_missing_service() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(ServiceNotRunning, match="no hamtune service"):
            recommend(
                "digits_cnn", "digits", "dense", url=f"http://127.0.0.1:{server.server_port}"
            )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""No text of a request is imported, unpickled, evaluated or opened.

Python's audit events show what the process does while it answers. Names in a request are looked up
in registries. A canary module on the import path and a canary file beside the data must stay
untouched.
"""

from __future__ import annotations

import marshal
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import service
from service.api.app import create_app
from service.settings import Settings
from tests.service import studies
from tests.service.builders import opened

SECRET = "only-the-operator-knows-this"
CANARY = "canary_that_no_request_may_import"
WATCHED_EVENTS = {
    "import",
    "open",
    "compile",
    "pickle.find_class",
    "marshal.loads",
    "os.system",
    "os.exec",
    "subprocess.Popen",
    "ctypes.dlopen",
    "socket.connect",
}

HOSTILE = [
    CANARY,
    f"{CANARY}:run",
    f"{CANARY}.run",
    "os.system",
    "builtins.eval",
    "__import__('os').system('id')",
    "{{ 7 * 7 }}",
    "!!python/object/apply:os.system ['id']",
    "canary.txt",
    "../canary.txt",
    "../../canary.txt",
    "..%2f..%2fcanary.txt",
    "file:///etc/passwd",
    "/etc/passwd",
    "sqlite:///other.sqlite3",
    "x' OR '1'='1",
    "x\x00y",
    pickle.dumps(print).decode("latin-1"),
]
PATHS = [
    "/v1/studies/{}",
    "/v1/studies/{}/logs",
    "/v1/studies/{}/output",
    "/v1/studies/{}/bundle",
    "/v1/studies/{}/events",
    "/v1/sweeps/{}",
    "/v1/runs/{}",
    "/v1/runs/{}/curve",
    "/v1/recommendations/{}/surface",
    "/v1/leaderboards/{}",
    "/v1/combinations/{}",
    "/v1/exports/{}",
    "/assets/{}",
    "/docs-assets/{}",
    "/static/{}",
    "/dashboard/{}",
    "/api/studies/{}",
    "/studies/{}",
    "/runs/{}",
]
QUERIES = ["model", "dataset", "sparsifier", "optimizer", "recipe", "submitter", "cursor"]
QUERIES += ["format", "purpose", "state"]
LISTS = ["/v1/studies", "/v1/recommendations", "/v1/recommendations/transferred", "/v1/runs"]
LISTS += ["/v1/external-runs", "/v1/exports/runs", "/"]
FIELDS = ["model", "dataset", "sparsifier", "optimizer", "recipe", "sampler", "budget"]
BODIES = ["/v1/studies", "/v1/studies/plan", "/v1/sweeps", "/v1/runs"]
HEADERS = ["Idempotency-Key", "Last-Event-ID", "Content-Type", "Accept", "If-None-Match"]
HEADERS += ["Authorization", "X-Request-ID", "Cookie"]


class Watch:
    """Audit events of the process while it is watched; an audit hook cannot be removed."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] | None = None
        sys.addaudithook(self._record)

    def _record(self, event: str, args: tuple[Any, ...]) -> None:
        if (
            self._seen is not None
            and event in WATCHED_EVENTS
            and not _reads_compiled_module(event)
        ):
            self._seen.append((event, str(args[0]) if args else ""))

    @contextmanager
    def on(self) -> Iterator[list[tuple[str, str]]]:
        seen: list[tuple[str, str]] = []
        self._seen = seen
        try:
            yield seen
        finally:
            self._seen = None


def _reads_compiled_module(event: str) -> bool:
    """Return True if the import system reads a module that it compiled before."""
    caller = sys._getframe(2).f_code.co_filename
    return event == "marshal.loads" and caller == "<frozen importlib._bootstrap_external>"


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("inert")
    (folder / f"{CANARY}.py").write_text(f"raise SystemExit({SECRET!r})")
    (folder / "canary.txt").write_text(SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    """A service with a finished study; every address was requested once before."""
    settings = Settings(data_dir=folder / "data")
    with opened(settings) as storage:
        studies.submit(storage, studies.request_for())
        studies.finish(storage)
        client = TestClient(create_app(settings, storage), raise_server_exceptions=False)
        for path in (*PATHS, *LISTS):
            client.get(path.format("x"))
        for name in ("csv", "jsonl", "parquet"):
            assert client.get("/v1/exports/runs", params={"format": name}).status_code == 200
        [study] = client.get("/v1/studies").json()["items"]
        for path in ("/v1/studies/{}/bundle", "/studies/{}", "/v1/studies/{}/events"):
            assert client.get(path.format(study["id"])).status_code == 200
        yield client


hostile = st.sampled_from(HOSTILE) | st.text(max_size=30)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A hostile text, and a request that contains it."""
    text = draw(hostile)
    return text, draw(requests_with(text))


@st.composite
def requests_with(draw: st.DrawFn, text: str) -> dict[str, Any]:
    kind = draw(st.sampled_from(["path", "query", "body", "raw", "header"]))
    if kind == "path":
        return {"method": "GET", "url": draw(st.sampled_from(PATHS)).format(quote(text, safe=""))}
    if kind == "query":
        name = draw(st.sampled_from(QUERIES))
        return {"method": "GET", "url": draw(st.sampled_from(LISTS)), "params": {name: text}}
    url = draw(st.sampled_from(BODIES))
    if kind == "raw":
        headers = {"Content-Type": draw(st.sampled_from(["application/json", "text/yaml", "x/y"]))}
        content = text.encode("utf-8", "surrogatepass")
        return {"method": "POST", "url": url, "content": content, "headers": headers}
    body = studies.request_for().model_dump(mode="json")
    if kind == "header":
        name = draw(st.sampled_from(HEADERS))
        sent = {name: text.encode("utf-8", "surrogatepass")}
        return {"method": "POST", "url": url, "json": body, "headers": sent}
    body[draw(st.sampled_from(FIELDS))] = draw(st.sampled_from([text, [text], {text: text}]))
    return {"method": "POST", "url": url, "json": body}


def test_no_text_of_a_request_is_run_or_opened(
    client: TestClient, watch: Watch, folder: Path
) -> None:
    code = Path(service.__file__).parent
    registered = tuple(os.path.realpath(path) for path in (code, folder / "data", sys.prefix))

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests())
    def is_inert(generated: tuple[str, dict[str, Any]]) -> None:
        text, request = generated
        with watch.on() as seen:
            answer = client.request(**request)
        assert answer.status_code < 500, answer.text
        assert SECRET not in answer.text
        for event, subject in seen:
            if event == "open":
                assert os.path.realpath(subject).startswith(registered), subject
            else:  # libraries import modules and compile code at their first use
                assert event in ("import", "compile"), (event, subject)
                assert len(text) < 5 or text not in subject, (event, subject)

    is_inert()
    assert CANARY not in sys.modules


def test_watch_sees_imports_files_and_processes(watch: Watch, folder: Path) -> None:
    with watch.on() as seen:
        (folder / "canary.txt").read_text()
        compile("1", "x", "eval")
        pickle.loads(pickle.dumps(print))
        marshal.loads(marshal.dumps(1))
    events = {event for event, _ in seen}
    assert events >= {"open", "compile", "pickle.find_class", "marshal.loads"}

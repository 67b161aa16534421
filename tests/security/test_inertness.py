"""Nothing that a request says is imported, unpickled, evaluated or opened.

Python's audit events tell what the process does while it answers. Whatever a request names is
looked up in registries; a canary module on the path and a canary file beside the data wait to be
touched in vain.
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
TELLING = {
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
    """What the process does while it is watched; a hook, once added, stays for good."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if self._seen is not None and event in TELLING and not _reads_compiled_module(event):
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
    """Tell whether it is the import system that reads what it has compiled before."""
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
    """A service with a finished study, every address of which was asked once already."""
    settings = Settings(data_dir=folder / "data")
    with opened(settings) as storage:
        studies.submit(storage, studies.request_for())
        studies.finish(storage)
        client = TestClient(create_app(settings, storage), raise_server_exceptions=False)
        for path in (*PATHS, *LISTS):
            client.get(path.format("x"))
        for name in ("csv", "jsonl", "parquet"):
            assert client.get("/v1/exports/runs", params={"format": name}).status_code == 200
        [row] = client.get("/v1/studies").json()["items"]
        for path in ("/v1/studies/{}/bundle", "/studies/{}", "/v1/studies/{}/events"):
            assert client.get(path.format(row["id"])).status_code == 200
        yield client


hostile = st.sampled_from(HOSTILE) | st.text(max_size=30)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Something hostile, and a request that says it somewhere."""
    text = draw(hostile)
    return text, draw(saying(text))


@st.composite
def saying(draw: st.DrawFn, text: str) -> dict[str, Any]:
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


def test_nothing_that_a_request_says_is_run_or_opened(
    client: TestClient, watch: Watch, folder: Path
) -> None:
    code = Path(service.__file__).parent
    registered = tuple(os.path.realpath(path) for path in (code, folder / "data", sys.prefix))

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests())
    def is_inert(said: tuple[str, dict[str, Any]]) -> None:
        text, request = said
        with watch.on() as seen:
            answer = client.request(**request)
        assert answer.status_code < 500, answer.text
        assert SECRET not in answer.text
        for event, what in seen:
            if event == "open":
                assert os.path.realpath(what).startswith(registered), what
            else:  # libraries import and write code of their own when first needed
                assert event in ("import", "compile"), (event, what)
                assert len(text) < 5 or text not in what, (event, what)

    is_inert()
    assert CANARY not in sys.modules


def test_watch_sees_what_it_is_there_to_see(watch: Watch, folder: Path) -> None:
    with watch.on() as seen:
        (folder / "canary.txt").read_text()
        compile("1", "x", "eval")
        pickle.loads(pickle.dumps(print))
        marshal.loads(marshal.dumps(1))
    told = {event for event, _ in seen}
    assert told >= {"open", "compile", "pickle.find_class", "marshal.loads"}

"""The API starts fast: it imports no heavy package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "ray", "optuna", "optuna_dashboard", "sklearn", "pandas", "torchvision")

SCRIPT = """
import sys
from pathlib import Path
from service.api.app import create_app
from service.settings import Settings
from service.storage import open_storage
from service.storage.engine.migrate import migrate
from fastapi.testclient import TestClient

settings = Settings(data_dir=Path(sys.argv[1]))
storage = open_storage(settings)
migrate(storage.database)
client = TestClient(create_app(settings, storage))
body = {"model": "digits_cnn", "dataset": "digits", "sparsifier": "random", "sparsity": 0.9}
assert client.post("/v1/studies", json=body).status_code == 202
for path in ("/", "/docs", "/openapi.json", "/v1/studies", "/v1/leaderboards", "/v1/models"):
    assert client.get(path).status_code == 200, path
print(sorted(set(sys.argv[2:]) & set(sys.modules)))
"""


def test_api_answers_without_importing_torch_ray_or_optuna(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *HEAVY], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"

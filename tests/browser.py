"""A Chromium for the tests: one that is installed, or one that is installed now."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # root, as in most containers, has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """No Chromium is here and none can be installed; the message says why."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Launch a headless Chromium, after installing one where there is none."""
    with sync_playwright() as playwright:
        with _alone():
            path = _found(playwright) or _installed(playwright)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for the other processes of this run: package managers refuse to run side by side."""
    with (Path(tempfile.gettempdir()) / "hamtune-browser.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _found(playwright: Playwright) -> str | None:
    for name in NAMES:
        if path := shutil.which(name):
            return path
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def _installed(playwright: Playwright) -> str:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        waits = ("-o", "DPkg::Lock::Timeout=300")
        commands = [
            ("apt-get", *waits, "update"),
            ("apt-get", *waits, "install", "-y", "--no-install-recommends", "chromium"),
        ]
    else:
        commands = [(sys.executable, "-m", "playwright", "install", "chromium")]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise NoBrowser(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
    path = _found(playwright)
    if path is None:
        raise NoBrowser(f"{' '.join(commands[-1])} ended well but left no Chromium")
    return path

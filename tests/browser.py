"""A headless Chromium for the tests, installed first if the machine has none."""

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
    "--no-sandbox",  # Chromium refuses to run its sandbox as root, the user of most containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """The machine has no Chromium and none can be installed; the message says why."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a running headless Chromium. Install Chromium first if the machine has none.

    Raises:
        NoBrowser: Chromium cannot be installed.
    """
    with sync_playwright() as playwright:
        with _exclusive_lock():
            path = _find(playwright) or _install(playwright)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def _exclusive_lock() -> Iterator[None]:
    """Let one test process at a time enter: package managers refuse to run side by side."""
    with (Path(tempfile.gettempdir()) / "hamtune-browser.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _find(playwright: Playwright) -> str | None:
    """Return the path of an installed Chromium: the system's, else Playwright's own."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def _install(playwright: Playwright) -> str:
    """Install Chromium and return its path: by apt-get for root, else by Playwright.

    Raises:
        NoBrowser: the installation failed.
    """
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
    path = _find(playwright)
    if path is None:
        raise NoBrowser(f"{' '.join(commands[-1])} ended well but left no Chromium")
    return path

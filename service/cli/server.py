"""What ``hamtune serve`` does: database, scheduler, API, and their end."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from ham.client.address import ADDRESS_FILE, ServiceAddress
from service import logs
from service.api.app import create_app
from service.api.middleware.local_only import LocalOnly
from service.cli.errors import PortTaken
from service.cli.scheduler_process import SchedulerProcess
from service.settings import Settings
from service.storage import open_storage
from service.storage.engine.migrate import migrate

_SECONDS_FOR_OPEN_REQUESTS = 5


def serve(settings: Settings, scheduler: bool, announce: Callable[[str], None]) -> None:
    """Run the service until SIGINT or SIGTERM.

    Args:
        settings: where it listens and keeps its data.
        scheduler: whether to run a scheduler beside the API.
        announce: called with the address once the API answers.

    Raises:
        PortTaken: something listens on the port already.
    """
    logs.configure(settings)
    listener = _listen(settings.host, settings.port)
    storage = open_storage(settings)
    migrate(storage.database)
    app = create_app(settings, storage)
    keeper = SchedulerProcess(settings) if scheduler else None
    # Uvicorn raises the signal again when it has shut down; this turns it into an exception.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if keeper:
            keeper.start()
        _Server(app, settings, announce).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        _forget_address(settings, app)
        if keeper:
            keeper.stop()
        storage.database.close()


class _Server(uvicorn.Server):
    """A server that tells when it answers, and writes its address into the data folder."""

    def __init__(self, app: FastAPI, settings: Settings, announce: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app if settings.keys_required else LocalOnly(app),
                host=settings.host,
                log_config=None,
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=_SECONDS_FOR_OPEN_REQUESTS,
            )
        )
        self._app, self._settings, self._announce = app, settings, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # modules and schemas stay: to look through them takes 0.1 s, again and again
        url = _url(self._settings)
        _remember_address(self._settings, self._app, url)
        self._announce(url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which would not end by themselves, then wait for open requests."""
        self._app.state.feed.closed = True
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms per answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} of {host} is taken, perhaps by another hamtune; choose another: "
                f"hamtune serve --port {port + 1}"
            ) from None
        raise ValueError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def _url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _remember_address(settings: Settings, app: FastAPI, url: str) -> None:
    """Let commands that run beside the data folder find the service, whatever its port."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    address = ServiceAddress(url=url, instance=app.state.instance, pid=os.getpid())
    path = settings.data_dir / ADDRESS_FILE
    whole = path.with_suffix(".new")
    whole.write_text(address.model_dump_json())
    whole.replace(path)  # at once: nobody reads half of it


def _forget_address(settings: Settings, app: FastAPI) -> None:
    path = settings.data_dir / ADDRESS_FILE
    if path.exists() and app.state.instance in path.read_text():
        path.unlink()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

"""The process of ``hamtune serve``: database, API, scheduler process, and their shutdown."""

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
        announce: called with the address when the API answers.

    Raises:
        PortTaken: another program listens on the port.
    """
    logs.configure(settings)
    listener = _listen(settings.host, settings.port)
    storage = open_storage(settings)
    migrate(storage.database)
    app = create_app(settings, storage)
    keeper = SchedulerProcess(settings) if scheduler else None
    # Uvicorn raises the signal again after its shutdown; the handler makes an exception of it.
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
    """A uvicorn server that announces its address and writes it into the data folder."""

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
        """Start to listen, then announce the address."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # a collection that visits all modules and schemas takes 0.1 s
        url = _url(self._settings)
        _remember_address(self._settings, self._app, url)
        self._announce(url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, which have no end of their own, then wait for open requests."""
        self._app.state.feed.closed = True
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm, 40 ms an answer, only if the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} of {host} is taken, perhaps by another hamtune; choose another one: "
                f"hamtune serve --port {port + 1}"
            ) from None
        raise ValueError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def _url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _remember_address(settings: Settings, app: FastAPI, url: str) -> None:
    """Write the address into the data folder, where commands on this machine look for it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    address = ServiceAddress(url=url, instance=app.state.instance, pid=os.getpid())
    path = settings.data_dir / ADDRESS_FILE
    new = path.with_suffix(".new")
    new.write_text(address.model_dump_json())
    new.replace(path)  # atomic: no reader sees half of the file


def _forget_address(settings: Settings, app: FastAPI) -> None:
    path = settings.data_dir / ADDRESS_FILE
    if path.exists() and app.state.instance in path.read_text():
        path.unlink()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

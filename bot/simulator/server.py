"""The simulated Token Metrics API as a real HTTP server.

It reads no clock of its own: the simulated now comes from the clock that it is given.
"""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any, Self
from weakref import WeakSet

from bot.simulator.market import Market
from bot.simulator.wire import Wire

POLL_SECONDS = 0.05


class _Connection(BaseHTTPRequestHandler):
    """One connection, kept alive for many requests; each answer is sent in a single write."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "SimulatorServer"

    def do_GET(self) -> None:
        """Answer a GET request."""
        now = self.server.clock()
        status, body = self.server.wire.answer(self.path, self.headers.get("x-api-key"), now)
        self.send_response_only(status)
        self.send_header("Date", format_datetime(now, usegmt=True))
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_line: object) -> None:
        """Log nothing."""


class SimulatorServer(ThreadingTCPServer):
    """A simulated API on its own port; as a context it serves from a thread until the exit."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, wire: Wire, clock: Callable[[], datetime], address: tuple[str, int]) -> None:
        """Bind the address; nothing is answered before `serve_forever`."""
        super().__init__(address, _Connection)
        self.wire, self.clock = wire, clock
        self.base_url = f"http://{address[0]}:{self.server_address[1]}/v2"
        self._connections: WeakSet[socket.socket] = WeakSet()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection while it is open."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; show any other error, because it is a bug."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Self:
        """Serve from a separate thread, which does not keep the program alive."""
        Thread(target=self.serve_forever, args=(POLL_SECONDS,), name="simulator", daemon=True).start()
        return self

    def __exit__(self, *_raised: object) -> None:
        """Stop serving, free the port and end the open connections."""
        self.shutdown()
        self.server_close()
        for connection in self._connections:
            # One that is closed already cannot be shut down.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def serve(
    market: Market,
    clock: Callable[[], datetime],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    api_key: str | None = None,
) -> SimulatorServer:
    """Create a server over a market, bound but not started.

    port 0 takes a free port; api_key None accepts any key. `clock` gives the simulated now in UTC.
    Raises OSError when the port is taken.
    """
    return SimulatorServer(Wire(market, api_key), clock, (host, port))

"""The simulated Token Metrics API as a real HTTP server.

It reads no clock of its own: the simulated now comes from the clock that it is given.
"""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread
from typing import Any, Self

from bot.simulator.market import Market
from bot.simulator.wire import Wire, WireAnswer

POLL_SECONDS = 0.05

Respond = Callable[[str, str | None], tuple[WireAnswer, datetime]]


class _Connection(BaseHTTPRequestHandler):
    """One connection, kept alive for many requests; each answer is sent in a single write."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Listener"

    def do_GET(self) -> None:
        """Answer a GET request."""
        answer, now = self.server.respond(self.path, self.headers.get("x-api-key"))
        self._write(answer, now)

    def _write(self, answer: WireAnswer, now: datetime) -> None:
        """Write an answer with its headers."""
        self.send_response_only(answer.status, HTTPStatus(answer.status).phrase)
        self.send_header("Date", format_datetime(now, usegmt=True))
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_line: object) -> None:
        """Log nothing."""


class _Listener(ThreadingHTTPServer):
    """The listening socket and the connections accepted on it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        """Listen on an address; `respond` answers the requests."""
        self.respond = respond
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        """Bind without asking a name service for this machine's name."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection while it is open."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; show any other error, because it is a bug."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Shut down every open connection, so that no thread waits for a client's next request."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class SimulatorServer:
    """A simulated API on its own port; as a context it starts on entry and stops on exit."""

    def __init__(self, wire: Wire, clock: Callable[[], datetime], address: tuple[str, int]) -> None:
        """Bind the address; nothing is answered before `start` or `serve_forever`."""
        self._wire, self._clock = wire, clock
        self._listener = _Listener(address, self._respond)
        self._thread: Thread | None = None
        self._serving = False
        self.base_url = f"http://{address[0]}:{self._listener.server_address[1]}/v2"

    def start(self) -> None:
        """Serve from a separate thread, which does not keep the program alive."""
        self._thread = Thread(target=self.serve_forever, name="simulator", daemon=True)
        self._serving = True
        self._thread.start()

    def serve_forever(self) -> None:
        """Serve until `stop` is called from another thread, or until an interrupt."""
        self._serving = True
        self._listener.serve_forever(poll_interval=POLL_SECONDS)

    def stop(self) -> None:
        """Stop serving, end the open connections and free the port."""
        if self._serving:
            self._listener.shutdown()
        self._listener.server_close()
        self._listener.hang_up()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        """Stop the server."""
        self.stop()

    def _respond(self, target: str, key: str | None) -> tuple[WireAnswer, datetime]:
        """Answer a request, and return the simulated instant of the answer with it."""
        now = self._clock().astimezone(UTC)
        return self._wire.answer(target, key, now), now


def serve(
    market: Market,
    clock: Callable[[], datetime],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    api_key: str | None = None,
) -> SimulatorServer:
    """Create a server over a market, bound but not started.

    port 0 takes a free port; api_key None accepts any key. `clock` gives the simulated now as an
    aware instant. Raises OSError when the port is taken.
    """
    return SimulatorServer(Wire(market, api_key), clock, (host, port))

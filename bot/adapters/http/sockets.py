"""Connections whose every wait ends by a deadline of the whole call.

A server that drips one byte before each time-out cannot hold a call, whether it drips its headers or its body.
"""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore


class BoundSockets(httpcore.NetworkBackend):
    """Sockets whose every wait ends by the deadline of the calling thread, headers that drip in included."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Measure deadlines by a clock that never goes back."""
        self._inner = httpcore.SyncBackend()
        self._monotonic = monotonic
        self._of_thread = threading.local()

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Bound what this thread does inside."""
        self._of_thread.deadline = deadline
        yield

    def seconds_remaining(self) -> float:
        """Return the seconds left to this thread."""
        return float(self._of_thread.deadline) - self._monotonic()

    def clip(self, timeout: float | None) -> float:
        """Shorten a wait to what is left."""
        left = self.seconds_remaining()
        if left <= 0:
            message = "deadline"
            raise httpcore.ReadTimeout(message)
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        stream = self._inner.connect_tcp(host, port, self.clip(timeout), local_address, socket_options)
        return BoundStream(stream, self)


class BoundStream(httpcore.NetworkStream):
    """A connection that asks the bound before it waits."""

    def __init__(self, inner: httpcore.NetworkStream, bound: BoundSockets) -> None:
        """Wrap a connection."""
        self._inner = inner
        self._bound = bound

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, or wait for it."""
        return self._inner.read(max_bytes, self._bound.clip(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all."""
        self._inner.write(buffer, self._bound.clip(timeout))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Begin TLS on the connection."""
        inner = self._inner.start_tls(ssl_context, server_hostname, self._bound.clip(timeout))
        return BoundStream(inner, self._bound)

    def get_extra_info(self, info: str) -> Any:
        """Return what the socket knows."""
        return self._inner.get_extra_info(info)

"""Connections that end every wait by the deadline of the whole call.

A server cannot hold a call by sending one byte before each time-out, in the headers or in the body.
"""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpcore


class BoundSockets:
    """Opens connections that end every wait by the deadline of the calling thread."""

    def __init__(
        self,
        inner: "httpcore.NetworkBackend",
        late: Callable[[str], Exception],
        monotonic: Callable[[], float],
    ) -> None:
        """Wrap a backend, and measure deadlines by a monotonic clock; late: what is raised after one."""
        self._inner = inner
        self._late = late
        self._monotonic = monotonic
        self._of_thread = threading.local()

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Set the deadline for everything that this thread does inside the block."""
        self._of_thread.deadline = deadline
        yield

    def seconds_remaining(self) -> float:
        """Compute the seconds that remain to this thread."""
        return float(self._of_thread.deadline) - self._monotonic()

    def clip(self, timeout: float | None) -> float:
        """Shorten a wait to the seconds that remain; raise the error for lateness when none do."""
        left = self.seconds_remaining()
        if left <= 0:
            raise self._late("deadline")
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> "BoundStream":
        """Connect to a host within the deadline."""
        stream = self._inner.connect_tcp(
            host, port, self.clip(timeout), local_address, socket_options
        )
        return BoundStream(stream, self)


class BoundStream:
    """A connection that shortens every wait to the deadline."""

    def __init__(self, inner: "httpcore.NetworkStream", bound: BoundSockets) -> None:
        """Wrap a connection."""
        self._inner = inner
        self._bound = bound

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, or wait for it."""
        return self._inner.read(max_bytes, self._bound.clip(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write the whole buffer."""
        self._inner.write(buffer, self._bound.clip(timeout))

    def close(self) -> None:
        """Close the socket."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "BoundStream":
        """Begin TLS on the connection."""
        inner = self._inner.start_tls(ssl_context, server_hostname, self._bound.clip(timeout))
        return BoundStream(inner, self._bound)

    def get_extra_info(self, info: str) -> Any:
        """Look up a property of the socket."""
        return self._inner.get_extra_info(info)

"""The only HTTP client: GET requests within a deadline and a byte cap.

Each request ends as an answer or as a named failure. No failure, log line or repr holds a header, a
query or text from the other side: only paths, status codes and the remedy.
"""

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from bot.adapters.http.judging import (
    BodyError,
    Reader,
    Reading,
    judge,
    read_body,
    read_plainly,
    read_retry_after,
    request_id_in,
)
from bot.adapters.http.patience import ALL, Patience
from bot.adapters.http.sockets import BoundSockets
from bot.domain.errors import BotError, ConfigError, UpstreamError
from bot.ports import Clock

if TYPE_CHECKING:
    import httpx

BACKOFF_SECONDS = 0.5
UNAUTHORIZED, TOO_MANY = 401, 429
MASK = b"***"


class HttpRequest(NamedTuple):
    """A path below the base URL, and its query, which holds no secret."""

    path: str
    params: tuple[tuple[str, str], ...] = ()


class Attempt(NamedTuple):
    """One attempt of a call.

    status: None without an answer. body: inflated, with our keys masked. content: the body decoded.
    retry: whether another attempt may succeed. retry_after: how long the host asked to wait, in
    seconds. provider_request_id: how the provider names the request.
    """

    status: int | None
    body: bytes | None
    error: BotError | None
    retry: bool = False
    seconds: float = 0.0
    reading: Reading = Reading()
    retry_after: float | None = None
    provider_request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The result of a request: its attempts, of which the last one counts.

    error: why there is no answer. attempts: empty when the host had asked to wait for too long.
    seconds: of all attempts and the waits between them. known_at: when the answer was handed over,
    which is never before it arrived.
    """

    request: HttpRequest
    attempts: tuple[Attempt, ...]
    seconds: float
    started_at: datetime
    known_at: datetime
    error: BotError | None

    @property
    def status(self) -> int | None:
        """The status of the last attempt."""
        return self.attempts[-1].status if self.attempts else None

    @property
    def body(self) -> bytes | None:
        """The body of the last attempt."""
        return self.attempts[-1].body if self.attempts else None

    @property
    def content(self) -> Any:
        """The decoded body of the last attempt."""
        return self.attempts[-1].reading.content if self.attempts else None


class Credentials(Protocol):
    """The headers that hold a key, and what to do when the key is refused."""

    def headers(self) -> Mapping[str, str]:
        """Build the headers of an attempt."""

    def refuse(self, headers: Mapping[str, str]) -> bool:
        """Turn to other headers; return False when there are none to try."""

    def secrets(self) -> Sequence[str]:
        """List every secret text that an answer might echo."""


class FixedHeaders:
    """Headers that never change."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Take the headers."""
        self._headers = headers

    def headers(self) -> Mapping[str, str]:
        """Return the headers."""
        return self._headers

    def refuse(self, _headers: Mapping[str, str]) -> bool:
        """Have no others."""
        return False

    def secrets(self) -> Sequence[str]:
        """Take every value for a secret."""
        return tuple(self._headers.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a client in time, attempts and size.

    read_seconds: for one wait on a socket.
    call_seconds: for all attempts of a call together.
    sent: when other processes sent requests with the same key in the last minute.
    paused_until: until when the host wants to be left alone, as an earlier process heard it.
    proxy: the URL of a proxy; without it none is used, whatever the environment says.
    """

    read_seconds: float = 10.0
    call_seconds: float = 30.0
    attempts: int = 3
    body_bytes: int = 8 << 20
    side_by_side: int = 4
    requests_per_minute: int | None = None
    sent: tuple[datetime, ...] = ()
    paused_until: datetime | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How the client waits: by a sleep, a monotonic clock, and a source of jitter."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)


class HttpClient:
    """One connection pool for one base URL; safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | Credentials,
        *,
        clock: Clock,
        limits: Limits | None = None,
        waiting: Waiting | None = None,
        read: Reader = read_plainly,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        """Check the base URL and the headers, without opening a connection yet.

        read: decodes a body and says whether it is an answer. Raises ConfigError.
        """
        import httpcore
        import httpx

        given = FixedHeaders(headers) if isinstance(headers, Mapping) else headers
        _check(base_url, given.headers())
        for name in ("httpx", "httpcore"):  # they log URLs with queries
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clock, self._credentials, self._read = clock, given, read
        self._limits = limits = limits or Limits()
        self._waiting = waiting or Waiting()
        monotonic = self._waiting.monotonic
        self._bound = BoundSockets(httpcore.SyncBackend(), httpcore.ReadTimeout, monotonic)
        self._patience = _begin_patience(limits, monotonic, clock)
        parts = urlsplit(base_url)
        self._root = parts.path.rstrip("/")
        self._server = f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"
        self._client = httpx.Client(
            base_url=base_url,
            headers={
                "accept": "application/json",
                "user-agent": "tidemark-bot",
                "accept-encoding": "gzip",
            },
            timeout=limits.read_seconds,
            follow_redirects=False,
            trust_env=False,  # a netrc file must not add a header
            transport=transport or _bound_transport(self._bound, limits, base_url),
        )
        self._pool = ThreadPoolExecutor(limits.side_by_side, thread_name_prefix="http")

    def get(self, path: str, params: Iterable[tuple[str, str]] = ()) -> HttpAnswer:
        """Send one request and raise its error, if any.

        Raises AccessError for 401, 402 and 403, UpstreamError for everything else.
        """
        (answer,) = self.get_all([HttpRequest(path, tuple(params))])
        if answer.error is not None:
            raise answer.error
        return answer

    def get_all(self, requests: Sequence[HttpRequest]) -> tuple[HttpAnswer, ...]:
        """Send requests in parallel; answers come in their order, with failures as values.

        started_at and known_at are read by the calling thread, before all requests and after all,
        so that a stepped clock gives the same instants in whatever order the threads run.
        """
        self._patience.forget()
        started = [self._clock.now() for _ in requests]
        alone = len(requests) == 1
        work = map(self._call, requests) if alone else self._pool.map(self._call, requests)
        return tuple(
            HttpAnswer(
                request=request,
                attempts=attempts,
                seconds=seconds,
                started_at=at,
                known_at=self._clock.now(),
                error=error,
            )
            for request, at, (attempts, seconds, error) in zip(
                requests, started, list(work), strict=True
            )
        )

    def close(self) -> None:
        """Close the connections and the threads."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _call(self, request: HttpRequest) -> tuple[tuple[Attempt, ...], float, BotError | None]:
        """Try until an attempt succeeds, cannot succeed, or the time is up.

        The first wait for the plan's limit does not count.
        """
        wait, limits, patience = self._waiting, self._limits, self._patience
        path = request.path
        attempts: list[Attempt] = []
        deadline = begun = wait.monotonic()
        while len(attempts) < limits.attempts and (not attempts or attempts[-1].retry):
            left = deadline - wait.monotonic() if attempts else limits.call_seconds
            pause = self._back_off(attempts) if attempts else 0.0
            if max(pause, patience.remaining(path)) >= left or patience.is_lost(path):
                break
            delay = max(pause, patience.reserve(path))
            if attempts and delay >= left:
                break
            if delay:
                wait.sleep(delay)
            if not attempts:
                begun = wait.monotonic()
                deadline = begun + limits.call_seconds
            attempts.append(self._attempt(request, deadline))
        if attempts:
            patience.note(path, refused=attempts[-1].status == TOO_MANY)
        error = attempts[-1].error if attempts else self._give_up(path)
        return tuple(attempts), wait.monotonic() - begun, error

    def _give_up(self, path: str) -> UpstreamError:
        until = self._clock.now() + timedelta(seconds=self._patience.remaining(path))
        return UpstreamError(
            f"GET {self._root}{path}: not asked, the provider wants to be left alone"
            f" until {until:%Y-%m-%dT%H:%M:%SZ}; lower source.requests_per_minute"
        )

    def _attempt(self, request: HttpRequest, deadline: float) -> Attempt:
        begun = self._waiting.monotonic()
        headers = self._credentials.headers()
        made = self._send(request, headers, deadline)
        jitter = self._waiting.chance.uniform(0, BACKOFF_SECONDS)
        if made.retry_after is not None and made.error is not None:
            self._patience.pause(made.retry_after + jitter, ALL)
        elif made.status == TOO_MANY:
            self._patience.pause(jitter, request.path)
        if made.status == UNAUTHORIZED and made.reading.refuses_key:
            made = made._replace(retry=self._credentials.refuse(headers))
        return made._replace(seconds=self._waiting.monotonic() - begun)

    def _send(self, request: HttpRequest, headers: Mapping[str, str], deadline: float) -> Attempt:
        """Send a request once, and translate all that can come back."""
        import httpx

        where = f"GET {self._root}{request.path}"
        try:
            with (
                self._bound.until(deadline),
                self._client.stream(
                    "GET", request.path, params=request.params, headers=dict(headers)
                ) as response,
            ):
                body = read_body(response, self._limits.body_bytes)
        except httpx.TimeoutException:
            message = f"{where}: no answer in time; the provider is slow, the next slot asks again"
            return Attempt(None, None, UpstreamError(message), retry=True)
        except httpx.HTTPError as error:
            name = type(error).__name__
            message = f"{where} at {self._server}: {name}; check base_url and the network"
            return Attempt(None, None, UpstreamError(message), retry=True)
        except BodyError as error:
            status, wrong = response.status_code, UpstreamError(f"{where}: {error}")
            return Attempt(status, None, wrong, retry=error.retry)
        named = request_id_in(response.headers)
        for secret in self._credentials.secrets():
            body = body.replace(secret.encode(), MASK)
            named = named and named.replace(secret, MASK.decode())
        reading = self._read(body)
        wrong_status, retry = judge(where, response.status_code, reading)
        return Attempt(
            status=response.status_code,
            body=body,
            error=wrong_status,
            retry=retry,
            reading=reading,
            retry_after=read_retry_after(response.headers.get("retry-after"), self._clock.now),
            provider_request_id=named,
        )

    def _back_off(self, attempts: Sequence[Attempt]) -> float:
        """Compute the seconds to wait after failed attempts: any up to a bound that doubles."""
        bound = BACKOFF_SECONDS * 2 ** len(attempts)
        return self._waiting.chance.uniform(0, bound)


def _begin_patience(limits: Limits, monotonic: Callable[[], float], clock: Clock) -> Patience:
    """Begin where earlier processes with the same key ended."""
    now = clock.now() if limits.sent or limits.paused_until else None
    ages = [(now - at).total_seconds() for at in limits.sent] if now else []
    patience = Patience(limits.requests_per_minute, monotonic, ages)
    if now and limits.paused_until:
        patience.pause((limits.paused_until - now).total_seconds(), ALL)
    return patience


def _check(base_url: str, headers: Mapping[str, str]) -> None:
    """Refuse a URL or header that would fail later, in an error that prints the value."""
    try:
        parts = urlsplit(base_url)
        named = bool((parts.hostname or "").encode("idna"))
    except ValueError:  # brackets that do not close, or a host that IDNA cannot encode
        named = False
    if not named or parts.scheme not in {"http", "https"}:
        raise ConfigError("source.base_url must be an http or https address with a host")
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip() and value):
            raise ConfigError(
                f"the value of header {name} is empty or holds characters a header cannot; check the key file"
            )


def _bound_transport(
    bound: BoundSockets, limits: Limits, base_url: str
) -> "httpx.BaseTransport":
    """Make the stock transport, but over bounded sockets."""
    import httpcore
    import httpx

    # Loading the trust store is slow and plain HTTP needs none; an empty context trusts no server.
    secure = base_url.startswith("https:")
    context = httpx.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.HTTPTransport(verify=context)
    given: dict[str, Any] = {
        "ssl_context": context,
        "max_connections": limits.side_by_side,
        "network_backend": bound,
    }
    transport._pool = (  # noqa: SLF001 - httpx has no public way to choose the sockets
        httpcore.ConnectionPool(**given)
        if limits.proxy is None
        else httpcore.HTTPProxy(limits.proxy, **given)
    )
    return transport

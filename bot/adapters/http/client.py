"""The only HTTP client: GET requests within a deadline and a byte cap.

Each request ends as an answer or as a named failure. No failure, log line or repr holds a header, a
query or text from the other side: only paths, status codes and the remedy.
"""

import logging
import random
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from bot.adapters.http.sockets import BoundSockets
from bot.domain.errors import AccessError, BotError, ConfigError, UpstreamError
from bot.ports import Clock

if TYPE_CHECKING:
    import httpcore
    import httpx

MINUTE_SECONDS = 60.0
BACKOFF_SECONDS = 0.5
GZIP_WINDOW = 31
INFLATE_STEP = 65536

# For a status or its first digit: the error, the remedy, and whether another attempt may succeed.
VERDICTS: Mapping[int, tuple[type[BotError], str, bool]] = MappingProxyType(
    {
        401: (AccessError, "the key was refused; check the key and what its plan includes", False),
        403: (AccessError, "access denied; check the key and its permissions", False),
        429: (UpstreamError, "too many requests; lower source.requests_per_minute", True),
        1: (UpstreamError, "not an answer; check base_url", False),
        3: (UpstreamError, "a redirect, which is not followed; correct base_url", False),
        4: (UpstreamError, "the request was refused; check base_url and api_version", False),
        5: (UpstreamError, "the provider is in trouble; the next slot asks again", True),
    }
)


class HttpRequest(NamedTuple):
    """A path below the base URL, and its query, which holds no secret."""

    path: str
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The result of a request: the last attempt's status and inflated body, or an error, or both.

    known_at: when the answer was handed over, which is never before it arrived.
    """

    request: HttpRequest
    status: int | None
    body: bytes | None
    attempts: int
    seconds: float
    started_at: datetime
    known_at: datetime
    error: BotError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a client in time, attempts and size.

    read_seconds: for one wait on a socket.
    call_seconds: for all attempts of a call together.
    """

    read_seconds: float = 10.0
    call_seconds: float = 30.0
    attempts: int = 3
    body_bytes: int = 8 << 20
    side_by_side: int = 4
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How the client waits: by a sleep, a monotonic clock, and a source of jitter."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)


class _Attempt(NamedTuple):
    """One attempt of a call.

    retry: whether another attempt may succeed.
    retry_after: the server's Retry-After header.
    """

    status: int | None
    body: bytes | None
    error: BotError | None
    retry: bool = False
    retry_after: str | None = None


class _Outcome(NamedTuple):
    """The last attempt of a call, the number of its attempts and their duration."""

    last: _Attempt
    attempts: int
    seconds: float


class _BodyError(Exception):
    """A body that is not read; `retry` says whether another attempt may bring a better one."""

    def __init__(self, why: str, *, retry: bool) -> None:
        super().__init__(why)
        self.retry = retry


class HttpClient:
    """One connection pool for one base URL; safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        clock: Clock,
        limits: Limits | None = None,
        waiting: Waiting | None = None,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        """Check the base URL and the headers, without opening a connection yet.

        Raises ConfigError.
        """
        import httpcore
        import httpx

        _check(base_url, headers)
        for name in ("httpx", "httpcore"):  # they log URLs with queries
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clock = clock
        self._limits = limits or Limits()
        self._waiting = waiting or Waiting()
        self._bound = BoundSockets(httpcore.SyncBackend(), httpcore.ReadTimeout, self._waiting.monotonic)
        self._limiter = _Limiter(self._limits.requests_per_minute, self._waiting.monotonic)
        parts = urlsplit(base_url)
        self._root = parts.path.rstrip("/")
        self._server = f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"
        self._client = httpx.Client(
            base_url=base_url,
            headers={
                "accept": "application/json",
                "user-agent": "tidemark-bot",
                **headers,
                "accept-encoding": "gzip",
            },
            timeout=self._limits.read_seconds,
            follow_redirects=False,
            trust_env=False,  # a netrc file must not add a header
            transport=transport or _bound_transport(self._bound, self._limits, base_url),
        )
        self._pool = ThreadPoolExecutor(max_workers=self._limits.side_by_side, thread_name_prefix="http")

    def get(self, path: str, params: Iterable[tuple[str, str]] = ()) -> HttpAnswer:
        """Send one request and raise its error, if any.

        Raises AccessError for 401 and 403, UpstreamError for everything else.
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
        started = [self._clock.now() for _ in requests]
        work = map(self._call, requests) if len(requests) == 1 else self._pool.map(self._call, requests)
        return tuple(
            self._answer(request, at, outcome)
            for request, at, outcome in zip(requests, started, list(work), strict=True)
        )

    def close(self) -> None:
        """Close the connections and the threads."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _answer(self, request: HttpRequest, started_at: datetime, outcome: _Outcome) -> HttpAnswer:
        last = outcome.last
        return HttpAnswer(
            request=request,
            status=last.status,
            body=last.body,
            attempts=outcome.attempts,
            seconds=outcome.seconds,
            started_at=started_at,
            known_at=self._clock.now(),
            error=last.error,
        )

    def _call(self, request: HttpRequest) -> _Outcome:
        """Try until an attempt succeeds, cannot succeed, or the time is up.

        The first wait for the rate limit does not count.
        """
        wait, limits = self._waiting, self._limits
        if delay := self._limiter.reserve():
            wait.sleep(delay)
        begun = wait.monotonic()
        deadline = begun + limits.call_seconds
        attempts = 1
        last = self._attempt(request, deadline)
        while last.retry and attempts < limits.attempts:
            pause = max(self._pause(attempts, last.retry_after), self._limiter.reserve())
            if wait.monotonic() + pause >= deadline:
                break
            wait.sleep(pause)
            last = self._attempt(request, deadline)
            attempts += 1
        return _Outcome(last, attempts, wait.monotonic() - begun)

    def _attempt(self, request: HttpRequest, deadline: float) -> _Attempt:
        import httpx

        where = f"GET {self._root}{request.path}"
        try:
            with (
                self._bound.until(deadline),
                self._client.stream("GET", request.path, params=request.params) as response,
            ):
                body = _read(response, self._limits.body_bytes)
        except httpx.TimeoutException:
            message = f"{where}: no answer in time; the provider is slow, the next slot asks again"
            return _Attempt(None, None, UpstreamError(message), retry=True)
        except httpx.HTTPError as error:
            message = f"{where} at {self._server}: {type(error).__name__}; check base_url and the network"
            return _Attempt(None, None, UpstreamError(message), retry=True)
        except _BodyError as error:
            return _Attempt(response.status_code, None, UpstreamError(f"{where}: {error}"), retry=error.retry)
        wrong, retry = _judge(where, response.status_code, body)
        return _Attempt(response.status_code, body, wrong, retry, response.headers.get("retry-after"))

    def _pause(self, attempts: int, retry_after: str | None) -> float:
        """Compute the seconds to wait before another attempt.

        The back-off grows with the attempts and has jitter; a longer Retry-After of the server
        counts.
        """
        backoff = BACKOFF_SECONDS * 2 ** (attempts - 1) * self._waiting.chance.uniform(1, 2)
        asked = _asked_seconds(retry_after, self._clock.now) if retry_after else 0.0
        return max(float(backoff), asked)


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


def _judge(where: str, status: int, body: bytes) -> tuple[BotError | None, bool]:
    """Translate a status and a body into an error, if any, and whether to try again."""
    if 200 <= status < 300:  # noqa: PLR2004 - the success class
        if body.lstrip()[:1] in (b"{", b"["):
            return None, False
        return UpstreamError(f"{where}: {status} without JSON; is base_url the API and not a web page?"), True
    kind, why, retry = VERDICTS.get(status) or VERDICTS[min(status // 100, 5)]
    return kind(f"{where}: {status}, {why}"), retry


def _asked_seconds(retry_after: str, now: Callable[[], datetime]) -> float:
    """Read a Retry-After header in seconds or as an HTTP date; 0 when it cannot be read."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return (at.replace(tzinfo=at.tzinfo or UTC) - now()).total_seconds()


def _read(response: "httpx.Response", cap: int) -> bytes:
    """Read a body without holding much more than the cap, however well it is compressed."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        why = "the body is encoded as was not asked for; check base_url"
        raise _BodyError(why, retry=False)
    chunks = _inflate(response.iter_raw()) if encoding == "gzip" else response.iter_raw()
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > cap:
            why = f"the body is longer than {cap} bytes; ask for fewer tokens"
            raise _BodyError(why, retry=False)
    return bytes(body)


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Inflate in small steps, so that one short chunk cannot become a gigabyte."""
    inflater = zlib.decompressobj(GZIP_WINDOW)
    try:
        for chunk in chunks:
            rest = chunk
            while rest and not inflater.eof:
                yield inflater.decompress(rest, INFLATE_STEP)
                rest = inflater.unconsumed_tail
        while not inflater.eof and (more := inflater.decompress(b"", INFLATE_STEP)):
            yield more
    except zlib.error:
        pass  # the stream has not ended, which is an error below
    if not inflater.eof:
        why = "the compressed body is broken; the next slot asks again"
        raise _BodyError(why, retry=True)


class _Limiter:
    """A rate limit: at most so many reservations in any minute."""

    def __init__(self, per_minute: int | None, monotonic: Callable[[], float]) -> None:
        self._taken: deque[float] | None = deque(maxlen=per_minute) if per_minute else None
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next free place and return the seconds until it comes."""
        if self._taken is None:
            return 0.0
        with self._lock:
            now = self._monotonic()
            full = len(self._taken) == self._taken.maxlen
            at = max(now, self._taken[0] + MINUTE_SECONDS) if full else now
            self._taken.append(at)
        return at - now


def _bound_transport(bound: BoundSockets, limits: Limits, base_url: str) -> "httpx.BaseTransport":
    """Make the stock transport, but over bounded sockets."""
    import httpcore
    import httpx

    # Loading the trust store is slow and plain HTTP needs none; an empty context trusts no server.
    secure = base_url.startswith("https:")
    context = httpx.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.HTTPTransport(verify=context)
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001 - httpx has no public way to choose the sockets
        ssl_context=context,
        max_connections=limits.side_by_side,
        network_backend=cast("httpcore.NetworkBackend", bound),  # it has the methods that are called
    )
    return transport

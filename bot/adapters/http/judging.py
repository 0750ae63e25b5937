"""What a response is worth: its body within a byte cap, and the error that a status means.

No text here holds anything from the other side but status codes.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bot.domain.errors import AccessError, BotError, UpstreamError

if TYPE_CHECKING:
    import httpx

GZIP_WINDOW = 31
INFLATE_STEP = 65536
# A host that asks to wait for more than a day is not believed: what is held must be managed.
RETRY_AFTER_MAX = 86_400.0
ID_MAX = 100

# For a status or its first digit: the error, the remedy, and whether another attempt may succeed.
VERDICTS: Mapping[int, tuple[type[BotError], str, bool]] = MappingProxyType(
    {
        401: (AccessError, "the key was refused; check the key and what its plan includes", False),
        402: (AccessError, "payment required; check the plan of the key", False),
        403: (AccessError, "access denied; check the key and its permissions", False),
        404: (UpstreamError, "not found; check base_url and api_version", False),
        429: (UpstreamError, "too many requests; lower source.requests_per_minute", True),
        1: (UpstreamError, "not an answer; check base_url", False),
        3: (UpstreamError, "a redirect, which is not followed; correct base_url", False),
        4: (UpstreamError, "the request was refused; check base_url and api_version", False),
        5: (UpstreamError, "the provider is in trouble; the next slot asks again", True),
    }
)


class Reading(NamedTuple):
    """What a body says.

    content: the body decoded. fault: why it is no answer, where another attempt may bring one.
    refuses_key: with status 401, that the key is wrong, and not that the plan lacks something.
    """

    content: object = None
    fault: str | None = None
    refuses_key: bool = True


Reader = Callable[[bytes], Reading]


class BodyError(Exception):
    """A body that is not read; `retry` says whether another attempt may bring a better one."""

    def __init__(self, why: str, *, retry: bool) -> None:
        """Take the reason."""
        super().__init__(why)
        self.retry = retry


def read_plainly(body: bytes) -> Reading:
    """Check that a body looks like JSON, and decode nothing."""
    looks = body.lstrip()[:1] in (b"{", b"[")
    return Reading(fault=None if looks else "without JSON; is base_url the API and not a web page?")


def judge(where: str, status: int, reading: Reading) -> tuple[BotError | None, bool]:
    """Translate a status and a body into an error, if any, and whether to try again."""
    if 200 <= status < 300:  # noqa: PLR2004 - the success class
        if reading.fault is None:
            return None, False
        return UpstreamError(f"{where}: {status} {reading.fault}"), True
    kind, why, retry = VERDICTS.get(status) or VERDICTS[min(status // 100, 5)]
    return kind(f"{where}: {status}, {why}"), retry


def read_retry_after(retry_after: str | None, now: Callable[[], datetime]) -> float | None:
    """Read a Retry-After header in seconds or as an HTTP date; None without one to be believed."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now()).total_seconds()
    return max(seconds, 0.0) if seconds <= RETRY_AFTER_MAX else None


def request_id_in(headers: "httpx.Headers") -> str | None:
    """Find how the provider names the request, as short, printable text."""
    named = headers.get("x-request-id") or headers.get("request-id") or headers.get("cf-ray")
    return named[:ID_MAX] if named and named.isascii() and named.isprintable() else None


def read_body(response: "httpx.Response", cap: int) -> bytes:
    """Read a body without holding much more than the cap, however well it is compressed."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        why = "the body is encoded as was not asked for; check base_url"
        raise BodyError(why, retry=False)
    chunks = _inflate(response.iter_raw()) if encoding == "gzip" else response.iter_raw()
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > cap:
            why = f"the body is longer than {cap} bytes; ask for fewer tokens"
            raise BodyError(why, retry=False)
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
        raise BodyError(why, retry=True)

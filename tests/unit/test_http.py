"""The one way out, against made answers and against real sockets that misbehave."""

import gzip
import itertools
import logging
import random
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bot.adapters.clock import SteppedClock, SystemClock
from bot.adapters.http.client import HttpAnswer, HttpClient, HttpRequest, Limits, Waiting
from bot.domain.errors import AccessError, ConfigError, UpstreamError

KEY = "tm-canary-8c1f-of-some-length"
START = datetime(2025, 4, 10, 12, tzinfo=UTC)
BODY = b'{"success": true, "data": []}'


def reply(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """Make an answer whose body is still on the wire."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=httpx.ByteStream(body))


class Hourglass:
    """A clock that only sleeping moves, and the sleeps that moved it."""

    def __init__(self) -> None:
        self.at = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.sleeps.append(seconds)
        self.at += seconds

    def waiting(self) -> Waiting:
        """Hand the glass to a client."""
        return Waiting(sleep=self.sleep, monotonic=lambda: self.at, chance=random.Random(1))


def client(
    answer: Callable[[httpx.Request], httpx.Response], glass: Hourglass | None = None, limits: Limits | None = None
) -> HttpClient:
    """Make a client whose other side is a function."""
    return HttpClient(
        "http://api.test/v2",
        {"x-api-key": KEY},
        clock=SteppedClock(START),
        limits=limits,
        waiting=(glass or Hourglass()).waiting(),
        transport=httpx.MockTransport(answer),
    )


def scripted(*responses: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Answer one after the other; running out of answers fails the test."""
    left = list(responses)

    def answer(_request: httpx.Request) -> httpx.Response:
        response = left.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    return answer


def outcome(*responses: httpx.Response | Exception) -> tuple[HttpAnswer, Hourglass]:
    """Return what a scripted conversation comes to."""
    glass = Hourglass()
    (answer,) = client(scripted(*responses), glass).get_all([HttpRequest("/price", (("token_id", "1"),))])
    return answer, glass


def test_an_answer_carries_body_status_and_instants() -> None:
    """A good answer has its bytes, its status and the instants before and after it."""
    answer = client(scripted(reply(200, BODY))).get("/price")
    assert (answer.status, answer.body, len(answer.attempts), answer.error) == (200, BODY, 1, None)
    assert START <= answer.started_at < answer.known_at


def test_the_key_and_the_accepted_encoding_are_sent() -> None:
    """The request carries the key header, asks for gzip only, and keeps the version in the path."""
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers["x-api-key"], request.headers["accept-encoding"]))
        return reply(200, BODY)

    client(answer).get("/price")
    assert seen == [("/v2/price", KEY, "gzip")]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_troubles_that_pass_are_tried_again(status: int) -> None:
    """Too many requests and server errors are retried, and the good answer wins."""
    answer, glass = outcome(reply(status), reply(status), reply(200, BODY))
    assert (answer.status, [one.status for one in answer.attempts]) == (200, [status, status, 200])
    assert answer.error is None
    assert 0 < glass.sleeps[0] <= 1.0
    assert 0 < glass.sleeps[1] <= 2.0


@pytest.mark.parametrize("trouble", [httpx.ReadTimeout("t"), httpx.ConnectError("c"), httpx.RemoteProtocolError("p")])
def test_time_outs_and_broken_connections_are_tried_again(trouble: Exception) -> None:
    """A time-out or a broken connection is retried."""
    answer, _ = outcome(trouble, reply(200, BODY))
    assert (len(answer.attempts), answer.error) == (2, None)


def test_html_where_json_belongs_is_tried_again() -> None:
    """A page of a proxy in the place of JSON is retried and then reported as such."""
    page = b"<html>busy</html>"
    assert outcome(reply(200, page), reply(200, BODY))[0].error is None
    answer, _ = outcome(*[reply(200, page) for _ in range(3)])
    assert isinstance(answer.error, UpstreamError)
    assert "without JSON" in str(answer.error)
    assert answer.body == b"<html>busy</html>"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, UpstreamError), (401, AccessError), (403, AccessError), (404, UpstreamError), (302, UpstreamError)],
)
def test_answers_that_are_final_are_not_tried_again(status: int, kind: type[Exception]) -> None:
    """Refusals and redirects end the call at once, with the body kept and the path named."""
    answer, glass = outcome(reply(status, BODY, location="http://elsewhere.test/"))
    assert type(answer.error) is kind
    assert f"/v2/price: {status}" in str(answer.error)
    assert (len(answer.attempts), answer.body, glass.sleeps) == (1, BODY, [])


def test_get_raises_what_get_all_returns() -> None:
    """The single form raises the failure."""
    with pytest.raises(AccessError, match="check the key"):
        client(scripted(reply(401))).get("/price")


def test_three_attempts_are_the_limit() -> None:
    """A provider that stays down is asked three times."""
    answer, glass = outcome(*[reply(503) for _ in range(3)])
    assert (len(answer.attempts), answer.status, len(glass.sleeps)) == (3, 503, 2)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7.6), ("1.5", 1.5, 2.1), ("Thu, 10 Apr 2025 12:00:09 GMT", 8.9, 9.6), ("soon", 0, 1), ("nan", 0, 1)],
)
def test_retry_after_is_honoured(header: str, least: float, most: float) -> None:
    """Seconds, with a fraction too, and dates are never undercut, and a little jitter is added; nonsense is ignored."""
    answer, glass = outcome(reply(429, retry_after=header), reply(200, BODY))
    assert answer.error is None
    assert least <= sum(glass.sleeps) <= most


def test_a_retry_after_beyond_the_deadline_ends_the_call_and_the_next_ones() -> None:
    """S17: nobody sleeps past the deadline of the call, and nobody asks again before the host's time has come."""
    glass = Hourglass()
    asked = client(scripted(reply(429, retry_after="3600"), reply(200, BODY)), glass)
    (answer,) = asked.get_all([HttpRequest("/price")])
    assert (answer.status, len(answer.attempts), glass.sleeps) == (429, 1, [])
    assert answer.attempts[0].retry_after == 3600
    glass.at += 3500
    (again,) = asked.get_all([HttpRequest("/price")])
    assert (again.status, again.attempts) == (None, ())
    assert "left alone until" in str(again.error)
    glass.at += 101
    assert asked.get("/price").body == BODY


def test_a_pause_that_an_earlier_process_heard_is_kept() -> None:
    """S17: what the ledger remembers of a host's wish holds for a new client; an absurd wish is not believed."""
    limits = Limits(paused_until=START + timedelta(minutes=10))
    (answer,) = client(scripted(), limits=limits).get_all([HttpRequest("/price")])
    assert answer.attempts == ()
    absurd, _ = outcome(reply(429, retry_after="1e300"), reply(200, BODY))
    assert [one.retry_after for one in absurd.attempts] == [None, None]


def test_one_refusal_pauses_all_and_gives_up_early() -> None:
    """S20: of 49 requests that are all refused three are tried three times; other feeds are still asked."""
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return reply(429, retry_after="5")

    glass = Hourglass()
    many = [HttpRequest("/price", (("token_id", str(n)),)) for n in range(49)]
    answers = client(answer, glass, Limits(side_by_side=1)).get_all([*many, HttpRequest("/tokens")])
    assert (seen.count("/v2/price"), seen.count("/v2/tokens")) == (9, 3)
    assert all(one.error is not None for one in answers)
    assert sum(glass.sleeps) <= 70


def test_one_window_that_is_always_refused_stops_no_other() -> None:
    """S1: a single query that is refused in every attempt leaves the other queries of its feed to be answered."""

    def answer(request: httpx.Request) -> httpx.Response:
        return reply(429) if request.url.params["n"] == "4" else reply(200, BODY)

    many = [HttpRequest("/price", (("n", str(n)),)) for n in range(20)]
    answers = client(answer, limits=Limits(side_by_side=1)).get_all(many)
    assert [number for number, one in enumerate(answers) if one.error is not None] == [4]


def test_the_rate_limit_is_even_after_a_short_burst() -> None:
    """S27: with 12 a minute two go at once, then one every 5.5 s, and never more than 12 in any minute."""
    glass, sent = Hourglass(), []

    def answer(_request: httpx.Request) -> httpx.Response:
        sent.append(glass.at)
        return reply(200, BODY)

    asked = client(answer, glass, Limits(requests_per_minute=12))
    for _ in range(40):
        asked.get("/price")
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert gaps[0] == 0
    assert {round(gap, 2) for gap in gaps[1:]} == {5.45}
    assert all(sum(begin <= at < begin + 60 for at in sent) <= 12 for begin in sent)


def test_requests_of_other_processes_count() -> None:
    """S27: a client that is told what others sent in the last minute waits its turn."""
    glass = Hourglass()
    sent = tuple(START - timedelta(seconds=age) for age in (1, 2, 3))
    client(lambda _: reply(200, BODY), glass, Limits(requests_per_minute=2, sent=sent)).get("/price")
    assert glass.sleeps == [pytest.approx(-3 + 3 * 30, abs=0.1)]


def test_answers_keep_the_order_of_their_requests() -> None:
    """Requests go side by side, answers come back in order, instants do not depend on the threads."""
    barrier = threading.Barrier(4, timeout=5)

    def answer(request: httpx.Request) -> httpx.Response:
        barrier.wait()
        return reply(200, b'{"path": "' + request.url.path.encode() + b'"}')

    answers = client(answer).get_all([HttpRequest(f"/{n}") for n in range(8)])
    assert [a.body for a in answers] == [b'{"path": "/v2/%d"}' % n for n in range(8)]
    instants = [a.started_at for a in answers] + [a.known_at for a in answers]
    assert instants == [START + timedelta(milliseconds=n) for n in range(16)]


def test_a_body_over_the_cap_is_refused() -> None:
    """A plain body that is too long is not kept and not asked for again."""
    asked = client(lambda _: reply(200, b"[" + b" " * 2000), limits=Limits(body_bytes=1000))
    with pytest.raises(UpstreamError, match="longer than 1000 bytes"):
        asked.get("/tokens")


def test_a_compressed_bomb_stops_at_the_cap() -> None:
    """A small body that inflates without end is given up near the cap, not after it was inflated whole."""
    bomb = gzip.compress(b"[" + b" " * (64 << 20))
    asked = client(lambda _: reply(200, bomb, content_encoding="gzip"))
    with pytest.raises(UpstreamError, match="longer than"):
        asked.get("/tokens")


def test_gzip_is_read_and_other_encodings_are_not() -> None:
    """What was asked for is inflated exactly; an encoding that was not is refused."""
    long = b'{"data": [' + b"1," * 100_000 + b"1]}"
    packed, deflated = gzip.compress(long), zlib.compress(long)
    assert client(lambda _: reply(200, packed, content_encoding="gzip")).get("/a").body == long
    asked = client(lambda _: reply(200, deflated, content_encoding="deflate"))
    with pytest.raises(UpstreamError, match="encoded"):
        asked.get("/a")


@pytest.mark.parametrize("broken", [gzip.compress(BODY)[:-9], b"no gzip at all"], ids=["cut", "other"])
def test_a_broken_gzip_body_is_tried_again(broken: bytes) -> None:
    """A compressed body that ends early, or is none, is broken and asked for once more."""
    answer, _ = outcome(reply(200, broken, content_encoding="gzip"), reply(200, BODY))
    assert (len(answer.attempts), answer.body) == (2, BODY)


@pytest.mark.parametrize("url", ["api.test/v2", "ftp://api.test", "https://"])
def test_a_base_url_that_is_none_is_refused_at_once(url: str) -> None:
    """A wrong base URL is a configuration error, before any request."""
    with pytest.raises(ConfigError, match="base_url"):
        HttpClient(url, {}, clock=SystemClock())


@pytest.mark.parametrize("key", ["tm-canary\n", " tm-canary", "tm-canäry", ""])
def test_a_key_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    """A key with a line end, a blank or a foreign letter is a configuration error that does not print it."""
    with pytest.raises(ConfigError) as caught:
        HttpClient("http://api.test", {"x-api-key": key}, clock=SystemClock())
    assert "can" not in str(caught.value).replace("cannot", "")


def test_the_key_is_in_no_error_repr_or_log(caplog: pytest.LogCaptureFixture) -> None:
    """S22: whatever goes wrong, and even where the other side echoes it, the key is never told, nor kept in a body."""
    caplog.set_level(logging.DEBUG)
    echo = reply(400, f'{{"message": "bad key {KEY}"}}'.encode())
    answers = [
        outcome(echo)[0],
        outcome(*[httpx.ConnectError(KEY)] * 3)[0],
        outcome(*[reply(500) for _ in range(3)])[0],
    ]
    asked = client(scripted(reply(401)))
    with pytest.raises(AccessError) as caught:
        asked.get("/price")
    told = [str(answer.error) + repr(answer.error) + repr(answer) for answer in answers]
    assert KEY not in "".join([*told, repr(caught.value), repr(asked), repr(asked.__dict__), caplog.text])


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve a raw conversation on loopback, in a thread per connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                talk(connection)
            except OSError:
                pass  # the client hung up, as it should

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v2"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def dripping(head: bytes) -> Callable[[socket.socket], None]:
    """Send something at once and then a byte every 20 ms, for ever."""
    gap = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        while not gap.wait(0.02):
            connection.sendall(b"x")

    return talk


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{"],
    ids=["headers", "body"],
)
def test_a_drip_ends_at_the_deadline(head: bytes) -> None:
    """Headers or a body that drip in, each byte in time, end with the call's deadline all the same."""
    limits = Limits(read_seconds=5, call_seconds=0.3, attempts=1)
    with talking(dripping(head)) as url, closing(HttpClient(url, {}, clock=SystemClock(), limits=limits)) as asked:
        begun = time.monotonic()
        with pytest.raises(UpstreamError, match="no answer in time"):
            asked.get("/price")
        assert time.monotonic() - begun < 2


def test_real_sockets_carry_answers_and_are_kept() -> None:
    """Two requests over loopback are answered on one connection."""
    connections = []

    def talk(connection: socket.socket) -> None:
        connections.append(connection)
        while True:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
            connection.sendall(head + BODY)
            if not connection.recv(65536):
                return

    with talking(talk) as url, closing(HttpClient(url, {"x-api-key": KEY}, clock=SystemClock())) as asked:
        assert asked.get("/price").body == BODY
        assert asked.get("/price", (("token_id", "1,2"),)).body == BODY
    assert len(connections) == 1


def test_nobody_listening_is_named_with_the_mend() -> None:
    """A port where nobody listens is an upstream failure that says what to check."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    asked = HttpClient(f"http://127.0.0.1:{port}", {}, clock=SystemClock(), limits=Limits(attempts=1))
    with closing(asked), pytest.raises(UpstreamError, match="ConnectError; check base_url"):
        asked.get("/price")


def test_a_stepped_clock_never_goes_back() -> None:
    """Reading steps on by a millisecond, setting to the past changes nothing."""
    clock = SteppedClock(START)
    assert [clock.now(), clock.now()] == [START, START + timedelta(milliseconds=1)]
    clock.set(START)
    assert {clock.at, clock.at} == {START + timedelta(milliseconds=2)}
    assert clock.now() == START + timedelta(milliseconds=2)
    clock.set(START + timedelta(hours=1))
    assert clock.now() == START + timedelta(hours=1)
    assert SystemClock().now().tzinfo is UTC

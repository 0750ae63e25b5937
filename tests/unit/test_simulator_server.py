"""The simulated API over real HTTP: one connection for many requests, a clock that is handed in, a clean stop."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest

from bot.simulator.market import SEED, Market
from bot.simulator.server import SimulatorServer, serve

START = datetime(2025, 3, 1, tzinfo=UTC)
SECONDS = 10.0


class Hand:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        """Stand some days after the market's start."""
        self.at = START + timedelta(days=2, hours=6, minutes=10)

    def now(self) -> datetime:
        """Return where the clock stands."""
        return self.at


@pytest.fixture
def clock() -> Hand:
    """Return a clock."""
    return Hand()


@pytest.fixture
def server(clock: Hand) -> Iterator[SimulatorServer]:
    """Yield a running server with a key."""
    with serve(Market(SEED, START, days=10), clock.now, api_key="tm-right") as running:
        yield running


def connected(server: SimulatorServer) -> HTTPConnection:
    """Return a connection to a server."""
    return HTTPConnection(urlsplit(server.base_url).netloc, timeout=SECONDS)


def got(connection: HTTPConnection, target: str, key: str = "tm-right") -> tuple[HTTPResponse, bytes]:
    """Return the response and the body of a GET."""
    connection.request("GET", target, headers={"x-api-key": key})
    response = connection.getresponse()
    return response, response.read()


def test_one_connection_serves_many_requests(server: SimulatorServer) -> None:
    """Good and bad requests follow each other on one kept-alive connection, each with JSON and its length."""
    connection = connected(server)
    statuses = []
    for target in ("/v2/tokens", "/v2/tokens?page=0", "/v3/price?token_id=3375", "/v2/nowhere"):
        response, body = got(connection, target)
        statuses.append(response.status)
        assert not response.will_close
        assert response.getheader("Content-Type") == "application/json; charset=utf-8"
        json.loads(body)
    statuses.append(got(connection, "/v2/tokens", key="tm-wrong")[0].status)
    connection.close()
    assert statuses == [200, 400, 200, 404, 401]


def test_the_clock_handed_in_is_the_only_one(server: SimulatorServer, clock: Hand) -> None:
    """An answer and its Date change with the given clock and stand still with it."""
    connection = connected(server)
    first, body = got(connection, "/v2/price?token_id=3375")
    assert got(connection, "/v2/price?token_id=3375")[1] == body
    assert first.getheader("Date") == "Mon, 03 Mar 2025 06:10:00 GMT"
    clock.at += timedelta(hours=1)
    second, later = got(connection, "/v2/price?token_id=3375")
    connection.close()
    assert later != body
    assert second.getheader("Date") == "Mon, 03 Mar 2025 07:10:00 GMT"


def test_base_url_points_at_v2(server: SimulatorServer) -> None:
    """The base address is on loopback and ends in the version."""
    parts = urlsplit(server.base_url)
    assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/v2")


def test_two_servers_of_one_seed_give_the_same_bytes(server: SimulatorServer, clock: Hand) -> None:
    """Another server over the same seed and instant gives the same body for the same target."""
    with serve(Market(SEED, START, days=10), clock.now) as other:
        bodies = []
        for each in (server, other):
            connection = connected(each)
            bodies.append(got(connection, "/v2/trading-signals?limit=100")[1])
            connection.close()
    assert bodies[0] == bodies[1]


def test_stopping_ends_open_connections_and_frees_the_port(clock: Hand) -> None:
    """After the stop an idle kept-alive connection is closed and the port can be bound again."""
    market = Market(SEED, START, days=10)
    with serve(market, clock.now) as first:
        connection = connected(first)
        got(connection, "/v2/price?token_id=3375")
    assert connection.sock.recv(1) == b""
    connection.close()
    with serve(market, clock.now, port=urlsplit(first.base_url).port or 0) as again:
        assert again.base_url == first.base_url


def test_a_fault_of_ours_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """When answering fails, here for want of a time, the connection ends and the error is printed, not hidden."""

    def broken() -> datetime:
        message = "no time"
        raise ValueError(message)

    with serve(Market(SEED, START, days=10), broken) as server:
        connection = connected(server)
        with pytest.raises(ConnectionError):
            got(connection, "/v2/tokens")
        connection.close()
    assert "ValueError: no time" in capfd.readouterr().err

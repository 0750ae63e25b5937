"""The edges of the simulated API: a long life, a young token, a client that goes away."""

import json
import socket
import struct
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from bot.simulator.market import SEED, Market
from bot.simulator.server import serve
from bot.simulator.wire import Wire

START = datetime(2025, 3, 1, tzinfo=UTC)
SECONDS = 10.0


def test_a_young_token_has_no_bars_before_its_first_day() -> None:
    """The bars of the young token begin with its first day, while an older one's go on."""
    wire = Wire(Market(SEED, START, days=5))
    for name, time in (("daily-ohlcv", "DATE"), ("hourly-ohlcv", "TIMESTAMP")):
        target = f"/v2/{name}?token_id=30747,3375&startDate=2025-02-18&endDate=2025-02-19&limit=100"
        rows = json.loads(wire.answer(target, "tm-test", START).body)["data"]
        oldest = {token_id: min(row[time] for row in rows if row["TOKEN_ID"] == token_id) for token_id in (30747, 3375)}
        assert oldest == {30747: "2025-02-19T00:00:00.000Z", 3375: "2025-02-18T00:00:00.000Z"}


def test_a_client_that_goes_away_is_passed_over(capfd: pytest.CaptureFixture[str]) -> None:
    """A client that resets its connection before the answer costs a connection and prints nothing."""
    asked, gone = threading.Event(), threading.Event()

    def clock() -> datetime:
        asked.set()
        assert gone.wait(SECONDS)
        return START + timedelta(hours=1)

    before = set(threading.enumerate())
    with serve(Market(SEED, START, days=5), clock) as server:
        address = urlsplit(server.base_url)
        client = socket.create_connection((address.hostname, address.port), timeout=SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /v2/tokens HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\n\r\n")
        assert asked.wait(SECONDS)
        client.close()
        serving = [thread for thread in threading.enumerate() if thread not in before and thread.name != "simulator"]
        gone.set()
        for thread in serving:
            thread.join(SECONDS)
    assert len(serving) == 1
    assert not serving[0].is_alive()
    assert capfd.readouterr().err == ""

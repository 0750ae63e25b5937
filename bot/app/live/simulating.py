"""`bot simulate`: the simulated Token Metrics API in real time, until it is stopped."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.adapters.clock import SystemClock
from bot.domain.errors import StorageError
from bot.simulator.market import SEED, Market
from bot.simulator.server import SimulatorServer, serve

HISTORY = timedelta(days=30)
LOOPBACK = "127.0.0.1"


def simulate(host: str, port: int, seed: int | None, key: str | None) -> int:
    """Serve a market that started thirty days ago, and print its URL to stderr."""
    clock = SystemClock()
    start = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - HISTORY
    market = Market(seed=SEED if seed is None else seed, start=start)
    server = listen(market, clock.now, host=host, port=port, key=key)
    sys.stderr.write(f"simulated Token Metrics API at {server.base_url}, Ctrl-C stops it\n")
    server.serve_forever()
    return 0


def listen(
    market: Market, now: Callable[[], datetime], *, host: str = LOOPBACK, port: int, key: str | None
) -> SimulatorServer:
    """Bind a server without starting it; raises StorageError, with a mend, for a taken port."""
    try:
        return serve(market, now, host=host, port=port, api_key=key)
    except OSError as error:
        reason = f"{error.strerror or error}; choose another with --port"
        raise StorageError(f"cannot listen on {host}:{port}: {reason}") from None

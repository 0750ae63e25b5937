"""`bot simulate`: the simulated Token Metrics API in real time, until it is stopped."""

import sys
from datetime import timedelta

from bot.adapters.clock import SystemClock
from bot.domain.errors import StorageError
from bot.simulator.market import SEED, Market
from bot.simulator.server import serve

HISTORY = timedelta(days=30)


def simulate(host: str, port: int, seed: int | None, key: str | None) -> int:
    """Serve a market that started thirty days ago, and say where."""
    clock = SystemClock()
    start = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - HISTORY
    market = Market(seed=SEED if seed is None else seed, start=start)
    try:
        server = serve(market, clock.now, host=host, port=port, api_key=key)
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port"
        raise StorageError(message) from None
    sys.stderr.write(f"simulated Token Metrics API at {server.base_url}, Ctrl-C stops it\n")
    server.serve_forever()
    return 0

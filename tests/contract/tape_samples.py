"""A datum of each kind, and a request, written by hand."""

from datetime import datetime, timedelta

from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics
from bot.domain.numbers import Price
from bot.domain.tape import ApiAttempt, ApiCall, Datum, Hole, HoleState, Pause, Refusal, TokenPrint
from tests.contract.ledger_samples import ETH, HOUR, SOL, TEN, d, signal


def levels(known_at: datetime) -> LevelSet:
    """Make a set of two levels, the second without a strength."""
    return LevelSet(
        token_id=SOL,
        published_at=known_at - HOUR,
        known_at=known_at,
        levels=(Level(Price(d("95.5")), d("0.75")), Level(Price(d("120")))),
    )


def grades(known_at: datetime) -> Grades:
    """Make grades of which one is not given."""
    return Grades(
        token_id=SOL, published_at=known_at - HOUR, known_at=known_at, trader_grade=d("87.5"), investor_grade=None
    )


def recorded() -> list[Datum]:
    """Make one datum of each kind, an empty set of levels among them."""
    return [
        signal(SOL),
        levels(TEN),
        LevelSet(token_id=ETH, published_at=TEN, known_at=TEN, levels=()),
        QuantMetrics(
            token_id=SOL,
            published_at=TEN,
            known_at=TEN,
            volatility=d("0.85"),
            sharpe=d("-1.25"),
            sortino=None,
            max_drawdown=d("-0.9"),
            cagr=d("0.1"),
        ),
        grades(TEN),
        MarketSize(token_id=SOL, known_at=TEN, market_cap=d("12345678901.5"), volume_24h=None),
        TokenPrint(
            token_id=SOL,
            timeframe="1h",
            known_at=TEN,
            bar=Bar(
                TEN - HOUR, TEN, Price(d("0.000000000123")), Price(d("2")), Price(d("0.0000000001")), Price(d("1"))
            ),
        ),
    ]


def api_call(answer_hash: str | None) -> ApiCall:
    """Make a request that was answered, or was not."""
    return ApiCall(
        request_id="req-1",
        at=TEN,
        known_at=TEN + timedelta(milliseconds=120),
        slot=TEN,
        endpoint="trading-signals",
        query="token_id=3",
        status=200 if answer_hash else None,
        attempts=1,
        seconds=0.12,
        size=11,
        rows=1 if answer_hash else None,
        credits=1,
        answer_hash=answer_hash,
    )


def attempts() -> list[ApiAttempt]:
    """Make the attempts of the request: refused first, then answered."""
    told = {"request_id": "req-1", "provider_request_id": "abc"}
    refused = ApiAttempt(number=1, status=429, seconds=0.05, retry_after=1.5, error="too many requests", **told)
    return [refused, ApiAttempt(number=2, status=200, seconds=0.07, retry_after=None, error=None, **told)]


def refusals() -> list[Refusal]:
    """Make a refused row and a refused field."""
    return [
        Refusal(None, "row", "wrong_type", '"x"', whole=True),
        Refusal(SOL, "tm_trader_grade", "out_of_range", "1000", whole=False),
    ]


def hole(state: HoleState, known_at: datetime, attempts: int = 1) -> Hole:
    """Make a state of a hole of a day of two tokens' signals."""
    return Hole(
        feed="trading-signals",
        missing="daily",
        tokens=(SOL, ETH),
        starts_at=TEN - 48 * HOUR,
        ends_at=TEN - 24 * HOUR,
        known_at=known_at,
        state=state,
        attempts=attempts,
        next_at=known_at + HOUR if state is HoleState.OPEN else None,
        reason="GET /v2/trading-signals: 429, too many requests",
    )


def pause() -> Pause:
    """Make a host's wish to be left alone for an hour."""
    return Pause(host="api.test", key_digest="0" * 16, known_at=TEN, until=TEN + HOUR)

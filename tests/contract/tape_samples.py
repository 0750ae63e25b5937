"""A datum of each kind, and a request, written by hand."""

from datetime import datetime, timedelta

from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics
from bot.domain.numbers import Price
from bot.domain.tape import ApiCall, Datum, TokenPrint
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

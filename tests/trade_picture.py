"""The picture of the README: one trade of the demo, from the turn of its signal to its exit, drawn from the ledger.

`make docs` writes docs/one_trade.svg; a test finds one that was not drawn anew.
"""

import sqlite3
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.app.live.demo import play

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "one_trade.svg"
SYMBOL, DAYS = "NEAR", 6
BEFORE, AFTER = timedelta(hours=30), timedelta(hours=8)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 400, 60, 150, 60, 96
INK, PALE, UP, DOWN, PRICE = "#1f2933", "#9aa5b1", "#1a7f4b", "#b42318", "#2f5fd0"
TRADE = "select * from v_trades where symbol = ? and not is_open order by opened_at limit 1"
CLOSES = """select closed_at, c from v_bars where symbol = ? and timeframe = '1h'
and closed_at between ? and ? order by closed_at"""
DECISION = "select * from v_decisions where signal_id = ? and outcome = 'entered' order by slot limit 1"
GATES = "select count(*) from v_gates where candidate_id = ?"
SIGNAL = "select published_at from v_signals where signal_id = ? order by published_at limit 1"


def instant(text: str) -> datetime:
    """Read an instant as SQLite stores it."""
    return datetime.fromisoformat(text)


def stored(at: datetime) -> str:
    """Write an instant as SQLite stores it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Plot:
    """The drawing, with the scales of time and price."""

    def __init__(self, span: tuple[datetime, datetime], prices: tuple[float, float]) -> None:
        """Fit a span of time and a range of prices into the picture."""
        self.span, self.prices = span, prices
        self.parts: list[str] = []

    def x(self, at: datetime) -> float:
        """Place an instant."""
        share = (at - self.span[0]) / (self.span[1] - self.span[0])
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, price: float) -> float:
        """Place a price."""
        share = (price - self.prices[0]) / (self.prices[1] - self.prices[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def line(self, points: list[tuple[float, float]], colour: str, style: str = "") -> None:
        """Join points."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" {style}/>')

    def write(self, x: float, y: float, text: str, colour: str = INK, style: str = "") -> None:
        """Write a line of text."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" {style}>{text}</text>')

    def number(self, at: datetime, price: float, number: int, down: float = 0) -> None:
        """Mark a step of the story, so many units below its price."""
        x, y = self.x(at), self.y(price) + down
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="{INK}"/>')
        self.write(x, y + 4, str(number), "#ffffff", 'text-anchor="middle" font-weight="bold"')

    def whole(self, title: str) -> str:
        """Put the drawing together."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            f' font-family="sans-serif" font-size="12"><title>{title}</title>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"


def draw(ledger: Path) -> str:
    """Draw the symbol's first whole trade in a demo's ledger."""
    with closing(sqlite3.connect(ledger)) as tables:
        tables.row_factory = sqlite3.Row
        trade = tables.execute(TRADE, (SYMBOL,)).fetchone()
        opened, closed = instant(trade["opened_at"]), instant(trade["closed_at"])
        span = (opened - BEFORE, closed + AFTER)
        closes = tables.execute(CLOSES, (SYMBOL, *map(stored, span))).fetchall()
        decision = tables.execute(DECISION, (trade["signal_id"],)).fetchone()
        gates = tables.execute(GATES, (decision["candidate_id"],)).fetchone()[0]
        turned = instant(tables.execute(SIGNAL, (trade["signal_id"],)).fetchone()[0])
    prices = [row["c"] for row in closes]
    low, high = min(*prices, trade["stop_initial"]), max(*prices, trade["target"])
    plot = Plot(span, (low - (high - low) / 12, high + (high - low) / 12))
    draw_prices(plot, trade, [(instant(row["closed_at"]), row["c"]) for row in closes])
    slot = instant(decision["slot"])
    # The three fall into one hour.
    plot.number(turned, decision["reference_price"], 1, down=26)
    plot.number(slot, decision["reference_price"], 2, down=-26)
    plot.number(opened, trade["entry_price"], 3)
    plot.number(closed, trade["exit_price"], 4)
    story = (
        f"1  The provider turns bullish on {SYMBOL}, known on {turned:%d %B at %H:%M}: an episode begins.",
        f"2  The slot of {slot:%d %B, %H:%M} makes it a candidate: {gates} gates, bracket, size.",
        f"3  The order fills at the next price, {trade['entry_price']:.4f} with costs; the bracket is live.",
        f"4  The hour that reaches the target ends it: {trade['exit_reason']}, profit {trade['profit']:.2f} net.",
    )
    for number, text in enumerate(story):
        plot.write(LEFT, HEIGHT - 58 + 17 * number, text, style='xml:space="preserve"')
    plot.write(LEFT, 24, f"One trade of the demo: {SYMBOL}, hourly closes", style='font-size="15" font-weight="bold"')
    return plot.whole(f"How a call becomes a trade: {SYMBOL} in the demo")


def draw_prices(plot: Plot, trade: Any, closes: list[tuple[datetime, float]]) -> None:
    """Draw days, the bracket and the price."""
    opened, closed = instant(trade["opened_at"]), instant(trade["closed_at"])
    day = plot.span[0].replace(hour=0, minute=0) + timedelta(days=1)
    while day < plot.span[1]:
        plot.line([(plot.x(day), TOP - 16), (plot.x(day), HEIGHT - BOTTOM)], PALE, 'stroke-dasharray="2 4"')
        plot.write(plot.x(day) + 4, TOP - 8, f"{day:%d %b} 00:00", PALE)
        day += timedelta(days=1)
    for column, colour in (("target", UP), ("entry_price", INK), ("stop_initial", DOWN)):
        name, price = column.partition("_")[0], trade[column]
        plot.line([(plot.x(opened), plot.y(price)), (plot.x(closed), plot.y(price))], colour, 'stroke-width="1.5"')
        plot.write(WIDTH - RIGHT + 8, plot.y(price) + 4, f"{name} {price:.4f}", colour)
    plot.line([(plot.x(at), plot.y(price)) for at, price in closes], PRICE, 'stroke-width="2"')


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder) / "demo.db", DAYS)
        PICTURE.write_text(draw(Path(folder) / "demo.db"))
    sys.stdout.write(f"{PICTURE}: drawn\n")

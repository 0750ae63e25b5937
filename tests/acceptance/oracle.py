"""A plain loop over the slots of a history folder, written from the product's description alone.

It imports nothing of the product and is slow on purpose: every rule is where a reader of the description looks for it.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from tests.acceptance.bracket_rules import find_stop, find_target, reward_risk
from tests.acceptance.day_figures import Day, annual_sigma, mean_true_range
from tests.acceptance.folder_reader import Bar, History
from tests.acceptance.outcome import Entry, Outcome, Refusal, Trade

MICRO = Decimal("1e-6")
HOUR = timedelta(hours=1)
WAIT = timedelta(hours=72)
SILENCE = timedelta(days=7)


def micro(amount: Decimal) -> Decimal:
    """Round an amount to whole micro-dollars."""
    return amount.quantize(MICRO, ROUND_HALF_EVEN)


def replay(history: History, strategy: dict[str, Any], cash: Decimal, slots: list[datetime] | None = None) -> Outcome:
    """Replay the history slot by slot; without slots every close of a bar is one. The last decides nothing."""
    loop = Loop(history, strategy, cash)
    closes = {bar.closed_at for token in loop.tokens for bar in history.bars[token]}
    every = sorted(closes) if slots is None else slots
    with localcontext() as context:
        context.prec = 50
        for slot in every:
            loop.settle(slot)
            loop.mark(slot)
            loop.cancel_waiting(slot, heeds=slot != every[-1])
            if slot != every[-1]:
                loop.order_exits(slot)
                loop.decide(slot)
    loop.outcome.waiting = loop.waiting
    return loop.outcome


class Loop:
    """The state of the loop: cash, positions, waiting entries and what has been seen of each token."""

    def __init__(self, history: History, strategy: dict[str, Any], cash: Decimal) -> None:
        """Begin with cash and nothing seen."""
        self.history = history
        self.rules = strategy
        self.cash = cash
        universe = strategy["strategy"]["universe"]
        self.tokens = sorted(t for t, s in history.symbols.items() if universe == "*" or t in universe or s in universe)
        self.outcome = Outcome()
        self.positions: dict[int, Trade] = {}
        self.waiting: list[Entry] = []
        self.last: dict[int, Bar] = {}
        self.days: dict[int, dict[date, Day]] = {token: {} for token in self.tokens}
        self.bars_seen = dict.fromkeys(self.tokens, 0)
        self.rows_seen = dict.fromkeys(self.tokens, 0)
        self.episodes: dict[int, tuple[str, datetime]] = {}
        self.judged: set[tuple[int, datetime]] = set()
        self.acted: set[tuple[int, datetime]] = set()
        fills = strategy.get("fills", {})
        self.fee = Decimal(fills.get("fee_fraction", "0.001"))
        self.cost = Decimal(fills.get("half_spread_fraction", "0.0002")) + Decimal(
            fills.get("slippage_fraction", "0.0005")
        )
        self.gross = (1 + self.cost) * (1 + self.fee)
        self.is_anchored = self.rule("stop", "anchor") == "fill"
        assert not self.is_anchored or "reward_risk_min" not in strategy.get("gates", {}), "not in this oracle"

    def rule(self, section: str, key: str, default: Any = None) -> Any:
        """Return one key of the strategy."""
        return self.rules.get(section, {}).get(key, default)

    # Settlement

    def settle(self, slot: datetime) -> None:
        """Take every bar that closed by the slot, in order of opening, each once."""
        fresh: dict[datetime, list[tuple[int, Bar]]] = {}
        for token in self.tokens:
            bars = self.history.bars[token]
            while self.bars_seen[token] < len(bars) and bars[self.bars_seen[token]].closed_at <= slot:
                bar = bars[self.bars_seen[token]]
                fresh.setdefault(bar.opened_at, []).append((token, bar))
                self.bars_seen[token] += 1
        for opened_at in sorted(fresh):
            self.settle_opening(opened_at, dict(fresh[opened_at]))

    def settle_opening(self, opened_at: datetime, bars: dict[int, Bar]) -> None:
        """Settle the bars of one opening time: exits at the open, entries at the open, then inside the bars."""
        for token, bar in bars.items():
            if token in self.positions:
                self.exit_at_open(self.positions[token], bar)
        for entry in list(self.waiting):
            if entry.token in bars and opened_at >= entry.accepted_at:
                self.waiting.remove(entry)
                self.fill(entry, bars[entry.token])
        for token, bar in bars.items():
            if token in self.positions:
                self.exit_inside(self.positions[token], bar)
            self.last[token] = bar
            day = self.days[token].setdefault(bar.opened_at.date(), Day(bar.high, bar.low, bar.close))
            day.high, day.low, day.close = max(day.high, bar.high), min(day.low, bar.low), bar.close

    def exit_at_open(self, trade: Trade, bar: Bar) -> None:
        """Close at the open what was ordered out, then what gapped through its bracket."""
        at_market = bar.open * (1 - self.cost)
        if trade.exit_ordered_at is not None and bar.opened_at >= trade.exit_ordered_at:
            self.close(trade, bar, at_market, trade.exit_ordered_for)
        elif self.is_overdue(trade, bar.opened_at):
            self.close(trade, bar, at_market, "time_stop")
        elif bar.open <= trade.stop:
            trade.gapped = True
            self.close(trade, bar, at_market, "stop_hit")
        elif trade.target is not None and bar.open >= trade.target:
            trade.gapped = True
            raw = bar.open if self.rule("fills", "target_gap") == "open" else trade.target
            self.close(trade, bar, self.at_target(raw), "target_hit")

    def is_overdue(self, trade: Trade, at: datetime) -> bool:
        """Tell whether a position's time stop is due: it rests, and needs no slot to be filled."""
        hours = Decimal(self.rule("exits", "time_stop_hours", 0))
        timed = "time_stop" in self.rule("exits", "rules", [])
        return timed and Decimal((at - trade.opened_at) / HOUR) >= hours

    def at_target(self, raw: Decimal) -> Decimal:
        """Return what a target gets: its price, less the cost of a market order where the strategy says so."""
        return raw * (1 - self.cost) if self.rule("fills", "target_cost") == "market" else raw

    def exit_inside(self, trade: Trade, bar: Bar) -> None:
        """Close at the stop if the bar touched it, else at the target if it touched that."""
        if bar.low <= trade.stop:
            self.close(trade, bar, trade.stop * (1 - self.cost), "stop_hit")
        elif trade.target is not None and bar.high >= trade.target:
            self.close(trade, bar, self.at_target(trade.target), "target_hit")

    def close(self, trade: Trade, bar: Bar, price: Decimal, reason: str) -> None:
        """Sell the position and book it."""
        proceeds = trade.quantity * price
        fee = proceeds * self.fee
        self.cash += micro(proceeds - fee)
        trade.closed_at, trade.exit_price, trade.exit_reason = bar.opened_at, price, reason
        trade.fees += fee
        trade.profit = proceeds - trade.quantity * trade.entry_price - trade.fees
        del self.positions[trade.token]

    def fill(self, entry: Entry, bar: Bar) -> None:
        """Buy at the open unless the bracket has become senseless or the cash is short."""
        accepted = entry
        entry = self.find_at_fill(accepted, bar.open * (1 + self.cost)) if self.is_anchored else accepted
        if entry is None or bar.open <= entry.stop or (entry.target is not None and bar.open >= entry.target):
            self.outcome.cancelled.append((accepted, "bracket_invalid_at_fill"))
            return
        price = bar.open * (1 + self.cost)
        quantity, is_cut = entry.quantity, self.is_anchored
        if quantity * price * (1 + self.fee) > self.cash:
            step = self.history.steps[entry.token]
            quantity, is_cut = self.cash / (price * (1 + self.fee)) // step * step, True
        if is_cut and (quantity <= 0 or quantity * price < Decimal(self.rule("sizing", "notional_min", 0))):
            self.outcome.cancelled.append((accepted, "cash_at_fill"))
            return
        fee = quantity * price * self.fee
        self.cash -= micro(quantity * price + fee)
        trade = Trade(entry.token, bar.opened_at, price, quantity, entry.stop, entry.target, fee)
        self.positions[entry.token] = trade
        self.outcome.trades.append(trade)

    def find_at_fill(self, entry: Entry, paid: Decimal) -> Entry | None:
        """Find bracket and quantity anew from what is paid, by the levels, measures and equity of the entry's slot."""
        slot, token = entry.accepted_at, entry.token
        levels = self.levels(token, slot) or []
        stop = find_stop(self.rules, paid, levels, mean_true_range(self.whole_days(token, slot)))
        if stop is None:
            return None
        found, target = find_target(self.rules, paid, stop, levels, (self.cost, self.fee))
        means = (entry.equity, self.cash - self.reserved(), 1 + self.fee)
        quantity, bound = self.size(token, slot, paid, stop, means)
        return replace(entry, quantity=quantity, stop=stop, target=target, bound=bound) if found else None

    # The slot

    def equity(self) -> Decimal:
        """Return cash and positions at their last closes."""
        return self.cash + sum((p.quantity * self.last[t].close for t, p in self.positions.items()), Decimal(0))

    def mark(self, slot: datetime) -> None:
        """Note cash and equity, and bring the stances up to the slot."""
        self.outcome.marks[slot] = (self.cash, self.equity())
        for token in self.positions:
            assert slot - self.last[token].closed_at < SILENCE, "a token fell silent for a week: not in this oracle"
        for token in self.tokens:
            rows = self.history.stances.get(token)
            while rows and self.rows_seen[token] < len(rows.instants) and rows.instants[self.rows_seen[token]] <= slot:
                published_at, stance = rows.instants[self.rows_seen[token]], rows.values[self.rows_seen[token]]
                self.rows_seen[token] += 1
                if token not in self.episodes or self.episodes[token][0] != stance:
                    self.episodes[token] = (stance, published_at)

    def stance(self, token: int) -> str:
        """Return the token's stance at the slot."""
        return self.episodes[token][0] if token in self.episodes else "unknown"

    def cancel_waiting(self, slot: datetime, *, heeds: bool) -> None:
        """Cancel entries whose token turned bearish, where that is heeded; let those that waited too long expire."""
        for entry in list(self.waiting):
            turned = self.stance(entry.token) == "bearish" and self.rule("strategy", "bearish", "exit") == "exit"
            reason = "bearish" if heeds and turned else ""
            if not reason and slot - entry.accepted_at >= WAIT:
                reason = "expired"
            if reason:
                self.waiting.remove(entry)
                self.outcome.cancelled.append((entry, reason))

    def order_exits(self, slot: datetime) -> None:
        """Order out what turned bearish, then what is too old."""
        exits = self.rule("exits", "rules", ["signal_flipped", "stop_hit", "target_hit"])
        heeds_bearish = "signal_flipped" in exits and self.rule("strategy", "bearish", "exit") == "exit"
        for token, trade in self.positions.items():
            if trade.exit_ordered_at is not None:
                continue
            if heeds_bearish and self.stance(token) == "bearish":
                trade.exit_ordered_at, trade.exit_ordered_for = slot, "signal_flipped"
            elif self.is_overdue(trade, slot):
                trade.exit_ordered_at, trade.exit_ordered_for = slot, "time_stop"

    # Candidates

    def decide(self, slot: datetime) -> None:
        """Judge the slot's candidates in the order of their rank; each sees what the ones before it were granted."""
        candidates = [token for token in self.tokens if self.is_candidate(token)]
        if self.rule("entry", "rank", "token_id") == "grade":
            candidates.sort(key=lambda token: -self.grade(token, slot))
        for token in candidates:
            age_failed = slot - self.episodes[token][1] > HOUR * int(self.rule("entry", "age_max_hours", 72))
            if self.is_complete(token, slot):
                self.judge(token, slot, ["age"] if age_failed else [])
            elif age_failed:
                self.refuse(token, slot, ["age"], "", judged=False)
            else:
                self.outcome.pending.append((slot, token))

    def is_candidate(self, token: int) -> bool:
        """Say whether the token's bullish episode is still to be judged, or to be acted on."""
        if self.stance(token) != "bullish":
            return False
        episode = (token, self.episodes[token][1])
        by_turn = self.rule("entry", "act_on", "turn") == "turn"
        return episode not in self.acted and not (by_turn and episode in self.judged)

    def grade(self, token: int, slot: datetime) -> Decimal:
        """Return the trader grade to rank by, unknown ones last."""
        known = self.history.grades[token].latest(slot) if token in self.history.grades else None
        return (known or {}).get("trader_grade", Decimal(-1))

    def figure(self, token: int, slot: datetime, name: str) -> Decimal | None:
        """Return one of Quantmetrics' figures known at the slot."""
        known = self.history.quantmetrics[token].latest(slot) if token in self.history.quantmetrics else None
        return (known or {}).get(name)

    def levels(self, token: int, slot: datetime) -> list[Decimal] | None:
        """Return the set of levels known at the slot."""
        return self.history.levels[token].latest(slot) if token in self.history.levels else None

    def is_complete(self, token: int, slot: datetime) -> bool:
        """Say whether reference price, what the gates read and the size's volatility are all known."""
        gates = self.rules.get("gates", {})
        return (
            token in self.last
            and ("trader_grade_min" not in gates or self.grade(token, slot) >= 0)
            and ("sharpe_min" not in gates or self.figure(token, slot, "sharpe") is not None)
            and ("max_drawdown_limit" not in gates or self.figure(token, slot, "max_drawdown") is not None)
            and ("resistance_distance_min" not in gates or self.levels(token, slot) is not None)
            and (self.rule("sizing", "rule") != "inverse_volatility" or self.sigma(token, slot) is not None)
        )

    def sigma(self, token: int, slot: datetime) -> Decimal | None:
        """Return the annual volatility the size asks for."""
        source = self.rule("sizing", "volatility", "larger")
        published = self.figure(token, slot, "volatility")
        if source == "quantmetrics":
            return published
        measured = annual_sigma(self.whole_days(token, slot))
        if source == "bars":
            return measured
        return None if published is None or measured is None else max(published, measured)

    def whole_days(self, token: int, slot: datetime) -> list[Day]:
        """Return the token's UTC days that ended by the slot, oldest first."""
        return [day for when, day in self.days[token].items() if when < slot.date()]

    def judge(self, token: int, slot: datetime, failed: list[str]) -> None:
        """Accept an entry for the candidate if nothing speaks against it."""
        reference = self.last[token].close
        levels = self.levels(token, slot)
        self.outcome.levels_at_price += reference in (levels or [])
        if token in self.positions or any(entry.token == token for entry in self.waiting):
            failed.append("held")
        failed += self.failed_gates(token, slot, reference, levels)
        stop = find_stop(self.rules, reference, levels or [], mean_true_range(self.whole_days(token, slot)))
        if stop is None:
            self.refuse(token, slot, [*failed, "stop"], "")
            return
        odds = (self.cost, self.fee)
        found, target = find_target(self.rules, reference, stop, levels or [], odds)
        least = self.rule("gates", "reward_risk_min")
        if not found:
            failed.append("target")
        elif least is not None and target is not None and reward_risk(reference, stop, target, odds) < least:
            failed.append("reward_risk_min")
        equity = self.equity()
        free = self.cash - self.reserved() + (self.coming() if self.is_anchored else 0)
        quantity, bound = self.size(token, slot, reference, stop, (equity, free, self.gross))
        failed += self.failed_limits(quantity, reference)
        if failed:
            self.refuse(token, slot, failed, bound)
            return
        entry = Entry(token, slot, reference, quantity, stop, target, bound, equity)
        self.waiting.append(entry)
        self.outcome.accepted.append(entry)
        self.acted.add((token, self.episodes[token][1]))

    def refuse(self, token: int, slot: datetime, failed: list[str], bound: str, *, judged: bool = True) -> None:
        """Note the refusal, judged or too old to be; the episode's one chance has passed."""
        self.judged.add((token, self.episodes[token][1]))
        self.outcome.refusals.append(Refusal(slot, token, failed, bound, judged))

    def failed_gates(self, token: int, slot: datetime, reference: Decimal, levels: list[Decimal] | None) -> list[str]:
        """Return the gates on the token itself that fail."""
        failed, gates = [], self.rules.get("gates", {})
        if "trader_grade_min" in gates and self.grade(token, slot) < gates["trader_grade_min"]:
            failed.append("trader_grade_min")
        if "sharpe_min" in gates and (self.figure(token, slot, "sharpe") or Decimal(0)) < gates["sharpe_min"]:
            failed.append("sharpe_min")
        fall = abs(self.figure(token, slot, "max_drawdown") or Decimal(0))
        if "max_drawdown_limit" in gates and fall > gates["max_drawdown_limit"]:
            failed.append("max_drawdown_limit")
        above = [level for level in levels or [] if level > reference]
        if "resistance_distance_min" in gates and above:
            distance = (min(above) - reference) / reference
            if distance < gates["resistance_distance_min"]:
                failed.append("resistance_distance_min")
        return failed

    def reserved(self) -> Decimal:
        """Return the cash that waiting entries keep for themselves."""
        return sum((entry.quantity * entry.reference * self.gross for entry in self.waiting), Decimal(0))

    def coming(self) -> Decimal:
        """Return what the positions that are ordered out would bring at their last closes."""
        leaving = (p.quantity * self.last[t].close for t, p in self.positions.items() if p.exit_ordered_at is not None)
        return sum(leaving, Decimal(0)) * (1 - self.cost) * (1 - self.fee)

    def size(
        self, token: int, slot: datetime, reference: Decimal, stop: Decimal, means: tuple[Decimal, Decimal, Decimal]
    ) -> tuple[Decimal, str]:
        """Return the quantity, and which bound held; means: equity, free cash, and what a unit of notional costs."""
        sizing, (equity, free, gross) = self.rules["sizing"], means
        risk = reference * gross - stop * (1 - self.cost) * (1 - self.fee)
        bounds = {"cash": free / gross}
        if sizing["rule"] == "inverse_volatility":
            sigma = max(self.sigma(token, slot) or Decimal(0), Decimal(sizing.get("volatility_floor", 0)))
            bounds["rule"] = equity * sizing["target_volatility"] / sigma / self.rules["limits"]["positions_max"]
        elif sizing["rule"] == "fixed_notional":
            bounds["rule"] = Decimal(sizing["notional"])
        elif sizing["rule"] == "fixed_fraction":
            bounds["rule"] = equity * sizing["fraction"]
        if "risk_fraction" in sizing:
            bounds["risk"] = equity * sizing["risk_fraction"] / risk * reference
        if "weight_max" in sizing:
            bounds["weight"] = equity * sizing["weight_max"]
        bound = min(bounds, key=lambda name: bounds[name])
        step = self.history.steps[token]
        return max(bounds[bound], Decimal(0)) / reference // step * step, bound

    def failed_limits(self, quantity: Decimal, reference: Decimal) -> list[str]:
        """Return the limits of the whole book that fail."""
        failed, limits = [], self.rules.get("limits", {})
        staying = {token: p for token, p in self.positions.items() if p.exit_ordered_at is None}
        if "positions_max" in limits and len(staying) + len(self.waiting) >= limits["positions_max"]:
            failed.append("positions_max")
        held = sum((p.quantity * self.last[token].close for token, p in staying.items()), Decimal(0))
        granted = sum((entry.quantity * entry.reference for entry in self.waiting), Decimal(0))
        exposure = (held + granted + quantity * reference) / self.equity()
        if "exposure_max" in limits and exposure > limits["exposure_max"]:
            failed.append("exposure_max")
        if quantity == 0 or quantity * reference < Decimal(self.rule("sizing", "notional_min", 0)):
            failed.append("notional_min")
        return failed

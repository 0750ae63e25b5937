"""A sweep's result, as text and JSON: each window's best sets, test and deflated Sharpe ratio."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bot.app.sweep.judging import Judged, deflated_sharpe
from bot.app.sweep.plan import Sweep
from bot.app.telling.answers import Column, Table, count_of, without_empty
from bot.app.telling.printing import show_value
from bot.domain.sweeps import Trial
from bot.figures.performance import Figure

BEST_MAX = 10
# The figures shown of a trial beside its parameters and the figure that it is judged by.
TOLD = ("sharpe", "total_return", "max_drawdown", "profit_factor", "trades", "final_equity")


def result_of(plan: Sweep, judged: Sequence[Judged]) -> dict[str, Any]:
    """Build the result of a sweep, window by window."""
    return {
        "sweep": plan.name,
        "method": plan.method,
        "figure": plan.figure,
        "seed": plan.seed,
        "windows": [_window(plan, one) for one in judged],
    }


def _window(plan: Sweep, one: Judged) -> dict[str, Any]:
    ranked, tried = one.ranked, one.tried
    luck = deflated_sharpe(ranked[0], tried) if ranked else Figure(reason=_no_best(plan, tried))
    return {
        "from": one.fold.train.start,
        "to": one.fold.train.end,
        "sets": len(one.tried),
        "best": [_of_trial(plan, trial) for trial in one.ranked[:BEST_MAX]],
        "deflated_sharpe": luck.value,
        "reason": luck.reason,
        "test": one.test
        and {"from": one.test.window_from, "to": one.test.window_to, **_of_trial(plan, one.test)},
    }


def _no_best(plan: Sweep, tried: Sequence[Trial]) -> str:
    """Explain that no set has the figure, with the reason of the first one."""
    why = [f"of the first: {json.loads(trial.reasons)[plan.figure]}" for trial in tried[:1]]
    return "; ".join([f"no set has a {plan.figure}", *why])


def _of_trial(plan: Sweep, trial: Trial) -> dict[str, Any]:
    return {
        "trial_id": trial.trial_id,
        "parameters": json.loads(trial.parameters, parse_float=Decimal),
        **{name: getattr(trial, name) for name in dict.fromkeys((plan.figure, *TOLD))},
        "reasons": json.loads(trial.reasons),
    }


def describe_result(result: Mapping[str, Any]) -> tuple[str | Table, ...]:
    """Describe the ten best sets of the only window, or each window's best beside its test."""
    windows = result["windows"]
    found: list[str | Table] = (
        _all_windows(result)
        if len(windows) > 1 or windows[0]["test"]
        else [_best_sets(result["figure"], windows[0]["best"]), _luck(windows[0])]
    )
    if result["sets_refused"]:
        why = result["refused_because"]
        found.append(f"sets passed over: {result['sets_refused']}, the first because {why}")
    held = f"{result['trials_found']} found in the ledger: {result['ledger']}"
    found.append(f"{count_of(result['trials_run'], 'trial')} run, {held}")
    # A blank line between the parts.
    first, *rest = without_empty(*found)
    return (first, *(one for part in rest for one in ("", part)))


def _best_sets(figure: str, best: Sequence[Mapping[str, Any]]) -> Table:
    names = _short_names(best)
    shown = dict.fromkeys((figure, *TOLD))
    rows = [_parameters(one, names) | {name: one[name] for name in shown} for one in best]
    ranks = dict.fromkeys(names.values(), 1) | {figure: 0, "total_return": 0} | dict.fromkeys(TOLD[2:], 2)
    return Table(rows=rows, columns=_columns(rows, ranks))


def _short_names(sets: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name each parameter by the last part of its path, or by all of it where two would be equal."""
    paths = list(dict.fromkeys(path for one in sets for path in one["parameters"]))
    lasts = [path.rpartition(".")[2] for path in paths]
    return {path: last if lasts.count(last) == 1 else path for path, last in zip(paths, lasts, strict=True)}


def _parameters(one: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Convert parameters to cells of a table; a list becomes its words, no set None."""
    given = {name: one["parameters"].get(path) for path, name in names.items()}
    return {name: " ".join(value) if isinstance(value, list) else value for name, value in given.items()}


def _columns(rows: Sequence[Mapping[str, Any]], ranks: Mapping[str, int]) -> tuple[Column, ...]:
    return tuple(Column(name, rank=ranks.get(name, 3)) for name in (rows[0] if rows else ()))


def _luck(window: Mapping[str, Any]) -> str:
    value, better = window["deflated_sharpe"], "is better than luck (deflated Sharpe ratio)"
    shown = show_value(None if value is None else round(value, 4))
    told = f"probability that the best of {window['sets']} sets {better}: {shown}"
    return f"{told}; {window['reason']}" if window["reason"] else told


def _all_windows(result: Mapping[str, Any]) -> list[str | Table]:
    figure, rows = result["figure"], []
    bests = [(window["best"] or [{"parameters": {}}])[0] for window in result["windows"]]
    names = _short_names(bests)
    for window, best in zip(result["windows"], bests, strict=True):
        test = window["test"] or {}
        rows.append(
            {
                "train_from": window["from"],
                "train_to": window["to"],
                **_parameters(best, names),
                figure: best.get(figure),
                "deflated_sharpe": window["deflated_sharpe"],
                f"test_{figure}": test.get(figure),
                "test_return": test.get("total_return"),
                "test_drawdown": test.get("max_drawdown"),
                "test_trades": test.get("trades"),
            }
        )
    ranks = dict.fromkeys(names.values(), 2) | {f"test_{figure}": 0, "deflated_sharpe": 0}
    ranks |= {figure: 1, "test_return": 3 if figure == "total_return" else 1}
    return [Table(rows=rows, columns=_columns(rows, ranks)), *_missing(result)]


def _missing(result: Mapping[str, Any]) -> Iterator[str]:
    """Explain why train windows, and test windows, lack figures: the reason of the first one."""
    windows, figure = result["windows"], result["figure"]
    train = [window["reason"] for window in windows if window["reason"]]
    tests = [window["test"]["reasons"] for window in windows if window["test"]]
    test = [reasons[figure] for reasons in tests if figure in reasons]
    for kind, reasons in (("train", train), ("test", test)):
        if reasons:
            yield f"{len(reasons)} of {len(windows)} {kind} windows lack a figure: {reasons[0]}"

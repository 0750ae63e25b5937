"""`bot history pack`: prepares a history folder before its first replay, and shows the progress."""

from dataclasses import asdict
from pathlib import Path

from bot.adapters.history.packing import pack_history
from bot.app.telling.answers import Answer
from bot.app.telling.progress import tell_progress


def pack(folder: Path) -> Answer:
    """Pack a history folder and answer with what the packs hold."""
    packed = pack_history(folder, tell_packing)
    counts = {
        "files": packed.files,
        "tokens": packed.tokens,
        **{f"bars {timeframe}": count for timeframe, count in packed.bars.items()},
        **{f"rows {name}": count for name, count in packed.rows.items()},
        "candles refused": packed.refused,
        "bytes": packed.bytes,
    }
    width = max(map(len, counts))
    lines = (f"{name:<{width}}  {count:,}" for name, count in counts.items())
    return Answer(
        payload={"folder": str(folder), **asdict(packed), "place": str(packed.place)},
        parts=(*lines, f"\npack: {packed.place}"),
    )


def tell_packing(what: str, done: int, total: int) -> None:
    """Show the progress of packing on a terminal."""
    tell_progress(f"packing {what}, files", done, total)

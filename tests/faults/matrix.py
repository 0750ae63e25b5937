"""Every fault of the wire that the suite knows, as functions of a good answer."""

import gzip
import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.faults.stub_api import Answer, Row

Fault = Callable[[Answer], Answer | Exception]
RowFault = Callable[[list[Row], random.Random], list[Row]]
PLAN = b'{"message": "You are not authorized to access this endpoint with your current plan."}'


def code(number: int, body: bytes = b'{"message": "no"}', **headers: str) -> Fault:
    """Answer with a status."""
    return lambda _made: (number, body, {name.replace("_", "-"): value for name, value in headers.items()})


def body(change: Callable[[bytes], bytes], **headers: str) -> Fault:
    """Change the bytes of the body."""
    return lambda made: (made[0], change(made[1]), {name.replace("_", "-"): value for name, value in headers.items()})


def envelope(**changes: Any) -> Fault:
    """Change the outer object."""

    def change(text: bytes) -> bytes:
        return json.dumps({**json.loads(text), **changes}).encode()

    return body(change)


# Each ends as an error of its query, whatever the feed.
FAULTS: Mapping[str, Fault] = {
    **{f"status_{number}": code(number) for number in (302, 400, 401, 402, 403, 404, 418, 429, 500, 502, 503, 504)},
    "plan": code(401, PLAN),
    "retry_after_seconds": code(429, retry_after="2"),
    "retry_after_fraction": code(429, retry_after="1.5"),
    "retry_after_long": code(429, retry_after="600"),
    "retry_after_date": code(429, retry_after="Thu, 10 Apr 2025 09:10:00 GMT"),
    "retry_after_absurd": code(503, retry_after="1e300"),
    "retry_after_odd": code(429, retry_after="soon"),
    "connect": lambda _made: httpx.ConnectError("refused"),
    "connect_timeout": lambda _made: httpx.ConnectTimeout("slow"),
    "read_timeout": lambda _made: httpx.ReadTimeout("slow"),
    "read_error": lambda _made: httpx.ReadError("reset"),
    "closed": lambda _made: httpx.RemoteProtocolError("closed"),
    "html": code(200, b"<html>busy</html>"),
    "empty": body(lambda _text: b""),
    "truncated": body(lambda text: text[: len(text) // 2]),
    "utf_16": body(lambda text: text.decode().encode("utf-16")),
    "no_object": body(lambda _text: b"[]"),
    "no_list": envelope(data={}),
    "data_null": envelope(data=None),
    "no_data": body(lambda _text: b'{"success": true}'),
    "success_false": envelope(success=False),
    "nested": body(lambda _text: b'{"success": true, "data": [' + b"[" * 100_000),
    "long": body(lambda text: text + b" " * (9 << 20)),
    "bomb": body(lambda _text: gzip.compress(b"[" + b" " * (64 << 20)), content_encoding="gzip"),
    "bad_gzip": body(lambda text: text, content_encoding="gzip"),
    "encoded": body(lambda text: text, content_encoding="br"),
}


def each(change: Callable[[Row, str], Row]) -> RowFault:
    """Change one field of every row of one token."""

    def broken(rows: list[Row], chance: random.Random) -> list[Row]:
        tokens = sorted({str(row["TOKEN_ID"]) for row in rows})
        token = chance.choice(tokens) if tokens else ""
        mine = [row for row in rows if str(row["TOKEN_ID"]) == token]
        names = sorted({name for row in mine for name in row if name not in {"TOKEN_NAME", "TOKEN_SYMBOL"}})
        name = chance.choice(names) if names else ""
        return [change(row, name) if str(row["TOKEN_ID"]) == token and name in row else row for row in rows]

    return broken


# Each changes rows only: what cannot be read is refused, the rest is kept.
ROWS: Mapping[str, RowFault] = {
    "null": each(lambda row, name: {**row, name: None}),
    "missing": each(lambda row, name: {key: value for key, value in row.items() if key != name}),
    "negative": each(lambda row, name: {**row, name: -1}),
    "zero": each(lambda row, name: {**row, name: 0}),
    "nan": each(lambda row, name: {**row, name: float("nan")}),
    "infinite": each(lambda row, name: {**row, name: float("-inf")}),
    "huge": each(lambda row, name: {**row, name: 1e25}),
    "tiny": each(lambda row, name: {**row, name: 1e-30}),
    "word": each(lambda row, name: {**row, name: "odd"}),
    "list": each(lambda row, name: {**row, name: [1]}),
    "object": each(lambda row, name: {**row, name: {"a": 1}}),
    "true": each(lambda row, name: {**row, name: True}),
    "hostile": each(lambda row, name: {**row, name: "\u202e'; drop table orders; --\x00" * 20}),
    "future": each(lambda row, name: {**row, name: "2099-01-01T00:00:00Z"}),
    "ancient": each(lambda row, name: {**row, name: "0001-01-01"}),
    "no_rows": lambda _rows, _chance: [],
    "no_objects": lambda rows, _chance: [*rows, "row", None, 7, []],  # type: ignore[list-item]
    "doubled": lambda rows, _chance: [row for row in rows for _ in range(2)],
    "shuffled": lambda rows, chance: chance.sample(rows, len(rows)),
    "strangers": lambda rows, _chance: [*rows, *({**row, "TOKEN_ID": 99} for row in rows[:3])],
    "half": lambda rows, _chance: rows[::2],
}
# Faults that a good client may read through as if nothing were wrong.
HARMLESS = frozenset(
    ["doubled", "strangers", "shuffled", "half", "no_rows", "zero", "negative", "null", "missing", "true", "tiny"]
)
NOW = datetime(2025, 4, 10, 9, tzinfo=UTC)

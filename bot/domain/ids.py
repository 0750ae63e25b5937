"""Ids, derived from the facts that they name.

Price, quantity, host, attempt and configuration are never part of an id, so a repeat of the same
intent has the same id.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import NewType

TokenId = NewType("TokenId", int)
Symbol = NewType("Symbol", str)
RunName = NewType("RunName", str)
SignalId = NewType("SignalId", str)
CandidateId = NewType("CandidateId", str)
OrderId = NewType("OrderId", str)
PositionId = NewType("PositionId", str)
FillId = NewType("FillId", str)
EntryId = NewType("EntryId", str)
RequestId = NewType("RequestId", str)

# Writes a value as canonical JSON: ASCII, no spaces, sorted keys, no NaN.
canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def hash_text(text: str) -> str:
    """Compute the digest of a text: SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _element(part: object) -> str:
    """Write one part of an id; nearly all are strings, which take the fastest encoder."""
    return encode_basestring_ascii(part) if type(part) is str else canonical(part)


def derive(prefix: str, parts: Sequence[object]) -> str:
    """Hash the facts that name something as a JSON array: joined strings could be equal."""
    named = f"[{','.join(map(_element, (prefix, *parts)))}]"
    return f"{prefix}-{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def instant_text(at: datetime) -> str:
    """Write an aware UTC instant in its only canonical form, with microseconds and Z."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def signal_id(provider: str, feed: str, token_id: TokenId, stance: str, at: datetime) -> SignalId:
    """Derive the id of an episode from the signal that started it, published at an instant."""
    return SignalId(derive("sig", [provider, feed, token_id, stance, instant_text(at)]))


def candidate_id(run: RunName, slot: datetime, signal: SignalId) -> CandidateId:
    """Derive the id of a candidate from the run, the slot that judged it and its signal."""
    return CandidateId(derive("cand", [run, instant_text(slot), signal]))


def order_id(run: RunName, of: SignalId, role: str, entry: int, part: int | None = None) -> OrderId:
    """Derive the id of an order.

    ordinal: how many entry orders this run had for that signal before.
    part: counts the second and later targets from 1; None for every other order.
    """
    return OrderId(derive("ord", [run, of, role, entry, *([] if part is None else [part])]))


def position_id(run: RunName, token_id: TokenId, ordinal: int) -> PositionId:
    """Derive the id of a position; ordinal counts the positions in the token closed before."""
    return PositionId(derive("pos", [run, token_id, ordinal]))


def fill_id(order: OrderId, number: int) -> FillId:
    """Derive the id of the number-th fill of an order."""
    return FillId(derive("fill", [order, number]))


def entry_id(run: RunName, cause: str) -> EntryId:
    """Derive the id of a journal entry from its cause: a fill, a borrow fee or the opening."""
    return EntryId(derive("je", [run, cause]))

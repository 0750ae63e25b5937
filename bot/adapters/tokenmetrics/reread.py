"""Recorded answers, read again as they were read when they came.

The parser is the same, and the recorded call holds everything else that it needs.
"""

from bot.adapters.tokenmetrics.fields import read_envelope, rows_of
from bot.adapters.tokenmetrics.parse import Question, parse
from bot.domain.errors import BadInputError, BotError, UpstreamError
from bot.domain.ids import TokenId
from bot.domain.tape import ApiCall, Datum


def read_again(call: ApiCall, body: bytes) -> tuple[Datum, ...]:
    """Read the data in a recorded answer; a failed answer, or a token not asked for, gives none.

    Raises BadInputError for a call that this program cannot have made: its row was changed.
    """
    failed = (
        None
        if call.status is not None and call.status // 100 == 2  # noqa: PLR2004
        else UpstreamError(call.endpoint)
    )
    try:
        rows = rows_of(call.endpoint, call.status, read_envelope(body), failed)
    except BotError:
        return ()
    asked = Question(tokens=_tokens(call.query), started_at=call.at, known_at=call.known_at)
    return parse(call.endpoint, rows, asked).data


def _tokens(query: str) -> frozenset[TokenId]:
    named = dict(part.partition("=")[::2] for part in query.split("&"))
    tokens = [token for token in named.get("token_id", "").split(",") if token]
    if not all(token.isdecimal() for token in tokens):
        raise BadInputError(f"a call asked for {query}, which names no tokens: its row was changed")
    return frozenset(TokenId(int(token)) for token in tokens)

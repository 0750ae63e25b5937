"""Queries to the provider: asked in parallel and page by page.

Every answer is recorded before it is interpreted. Its query is recorded without headers, so that no
recording holds a key.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.adapters.http.client import HttpAnswer, HttpClient, HttpRequest
from bot.adapters.tokenmetrics.fields import Fields, RefusedError, read_envelope, rows_of
from bot.adapters.tokenmetrics.parse import Question
from bot.domain.errors import BotError, UpstreamError
from bot.domain.ids import TokenId, derive, instant_text
from bot.domain.tape import ApiCall
from bot.ports import Tape

PAGE_ROWS = 100
PAGES_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiQuery:
    """A query to an endpoint.

    page: the page to ask for; 0 for an endpoint without pages.
    reach: when rows come newest first, no page follows one that ends before this instant.
    page_before: the digest of the previous page, by which a repeated page is noticed.
    """

    endpoint: str
    params: tuple[tuple[str, str], ...]
    tokens: frozenset[TokenId] = frozenset()
    reach: datetime | None = None
    page: int = 1
    page_max: int = PAGES_MAX
    page_before: str | None = None

    @property
    def request(self) -> HttpRequest:
        """The HTTP request for the query's page."""
        pages = (("limit", str(PAGE_ROWS)), ("page", str(self.page))) if self.page else ()
        return HttpRequest(f"/{self.endpoint}", self.params + pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One page of an answer, or the error that came instead of it."""

    query: ApiQuery
    asked: Question
    rows: tuple[object, ...] = ()
    error: BotError | None = None


class Desk:
    """Asks queries, records the answers and asks for further pages."""

    def __init__(self, http: HttpClient, tape: Tape) -> None:
        """Ask through a client, and record on a tape."""
        self._http = http
        self._tape = tape

    def ask(self, slot: datetime, queries: Sequence[ApiQuery]) -> list[Reply]:
        """Ask all queries in parallel, then the next pages of those that have more, and so on.

        A failed query gives a reply with an error, and so does one that has more than page_max
        pages.
        """
        replies = []
        waiting = list(queries)
        while waiting:
            answers = self._http.get_all([query.request for query in waiting])
            waiting, asked = [], waiting
            for query, answer in zip(asked, answers, strict=True):
                digest = hashlib.sha256(answer.body).hexdigest() if answer.body is not None else None
                reply = self._record(slot, query, answer, digest)
                replies.append(reply)
                if not _has_more(reply):
                    continue
                if query.page < query.page_max:
                    waiting.append(replace(query, page=query.page + 1, page_before=digest))
                else:
                    message = f"/{query.endpoint}: more than {query.page_max} pages; watch fewer tokens"
                    replies.append(replace(reply, rows=(), error=UpstreamError(message)))
        return replies

    def _record(self, slot: datetime, query: ApiQuery, answer: HttpAnswer, digest: str | None) -> Reply:
        """Record an answer with the number of its rows, and only then interpret it."""
        envelope = read_envelope(answer.body)
        call = ApiCall(
            request_id=_request_id(slot, answer),
            at=answer.started_at,
            known_at=answer.known_at,
            slot=slot,
            endpoint=query.endpoint,
            query=_text(answer.request),
            status=answer.status,
            attempts=answer.attempts,
            seconds=answer.seconds,
            size=len(answer.body or b""),
            rows=len(envelope.rows) if envelope and envelope.rows is not None else None,
            credits=answer.attempts,
            answer_hash=digest,
        )
        self._tape.answer(call, answer.body)
        asked = Question(tokens=query.tokens, started_at=answer.started_at, known_at=answer.known_at)
        try:
            rows = rows_of(query.endpoint, answer.status, envelope, answer.error)
            _check_paging(query, rows, digest)
        except BotError as error:
            return Reply(query=query, asked=asked, error=error)
        return Reply(query=query, asked=asked, rows=rows)


def _check_paging(query: ApiQuery, rows: Sequence[object], digest: str | None) -> None:
    if rows and digest == query.page_before:
        raise UpstreamError(
            f"{query.endpoint}: page {query.page} is page {query.page - 1} again; ask for fewer tokens"
        )


def _has_more(reply: Reply) -> bool:
    query = reply.query
    if not query.page or len(reply.rows) < PAGE_ROWS:
        return False
    return query.reach is None or not _reaches(reply, query.reach)


def _reaches(reply: Reply, reach: datetime) -> bool:
    """Check whether a page is sorted newest first and ends before an instant."""
    try:
        times = [Fields(row).instant("timestamp", reply.asked.known_at) for row in reply.rows]
    except RefusedError:
        return False
    return times[-1] < reach and times == sorted(times, reverse=True)


def _request_id(slot: datetime, answer: HttpAnswer) -> str:
    parts = [instant_text(slot), answer.request.path, _text(answer.request), instant_text(answer.started_at)]
    return derive("call", parts)


def _text(request: HttpRequest) -> str:
    return "&".join(f"{name}={value}" for name, value in request.params)

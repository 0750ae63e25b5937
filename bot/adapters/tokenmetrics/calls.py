"""Queries to the provider: asked in parallel and page by page.

Every answer is recorded before it is interpreted, with each of its attempts. Its query is recorded
without headers, so that no recording holds a key.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.adapters.http.client import HttpAnswer, HttpClient, HttpRequest
from bot.adapters.tokenmetrics.fields import Fields, RefusedError, rows_of
from bot.adapters.tokenmetrics.parse import Question
from bot.domain.errors import BotError, UpstreamError
from bot.domain.ids import TokenId, derive, instant_text
from bot.domain.tape import ApiAttempt, ApiCall
from bot.ports import Tape

PAGE_ROWS = 100
PAGES_MAX = 60
# Queries at once, so that a long first fetch can tell how far it is.
QUERIES_AT_ONCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiQuery:
    """A query to an endpoint.

    page: the page to ask for; 0 for an endpoint without pages.
    page_max: the last page that can hold rows that are due.
    reach: when rows come newest first, no page follows one that ends before this instant.
    starts_at, ends_at: the stretch that is asked for, both inclusive; None for the newest rows.
    page_before: the digest of the previous page, by which a repeated page is noticed.
    """

    endpoint: str
    params: tuple[tuple[str, str], ...]
    tokens: frozenset[TokenId] = frozenset()
    reach: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
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
    """One page of an answer; request_id: names the recorded request."""

    request_id: str
    asked: Question
    rows: tuple[object, ...]


@dataclass(slots=True, kw_only=True)
class Heard:
    """Everything that came for a query: the pages in order, and the error that ended them, if any.

    ended: whether the last page was the last that the provider has, and not the last one wanted.
    """

    query: ApiQuery
    pages: list[Reply] = field(default_factory=list)
    error: BotError | None = None
    ended: bool = False

    @property
    def oldest(self) -> datetime | None:
        """The oldest instant of its hourly rows, as far as they can be read."""
        times = [_time(row, page.asked.known_at) for page in self.pages for row in page.rows]
        return min((at for at in times if at is not None), default=None)


class Desk:
    """Asks queries, records the answers and asks for further pages."""

    def __init__(self, http: HttpClient, tape: Tape, pause: Callable[[float], None]) -> None:
        """Ask through a client, record on a tape; pause: is told for how long a host refuses."""
        self._http = http
        self._tape = tape
        self._pause = pause

    def ask(
        self,
        slot: datetime,
        queries: Sequence[ApiQuery],
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> list[Heard]:
        """Ask all queries in parallel, then the next pages of those that have more, and so on.

        progress: is told how many queries of how many are done. A query that has more pages than
        can hold rows that are due ends with an error.
        """
        heard = [Heard(query=query) for query in queries]
        for begin in range(0, len(heard), QUERIES_AT_ONCE):
            waiting = [(one, one.query) for one in heard[begin : begin + QUERIES_AT_ONCE]]
            while waiting:
                answers = self._http.get_all([query.request for _, query in waiting])
                asked, waiting = waiting, []
                for (one, query), answer in zip(asked, answers, strict=True):
                    following = self._hear(slot, one, query, answer)
                    waiting += [(one, following)] if following else []
            progress(min(begin + QUERIES_AT_ONCE, len(heard)), len(heard))
        return heard

    def _hear(
        self, slot: datetime, heard: Heard, query: ApiQuery, answer: HttpAnswer
    ) -> ApiQuery | None:
        """Record an answer, add it to what was heard, and return the query for the next page."""
        digest = None if answer.body is None else hashlib.sha256(answer.body).hexdigest()
        request_id = _request_id(slot, answer)
        error: BotError | None = None
        rows: tuple[object, ...] = ()
        try:
            rows = rows_of(query.endpoint, answer.status, answer.content, answer.error)
            _check_paging(query, rows, digest)
        except BotError as failed:
            error = failed
        self._record(slot, query, answer, request_id, digest, error)
        if error is not None:
            heard.error = error
            return None
        asked = Question(
            tokens=query.tokens, started_at=answer.started_at, known_at=answer.known_at
        )
        reply = Reply(request_id=request_id, asked=asked, rows=rows)
        heard.pages.append(reply)
        heard.ended = not query.page or len(rows) < PAGE_ROWS
        if heard.ended or (query.reach is not None and _reaches(reply, query.reach)):
            return None
        if query.page < query.page_max:
            return replace(query, page=query.page + 1, page_before=digest)
        heard.error = UpstreamError(
            f"/{query.endpoint}: more than {query.page_max} pages, where no more rows can be due"
        )
        return None

    def _record(
        self,
        slot: datetime,
        query: ApiQuery,
        answer: HttpAnswer,
        request_id: str,
        digest: str | None,
        error: BotError | None,
    ) -> None:
        rows = getattr(answer.content, "rows", None)
        call = ApiCall(
            request_id=request_id,
            at=answer.started_at,
            known_at=answer.known_at,
            slot=slot,
            endpoint=query.endpoint,
            query=_text(answer.request),
            status=answer.status,
            attempts=len(answer.attempts),
            seconds=answer.seconds,
            size=len(answer.body or b""),
            rows=None if rows is None else len(rows),
            credits=len(answer.attempts),
            answer_hash=digest,
            error=None if error is None else str(error),
            provider_request_id=(
                answer.attempts[-1].provider_request_id if answer.attempts else None
            ),
        )
        attempts = [
            ApiAttempt(
                request_id=request_id,
                number=number,
                status=one.status,
                seconds=one.seconds,
                retry_after=one.retry_after,
                error=None if one.error is None else str(one.error),
                provider_request_id=one.provider_request_id,
            )
            for number, one in enumerate(answer.attempts, 1)
        ]
        self._tape.answer(call, answer.body, attempts)
        if waits := [one.retry_after for one in attempts if one.retry_after]:
            self._pause(max(waits))


def _check_paging(query: ApiQuery, rows: Sequence[object], digest: str | None) -> None:
    if rows and digest == query.page_before:
        raise UpstreamError(
            f"{query.endpoint}: page {query.page} is page {query.page - 1} again;"
            " ask for fewer tokens"
        )


def _reaches(reply: Reply, reach: datetime) -> bool:
    """Check whether a page is sorted newest first and ends before an instant."""
    times = [at for row in reply.rows if (at := _time(row, reply.asked.known_at)) is not None]
    is_sorted = len(times) == len(reply.rows) and times == sorted(times, reverse=True)
    return is_sorted and times[-1] < reach


def _time(row: object, known_at: datetime) -> datetime | None:
    try:
        return Fields(row).instant("timestamp", known_at)
    except RefusedError:
        return None


def _request_id(slot: datetime, answer: HttpAnswer) -> str:
    parts = [instant_text(slot), answer.request.path, _text(answer.request), instant_text(answer.started_at)]
    return derive("call", parts)


def _text(request: HttpRequest) -> str:
    return "&".join(f"{name}={value}" for name, value in request.params)

"""The workers of a sweep: processes of this machine, a Dask cluster or a Ray cluster.

Each is a concurrent.futures.Executor. Workers are lost sooner or later: the errors that show a loss
are listed here, and any other error is a bug. A cluster runs whatever code it is sent, so name only
one on a trusted network.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from bot.domain.errors import ConfigError, UpstreamError, UsageError
from bot.domain.extras import missing_extra

PROCESSES = "processes"
PATIENCE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Workers:
    """A place to submit tasks to; opened: opens an executor; lost: what tasks raise without it."""

    opened: Callable[[], AbstractContextManager[Executor]]
    lost: tuple[type[BaseException], ...]


def workers_on(place: str, count: int | None) -> Workers:
    """Choose the workers, `processes` by count or a cluster; UsageError for another place."""
    kind, _, address = place.partition("://")
    if kind in {"dask", "ray"} and address:
        if count is not None:
            mend = "a cluster has the workers it has"
            raise UsageError(f"--workers goes with --on {PROCESSES}: {mend}")
        return _dask(place, address) if kind == "dask" else _ray(place)
    if place != PROCESSES:
        raise UsageError(f"--on {place}: write {PROCESSES}, dask://HOST:PORT or ray://HOST:PORT")
    return Workers(lambda: _processes(count or os.cpu_count() or 1), (BrokenExecutor,))


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    # Spawn, do not fork: a fork would inherit the parent's threads and connections.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=follow_parent)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def follow_parent() -> None:
    """Leave Ctrl-C to the parent, and exit when it exits, for any reason: no pool does either."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # When one worker dies, the pool ends the others by SIGTERM. They may be waiting for a lock that
    # the dead one holds; there, a signal handler written in Python would never run.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _dask(place: str, address: str) -> Workers:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
        from distributed.comm import CommClosedError  # noqa: PLC0415
        from distributed.scheduler import KilledWorker  # noqa: PLC0415
    except ImportError as error:
        raise _lacking(place) from error
    # Its log shows tracebacks of lost connections; the error raised here says it in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)

    @contextmanager
    def open_client() -> Iterator[Executor]:
        try:
            client = Client(f"tcp://{address}", timeout=PATIENCE_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _unreachable(place, error) from error
        with client:
            # pure=False: a repeated task runs again, Dask does not answer it with an old result.
            yield client.get_executor(pure=False)

    return Workers(open_client, (BrokenExecutor, CancelledError, KilledWorker, CommClosedError))


def _ray(place: str) -> Workers:
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _lacking(place) from error

    class Remote(Executor):
        """An executor that runs its tasks on Ray."""

        def submit(self, task: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
            """Submit a task."""
            found: Future[Any] = ray.remote(task).remote(*given, **named).future()
            return found

    @contextmanager
    def open_client() -> Iterator[Executor]:
        try:
            ray.init(place, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise _unreachable(place, error) from error
        try:
            yield Remote()
        finally:
            ray.shutdown()

    of = ray.exceptions
    lost = (of.WorkerCrashedError, of.NodeDiedError, of.ObjectLostError)
    return Workers(open_client, (*lost, ConnectionError, CancelledError))


def _lacking(place: str) -> ConfigError:
    return missing_extra(f"--on {place}", place.partition(":")[0])


def _unreachable(place: str, error: Exception) -> UpstreamError:
    reason = " ".join(str(error).split())
    return UpstreamError(f"{place} cannot be reached: {reason}: start it, or name another")

"""A stand-in for Ray, an extra too large to install for one test: as much of it as a sweep uses.

`init` refuses every place but CLUSTER, as Ray does where nobody listens; nodes die as often as told.
"""

from collections.abc import Callable
from concurrent.futures import Future
from types import ModuleType, SimpleNamespace
from typing import Any

CLUSTER = "ray://127.0.0.1:10001"


class WorkerCrashedError(Exception):
    """A worker's process ended."""


class NodeDiedError(Exception):
    """A machine is gone."""


class ObjectLostError(Exception):
    """A result is gone."""


class Ref:
    """A reference to a result to come."""

    def __init__(self, found: Future[Any]) -> None:
        self._found = found

    def future(self) -> Future[Any]:
        return self._found


def ray_module(deaths: int = 0) -> ModuleType:
    """Make the module `ray`; deaths: how many tasks are lost with their node before one ends."""
    module: Any = ModuleType("ray")
    module.exceptions = SimpleNamespace(
        WorkerCrashedError=WorkerCrashedError, NodeDiedError=NodeDiedError, ObjectLostError=ObjectLostError
    )
    module.opened, module.left = 0, deaths

    def init(place: str, *, log_to_driver: bool) -> None:
        if place != CLUSTER or log_to_driver:
            message = "nobody\n listens"
            raise ConnectionError(message)
        module.opened += 1

    def shutdown() -> None:
        module.opened -= 1

    def remote(task: Callable[..., Any]) -> SimpleNamespace:
        def send(*given: Any, **named: Any) -> Ref:
            found: Future[Any] = Future()
            if module.left:
                module.left -= 1
                found.set_exception(NodeDiedError())
            else:
                found.set_result(task(*given, **named))
            return Ref(found)

        return SimpleNamespace(remote=send)

    module.init, module.shutdown, module.remote = init, shutdown, remote
    return module

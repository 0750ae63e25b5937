"""The ring of keys: replaced under a running daemon, tried in order, and never told."""

import os
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from bot.adapters.clock import SystemClock
from bot.adapters.http.client import HttpClient, Limits, Waiting
from bot.adapters.tokenmetrics.fields import read_answer
from bot.adapters.tokenmetrics.provider import KeyHeader
from bot.app.settings.config import Config, load_config, resolve_keys
from bot.domain.errors import AccessError, ConfigError

OLD, NEW, THIRD = (f"tm-a-key-of-some-length-{number}" for number in range(3))
CONFIG = """
[source]
key_file = "my.key"
{more}

[[run]]
name = "one"
strategy = "one"
cash = 1
schedule = "* * * * *"
"""
GOOD = b'{"success": true, "data": []}'
PLAN = b'{"message": "You are not authorized to access this endpoint with your current plan."}'


def keys_in(place: Path, *keys: str) -> None:
    """Write the key file, as an editor does: another file under the same name."""
    fresh = place / "fresh"
    fresh.write_text("\n".join(keys) + "\n")
    fresh.chmod(0o600)
    os.utime(fresh, ns=(len(keys) * 10**9, len(keys) * 10**9))
    fresh.rename(place / "my.key")


def config_in(place: Path, more: str = "") -> Config:
    """Write and read a configuration."""
    (place / "config.toml").write_text(CONFIG.format(more=more))
    return load_config(place / "config.toml", {})


class Api:
    """An API that takes one key."""

    def __init__(self, key: str, refusal: bytes = b'{"message": "bad key"}') -> None:
        """Take the key, and the words for another."""
        self.key, self.refusal, self.seen = key, refusal, list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.seen.append(request.headers["x-api-key"])
        right = self.seen[-1] == self.key
        status, body = (200, GOOD) if right else (401, self.refusal)
        return httpx.Response(status, stream=httpx.ByteStream(body))


def client(place: Path, api: Api) -> HttpClient:
    """Make a client with the keys of a configuration."""
    header = KeyHeader(resolve_keys(config_in(place), {}))
    waiting = Waiting(sleep=lambda _: None)
    transport = httpx.MockTransport(api)
    url = "http://localhost/v2"
    return HttpClient(url, header, clock=SystemClock(), waiting=waiting, read=read_answer, transport=transport)


def test_a_replaced_key_is_used_by_the_next_request(tmp_path: Path) -> None:
    """S23: a key file that is replaced under the daemon is read again, without a restart."""
    keys_in(tmp_path, OLD)
    api = Api(NEW)
    asked = client(tmp_path, api)
    with pytest.raises(AccessError):
        asked.get("/price")
    keys_in(tmp_path, NEW, THIRD)
    assert asked.get("/price").status == 200
    assert api.seen[-1] == NEW


def test_the_first_key_that_works_is_used(tmp_path: Path) -> None:
    """S30: keys are tried in the order of the file, and the one that works is used from then on."""
    keys_in(tmp_path, OLD, NEW, THIRD)
    api = Api(NEW)
    asked = client(tmp_path, api)
    for _ in range(2):
        assert asked.get("/price").status == 200
    assert api.seen == [OLD, NEW, NEW]


def test_a_plan_that_lacks_a_feed_refuses_no_key(tmp_path: Path) -> None:
    """A 401 about the plan is final: the next key is not spent on it."""
    keys_in(tmp_path, OLD, NEW)
    api = Api("another", PLAN)
    with pytest.raises(AccessError):
        client(tmp_path, api).get("/price")
    assert api.seen == [OLD]


def test_a_key_file_that_became_unreadable_keeps_the_keys(tmp_path: Path) -> None:
    """A file that is half written, or open to others, changes nothing until it can be read."""
    keys_in(tmp_path, OLD)
    ring = resolve_keys(config_in(tmp_path), {})
    (tmp_path / "my.key").write_text("x")
    assert ring.current == OLD
    keys_in(tmp_path, NEW, OLD)
    assert (ring.current, ring.all, repr(ring)) == (NEW, (OLD, NEW), "***")


@pytest.mark.parametrize("key", ["a", "fifteen-letters"])
def test_a_short_key_is_refused(tmp_path: Path, key: str) -> None:
    """L12: a key that would mask ordinary words in the log is refused, and not repeated."""
    keys_in(tmp_path, OLD, key)
    with pytest.raises(AccessError, match="fewer than 16 characters"):
        resolve_keys(config_in(tmp_path), {})


@pytest.mark.parametrize("url", ["http://api.tokenmetrics.com/v2", "http://10.0.0.1/v2", "http://127.evil.test/v2"])
def test_a_key_goes_nowhere_in_the_clear(tmp_path: Path, url: str) -> None:
    """Plain http is for this machine alone."""
    with pytest.raises(ConfigError, match="in the clear"):
        config_in(tmp_path, f'base_url = "{url}"')
    assert config_in(tmp_path, 'base_url = "http://[::1]:8765/v2"').source.base_url.startswith("http://[")


def test_requests_go_through_the_proxy_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """S28: source.proxy is used, and the proxies of the environment are not."""
    seen: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(GOOD)))
            self.end_headers()
            self.wfile.write(GOOD)

        def log_message(self, *_given: object) -> None:
            pass

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        limits = Limits(proxy=f"http://127.0.0.1:{proxy.server_port}", attempts=1)
        with closing(HttpClient("http://api.invalid/v2", {}, clock=SystemClock(), limits=limits)) as asked:
            assert asked.get("/price").body == GOOD
        proxy.shutdown()
    assert seen == ["http://api.invalid/v2/price"]

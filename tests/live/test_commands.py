"""The commands over a real HTTP provider on loopback: cycles, answers, and one clear line for whatever is wrong."""

import http.server
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.app.settings.shipped import describe_strategy, shipped_strategies, starter_strategy
from bot.simulator.server import SimulatorServer
from tests.live.conftest import KEY, Command


def rows(home: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask the ledger with plain SQL."""
    with closing(sqlite3.connect(home / "tidemark.db")) as connection:
        return connection.execute(statement).fetchall()


def test_a_cycle_fills_the_ledger_and_every_view_of_it(home: Path, bot: Command) -> None:
    """One cycle over HTTP: answers recorded, candidates judged, and every reading command answers, as text and JSON."""
    code, out, _ = bot("once")
    assert code == 0
    assert "committed" in out
    candidates, gates, calls = (
        rows(home, f"select count(*) from {view}")[0][0] for view in ("v_decisions", "v_gates", "v_api_calls")
    )
    assert candidates > 0
    assert gates > candidates
    assert calls > 5
    symbol = str(rows(home, "select symbol from v_decisions order by symbol")[0][0])
    for command in ("status", "trades", "positions", "orders", "equity"):
        assert bot(command)[0] == 0
        answer = json.loads(bot(command, "--json")[1])
        assert isinstance(answer, list)
    code, told, _ = bot("why", symbol)
    assert code == 0
    assert "must be" in told
    answer = json.loads(bot("why", symbol, "--json", "--run", "levels_long")[1])
    asked = rows(home, f"select gate, passed from v_gates where symbol = '{symbol}' order by number")
    assert [(gate["gate"], gate["passed"]) for gate in answer["gates"]] == asked
    assert bot("verify")[0] == 0
    assert json.loads(bot("verify", "--json")[1]) == {"violations": []}


def test_the_second_cycle_of_a_slot_commits_nothing_and_says_so(home: Path, bot: Command) -> None:
    """`bot once` twice for one slot: the second leaves every table as it was."""
    bot("once")
    slot = str(rows(home, "select slot from v_cycles")[0][0])
    before = rows(home, "select count(*) from v_orders"), rows(home, "select count(*) from v_cycles")
    code, out, _ = bot("once", "--at", slot)
    assert code == 0
    assert "nothing to do" in out
    assert (rows(home, "select count(*) from v_orders"), rows(home, "select count(*) from v_cycles")) == before


def test_a_dry_run_writes_nothing(home: Path, bot: Command) -> None:
    """The cycle is told, and there is no ledger afterwards; with one, it does not change."""
    code, out, _ = bot("once", "--dry-run")
    assert code == 0
    assert "nothing was written" in out
    assert not (home / "tidemark.db").exists()
    bot("once", "--at", "2020-01-01T00:00Z")
    before = (home / "tidemark.db").read_bytes()
    assert bot("once", "--dry-run")[0] == 0
    assert (home / "tidemark.db").read_bytes() == before


def test_check_validates_everything_and_prices_the_schedule(home: Path, bot: Command) -> None:
    """Tokens resolved to the main coins, the next slot, and credits a day and a month."""
    code, out, err = bot("check")
    assert code == 0
    assert "BTC 3375" in out
    assert "credits a day" in out
    answer = json.loads(bot("check", "--json")[1])
    assert answer["runs"][0]["tokens"]["ETH"] == 3306
    assert answer["credits_per_month"] == 31 * answer["credits_per_day"]
    assert err == ""
    config = home / "config.toml"
    config.write_text(config.read_text().replace("credits_per_month = 20000", "credits_per_month = 10"))
    assert "more credits than the plan" in bot("check")[2]


def test_check_tells_when_runs_are_derived_again(home: Path, bot: Command) -> None:
    """The nightly parity with its window and its next instant, or that there is none; one that never comes is 78."""
    assert "parity: derived again at 30 3 * * * (UTC), next " in bot("check")[1]
    assert "; the first time 24 hours" in bot("check")[1]
    answer = json.loads(bot("check", "--json")[1])
    assert (answer["parity"], answer["next_parity"][10:17]) == ("30 3 * * *", "T03:30:")
    config = home / "config.toml"
    text = config.read_text()
    config.write_text(text.replace('parity = "30 3 * * *"', ""))
    assert "parity: not checked by the daemon" in bot("check")[1]
    assert json.loads(bot("check", "--json")[1])["next_parity"] is None
    for wrong in ("30 3 31 2 *", "99 3 * * *"):
        config.write_text(text.replace("30 3 * * *", wrong))
        assert bot("check")[0] == 78


def test_init_writes_once_and_overwrites_nothing(tmp_path: Path, bot: Command) -> None:
    """A configuration and a strategy that load; the second time it refuses."""
    code, out, _ = bot("init", str(tmp_path / "new"))
    assert code == 0
    assert (tmp_path / "new" / "strategies" / "levels_long.toml").exists()
    assert "wrote" in out
    code, _, err = bot("init", str(tmp_path / "new"))
    assert code == 78
    assert err.count("\n") == 1
    assert "config.toml exists" in err
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert bot("init", str(blocked))[0] == 74


@pytest.mark.parametrize("name", list(shipped_strategies()))
def test_init_begins_with_any_shipped_strategy(home: Path, bot: Command, provider: SimulatorServer, name: str) -> None:
    """U7: its file is written to the byte, the configuration names it, and `bot check` is content with both.

    One that trades every token of a history has to name its tokens before a daemon follows it: the check says so.
    """
    place = home / "begun"
    assert bot("init", str(place), "--strategy", name)[0] == 0
    assert (place / "strategies" / f"{name}.toml").read_text() == shipped_strategies()[name].read_text()
    config = place / "config.toml"
    config.write_text(config.read_text().replace("https://api.tokenmetrics.com/v2", provider.base_url))
    (home / "tokenmetrics.key").rename(place / "tokenmetrics.key")
    code, out, err = bot("check", "--config", str(config), "--json")
    if name == "levels_derived":
        assert (code, out) == (78, "")
        assert f"strategies/{name}.toml" in err
        assert "universe" in err
        return
    assert (code, [run["strategy"] for run in json.loads(out)["runs"]]) == (0, [name]), err


def test_init_lists_what_is_shipped_and_refuses_what_is_not(tmp_path: Path, bot: Command) -> None:
    """U7: a line for each strategy, its file's own first; an unknown name is 78 with the nearest, nothing written."""
    code, out, _ = bot("init", "--list")
    assert (code, len(out.splitlines())) == (0, 1 + len(shipped_strategies()))
    for name, path in shipped_strategies().items():
        assert f"{path.read_text().splitlines()[0].removeprefix('# ')}\n" in out
        assert name in out
    code, _, err = bot("init", str(tmp_path / "new"), "--strategy", "bracket_fixd")
    assert (code, err) == (78, "bot: no strategy bracket_fixd is shipped; did you mean `bracket_fixed`?\n")
    assert not (tmp_path / "new").exists()
    told = json.loads(bot("init", "--list", "--json")[1])
    assert [row["strategy"] for row in told] == list(shipped_strategies())


def test_the_next_step_names_the_program_as_it_was_called(
    tmp_path: Path, bot: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the shell does not find `bot`, a step that says `bot` could not be typed."""
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/bot"])
    assert bot("init", str(tmp_path))[1].splitlines()[-1].endswith("then `.venv/bin/bot check`")


def test_a_strategy_of_ones_own_in_a_checkout_is_not_described_by_its_first_key(tmp_path: Path) -> None:
    """Its first line is no comment that says what it is, so it is called one's own."""
    (tmp_path / "mine.toml").write_text("[strategy]\nname = 'mine'\n")
    assert describe_strategy(tmp_path / "mine.toml").startswith("your own; ")


@pytest.mark.parametrize("text", [starter_strategy(), "# mine\n"])
def test_init_keeps_a_strategy_that_is_there(tmp_path: Path, bot: Command, text: str) -> None:
    """U1: the shipped strategy of a clone, or one's own under its name, stays to the byte; config.toml is written."""
    strategy = tmp_path / "strategies" / "levels_long.toml"
    strategy.parent.mkdir()
    strategy.write_text(text)
    code, out, err = bot("init", str(tmp_path))
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [f"kept {strategy}", f"wrote {tmp_path / 'config.toml'}"]
    assert strategy.read_text() == text


def test_init_touches_nothing_beside_a_configuration(tmp_path: Path, bot: Command) -> None:
    """U1: a config.toml that is there is refused with the mend, and no strategy is written either."""
    (tmp_path / "config.toml").write_text("# mine\n")
    code, out, err = bot("init", str(tmp_path))
    assert (code, out) == (78, "")
    assert "move it away or choose another folder" in err
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
    assert (tmp_path / "config.toml").read_text() == "# mine\n"


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Change a file of the home."""

    def change(home: Path) -> None:
        text = (home / name).read_text()
        assert old in text
        (home / name).write_text(text.replace(old, new))

    return change


def every_token(path: Path) -> None:
    """Ask for every token there is, which is for replays."""
    path.write_text(re.sub(r"universe = \[.*?\n\]", 'universe = "*"', path.read_text(), flags=re.DOTALL))


SYMBOLS = '"BTC", "ETH"'


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda home: (home / "config.toml").unlink(), 78, "bot init"),
        (edit("config.toml", "cash =", "cahs ="), 78, "did you mean"),
        (edit("config.toml", "cash = 10000", 'cash = "lots"'), 78, "cash"),
        (edit("config.toml", "cash = 10000", "cash = 0"), 78, "cash"),
        (edit("config.toml", 'strategy = "levels_long"', 'strategy = "levels_lang"'), 78, "levels_long"),
        (edit("config.toml", "2 * * * *", "2 * * *"), 78, "schedule"),
        (edit("config.toml", "2 * * * *", "99 * * * *"), 78, "schedule"),
        (
            edit("strategies/levels_long.toml", SYMBOLS, '"BTCC", "ETH"'),
            78,
            "strategies/levels_long.toml: universe: the provider lists no symbol BTCC; did you mean BTC",
        ),
        (
            lambda home: every_token(home / "strategies" / "levels_long.toml"),
            78,
            "strategies/levels_long.toml: universe '*'",
        ),
        (edit("config.toml", "sqlite:///tidemark.db", "mysql://u@h/d"), 78, "config.toml: ledger.url: mysql keeps no"),
        (
            edit("config.toml", "sqlite:///tidemark.db", "postgresql://u@127.0.0.1:9/d"),
            74,
            "config.toml: ledger.url: 127.0.0.1/d cannot be reached: ",
        ),
        (lambda home: (home / "tokenmetrics.key").write_text("tm-wrong-and-long-enough"), 77, "key"),
        (lambda home: (home / "tokenmetrics.key").chmod(0o644), 77, "chmod 600"),
        (edit("config.toml", "tidemark.db", "nowhere/tidemark.db"), 74, "nowhere"),
    ],
)
def test_bad_input_is_one_line_with_its_exit_code(
    home: Path, bot: Command, spoil: Callable[[Path], object], code: int, said: str
) -> None:
    """Each wrong thing ends `bot once` with the documented code and one line that names it, nothing half-written."""
    spoil(home)
    ended, out, err = bot("once")
    assert ended == code, err
    assert said in err
    assert err.count("\n") == 1, err
    assert out == ""
    if (home / "tidemark.db").exists():
        assert rows(home, "select count(*) from v_cycles") == [(0,)]


@contextmanager
def page() -> Iterator[str]:
    """Serve an HTML page where JSON is expected."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>down for maintenance</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v2"
    server.shutdown()
    server.server_close()


def test_html_instead_of_json_is_upstream_trouble(home: Path, bot: Command, provider: SimulatorServer) -> None:
    """A page where JSON should be: 69, one line."""
    with page() as url:
        edit("config.toml", provider.base_url, url)(home)
        code, _, err = bot("once")
    assert (code, err.count("\n")) == (69, 1)


def test_a_server_that_is_down_is_upstream_trouble(home: Path, bot: Command, provider: SimulatorServer) -> None:
    """Nobody listens: 69, one line."""
    edit("config.toml", provider.base_url, "http://127.0.0.1:9/v2")(home)
    code, _, err = bot("once")
    assert (code, err.count("\n")) == (69, 1)
    assert "GET /v2/tokens at 127.0.0.1:9: ConnectError; check base_url" in err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("status", "--ledger", "mysql://u@h/d"), "--ledger"),
        (("replay", "--strategy", "levels_long", "--recorded", "mysql://u@h/d"), "--recorded"),
    ],
)
def test_an_option_that_names_no_ledger_is_named(
    home: Path, bot: Command, arguments: tuple[str, ...], option: str
) -> None:
    """U13: a URL given on the command line is refused under its option, not under the file's key."""
    assert home
    code, _, err = bot(*arguments)
    assert (code, err.startswith(f"bot: {option}: mysql keeps no ledger: use sqlite:///PATH")) == (78, True)


def test_a_strategy_of_another_name_inside_is_pointed_out(home: Path, bot: Command) -> None:
    """U13: runs are named after the name inside the file, and `bot check` says where it is not the file's."""
    assert "look:" not in bot("check")[2]
    edit("strategies/levels_long.toml", 'name = "levels_long"', 'name = "other"')(home)
    code, _, err = bot("check")
    assert (code, err.count("\n")) == (0, 1)
    assert 'strategies/levels_long.toml has strategy.name = "other"' in err


def test_reading_without_a_ledger_or_a_known_symbol(home: Path, bot: Command) -> None:
    """No ledger yet and an unknown symbol are 78 with the mend; an unknown run is refused."""
    assert bot("status")[0] == 78
    assert bot("once")[0] == 0
    code, _, err = bot("why", "BTCX")
    assert code == 78
    assert "BTC" in err
    assert bot("once", "--run", "other")[0] == 78
    assert bot("once", "--at", "2999-01-01")[0] == 2


def test_a_broken_ledger_fails_its_verification(home: Path, bot: Command) -> None:
    """A trigger dropped, an amount changed, a fill deleted: 65, and each is named."""
    assert bot("once")[0] == 0
    fill = rows(home, "select fill_id from fills order by fill_id")[0][0]
    with closing(sqlite3.connect(home / "tidemark.db")) as connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            if "posting" in name or "fills" in name:
                connection.execute(f"drop trigger {name}")
                dropped = name
        connection.execute("update postings set amount = amount + 1 where account = 'cash' and amount < 0")
        connection.execute("delete from fills where fill_id = ?", (fill,))
        connection.commit()
    code, out, _ = bot("verify")
    assert code == 65
    for named in (dropped, "postings", "fills"):
        assert named in out


def test_upgrade_creates_a_ledger_and_says_so(home: Path, bot: Command) -> None:
    """`bot db upgrade` makes the ledger, and again it has nothing to do."""
    assert bot("db", "upgrade")[0] == 0
    assert (home / "tidemark.db").exists()
    assert bot("db", "upgrade")[0] == 0


def test_the_key_is_nowhere_in_the_ledger(home: Path, bot: Command) -> None:
    """After a cycle neither the database nor its log holds the key."""
    assert bot("once")[0] == 0
    for path in home.glob("tidemark.db*"):
        assert KEY.encode() not in path.read_bytes()


def test_a_held_token_that_left_the_universe_is_still_priced_after_a_restart(home: Path, bot: Command) -> None:
    """Drop a held token from the strategy: the next process still asks for it, and shows its position marked."""
    strategy = home / "strategies" / "levels_long.toml"
    # Whatever is bullish is bought, however long ago it turned, so that something is held on any day.
    text = re.sub(r"\[gates\].*?\n\n", "[entry]\nage_max_hours = 2000\n\n", strategy.read_text(), flags=re.DOTALL)
    strategy.write_text(text)
    assert bot("once")[0] == 0
    held = [str(symbol) for (symbol,) in rows(home, "select symbol from v_open_positions order by symbol")]
    kept = next(symbol for symbol in ("BTC", "ETH", "SOL") if symbol != held[0])
    strategy.write_text(re.sub(r"universe = \[.*?\n\]", f'universe = ["{kept}"]', text, flags=re.DOTALL))
    token = rows(home, f"select token_id from v_open_positions where symbol = '{held[0]}'")[0][0]
    assert bot("once", "--dry-run")[0] == 0
    config = home / "config.toml"
    config.write_text(config.read_text().replace("2 * * * *", "* * * * *"))
    assert bot("once")[0] == 0
    asked = rows(home, "select query from api_calls where endpoint = 'price' order by at desc limit 1")[0][0]
    assert str(token) in str(asked)

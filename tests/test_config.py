from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config import Settings, load
from reconciler.errors import ConfigError


def settings(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (tmp_path / "reconciler.toml").write_text(text)
    return load(tmp_path, environ or {})


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    found = load(tmp_path, {})

    assert (found.root, found.inventory, found.schema) == (tmp_path, tmp_path / "inventory", None)
    assert (found.api.rate_per_second, found.api.burst, found.guard.max_changed_pct, found.guard.floor) == (
        5,
        10,
        30,
        10,
    )


def test_the_nearest_file_above_is_used_and_paths_start_from_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.reconciler]\ninventory = "far"\n')
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "reconciler.toml").write_text('inventory = "near"\n')
    (tmp_path / "site" / "deep").mkdir()

    assert load(tmp_path / "site" / "deep", {}).inventory == tmp_path / "site" / "near"
    assert load(tmp_path, {}).inventory == tmp_path / "far"


def test_a_pyproject_without_our_table_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")

    assert load(tmp_path, {}).file is None


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        'inventory = "a"\n[api]\nbase_url = "https://a.example.com"\n',
        {"RECONCILER_INVENTORY": "b", "RECONCILER_BASE_URL": "https://b.example.com/api"},
    )

    assert (found.inventory, found.api.base_url) == (tmp_path / "b", "https://b.example.com/api")


def test_a_schema_in_its_usual_place_is_found(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "device.schema.json").write_text("{}")

    assert load(tmp_path, {}).schema == tmp_path / "schemas" / "device.schema.json"


def test_nested_is_one_word_or_a_word_for_each_field(tmp_path: Path) -> None:
    every = settings(tmp_path, '[api]\nnested = "merge"\n').api
    some = settings(tmp_path, '[api.nested]\nconfiguration = "merge"\n').api

    assert (every.merges("x"), some.merges("configuration"), some.merges("x")) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inventroy = 'x'", 'unknown key "inventroy"; did you mean "inventory"?'),
        ("[api]\nratepersecond = 1", 'unknown key "api.ratepersecond"; did you mean "rate_per_second"?'),
        ("[gaurd]\nfloor = 1", 'unknown key "gaurd"; did you mean "guard"?'),
        ("zzz = 1", 'unknown key "zzz"; known here: inventory'),
        ("inventory = 3", "inventory is 3; expected a path"),
        ("api = 'x'", "api is 'x'; expected a table"),
        ("[api]\nbody = 'xml'", 'api.body is \'xml\'; expected one of "plain", "data-string"'),
        ("[api]\nburst = 2.5", "api.burst is 2.5; expected a whole number"),
        ("[api]\nburst = true", "api.burst is True; expected a whole number"),
        ("[api]\nrate_per_second = 0", "api.rate_per_second is 0.0; expected"),
        (f"[api]\nrate_per_second = 1{'0' * 400}", "expected a number below"),
        ("[api]\nrate_per_second = nan", "api.rate_per_second is nan; expected"),
        ("[api]\nlinger = -1", "api.linger is -1.0; expected 0 to 86400"),
        ("[api]\nbackoff_ceiling = inf", "api.backoff_ceiling is inf; expected 0 to 86400"),
        ("[api]\nretry_after_max = -0.1", "api.retry_after_max is -0.1; expected 0 to 86400"),
        ("[api]\nconnect_timeout = 0", "api.connect_timeout is 0.0; expected 0.001 to"),
        ("[api]\nmax_answer_bytes = 10", "api.max_answer_bytes is 10; expected 1024 to"),
        ("[api]\nnested = 'mrege'", "api.nested is 'mrege'; expected"),
        ("[api]\nbase_url = 'http://control.example.com'", "clear text"),
        ("[api]\nbase_url = 'ftp://x'", "expected https://HOST/PATH"),
        ("[api]\nbase_url = 'https://u:p@x/'", "must not hold a user"),
        ("[api]\nbase_url = 'https://x:port/'", "Port could not be cast"),
        ("[api]\nroute = 'DELETE /x/{serial_number}/'", "api.route"),
        ("[guard]\nmax_changed_pct = 130", "guard.max_changed_pct is 130.0; expected 0 to 100"),
        ("[guard]\nprotected = 'status'", "guard.protected is 'status'; expected a list of strings"),
        ("[guard]\nmax_fan_out = -1", "guard.max_fan_out is -1; expected 0 to"),
        ("[guard]\nmax_adopted = 1.5", "guard.max_adopted is 1.5; expected a whole number"),
        ("[guard]\nfreeze = 'fridays'", "guard.freeze is 'fridays'; expected tables, each under [[guard.freeze]]"),
        ("[[guard.freeze]]\nday = ['fri']", 'unknown key "guard.freeze.day"; did you mean "days"?'),
        ("[[guard.freeze]]\ndays = ['friday']", "guard.freeze.days has 'friday' (did you mean fri?)"),
        ("[[guard.freeze]]\ndays = []", "guard.freeze.days is empty; leave it out"),
        ("[[guard.freeze]]\nhours = '6-18'", "guard.freeze.hours is '6-18'; expected \"HH:MM-HH:MM\""),
        ("[[guard.freeze]]\nhours = '22:00-24:30'", "no day is longer than 24:00"),
        ("[[guard.freeze]]\nhours = '06:00-06:00'", "leave it out for the whole day"),
        (
            "[[guard.freeze]]\ntimezone = 'Europe/Pari'",
            "'Europe/Pari', which is no time zone; did you mean Europe/Paris?",
        ),
        ("[[guard.freeze]]\ntimezone = 'new york'", "did you mean America/New_York?"),
        ("[[guard.freeze]]\ntimezone = '/etc/passwd'", "no time zone"),
        ("[[guard.freeze]]\ntimezone = ''", "no time zone"),
        ("[lifecycle]\ntransitions = {active = 'retired'}", "expected a table of lists of strings"),
        ("[lifecycle]\nfield = 'a..b'", "lifecycle.field is 'a..b'; expected a field"),
        ("[on_removed]\ndevice = 'wipe'", 'on_removed.device is \'wipe\'; expected one of "release", "decommission"'),
        ("[on_removed]\npatch = {}", "on_removed.patch is empty"),
        ("[on_removed.patch]\nserial_number = 'x'", "on_removed.patch.serial_number is never sent"),
        ("[on_removed.patch]\noperation = 'reboot'", "on_removed.patch.operation is never sent"),
        ("[on_removed.patch]\nx = [{when = 2026-01-01}]", "on_removed.patch.x holds datetime.date(2026, 1, 1)"),
        ("[on_removed.patch]\nx = inf", "on_removed.patch.x holds inf, which JSON cannot"),
        ("[on_removed.patch]\nx = 9007199254740992", "on_removed.patch.x holds 9007199254740992"),
        ("a = [", "not valid TOML"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named_with_the_way_out(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)

    assert says in str(caught.value)
    assert str(tmp_path / "reconciler.toml") in str(caught.value)


def test_a_freeze_window_is_every_day_and_all_day_in_utc_unless_it_says_otherwise(tmp_path: Path) -> None:
    [always] = settings(tmp_path, "[[guard.freeze]]\n").guard.freeze
    [nights] = settings(
        tmp_path,
        """
        [[guard.freeze]]
        days = ["sat", "fri"]
        hours = "18:00-06:00"
        timezone = "Europe/Paris"
        reason = "the shop is full"
        """,
    ).guard.freeze

    assert (always.days, always.start, always.end, always.label) == (frozenset(range(7)), 0, 1440, "every day UTC")
    assert (nights.days, nights.start, nights.end) == (frozenset({4, 5}), 1080, 360)
    assert (nights.label, nights.reason) == ("fri, sat 18:00-06:00 Europe/Paris", "the shop is full")


KNOWN = ["RECONCILER_INVENTORY", "RECONCILER_SCHEMA", "RECONCILER_STATE"]


@given(
    st.dictionaries(
        st.sampled_from(["", "GUARD_", "GUARD__", "LIFECYCLE_", "ON_REMOVED_", "APPLY_"]).flatmap(
            lambda table: st.sampled_from(
                [
                    "MAX_CHANGED_PCT",
                    "MAX_CHANGED",
                    "FLOOR",
                    "PROTECTED",
                    "FREEZE",
                    "ALLOW",
                    "GUARD",
                    "TRANSITIONS",
                    "DEVICE",
                ]
            ).map(lambda key: f"RECONCILER_{table}{key}")
        )
        | st.sampled_from(KNOWN),
        st.sampled_from(["100", "[]", "*", "release"]),
    )
)
def test_no_variable_of_the_environment_raises_a_guard(environ: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        text = '[guard]\nmax_changed = 3\n[lifecycle]\nfrozen = ["retired"]\n[on_removed]\nfield = "error"\n'
        (Path(folder) / "reconciler.toml").write_text(text)
        alone, beside = load(Path(folder), {}), load(Path(folder), environ)

    assert alone.guard.max_changed == 3
    assert (beside.guard, beside.lifecycle, beside.on_removed) == (alone.guard, alone.lifecycle, alone.on_removed)


def test_plain_http_is_for_this_machine_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        url = f"http://{host}:8080/api/v1"
        assert settings(tmp_path, f'[api]\nbase_url = "{url}"\n').api.base_url == url


def test_a_pyproject_that_only_mentions_us_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('inventory = "ours"\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "pyproject.toml").write_text("# see tool.reconciler\n[tool.other]\n")

    assert load(tmp_path / "deep", {}).inventory == tmp_path / "ours"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has a file that nobody can read")
def test_a_pyproject_above_that_cannot_be_read_may_hold_the_settings(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").symlink_to("/proc/self/mem")
    (tmp_path / "site").mkdir()

    with pytest.raises(ConfigError) as error:
        load(tmp_path / "site", {})
    assert str(error.value) == (
        f"{tmp_path}/pyproject.toml: cannot be read: Input/output error; it may hold the settings:"
        " make it readable, or name the file that does with --config FILE"
    )

    (tmp_path / "site" / "reconciler.toml").touch()
    assert load(tmp_path / "site", {}).file == tmp_path / "site" / "reconciler.toml"


def test_a_bad_variable_is_blamed_on_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RECONCILER_BASE_URL: base_url is"):
        settings(tmp_path, "", {"RECONCILER_BASE_URL": "nonsense"})


def test_the_cache_lies_where_the_environment_says_and_never_in_the_repository(tmp_path: Path) -> None:
    home, checkout = tmp_path / "home", tmp_path / "checkout"
    root = checkout / "site"
    root.mkdir(parents=True)
    (checkout / ".git").mkdir()
    (tmp_path / "link").symlink_to(checkout)

    assert load(root, {"HOME": f"{home}"}).cache == home / ".cache" / "reconciler"
    assert load(root, {"HOME": f"{home}", "XDG_CACHE_HOME": "/elsewhere"}).cache == Path("/elsewhere/reconciler")
    assert load(root, {"HOME": f"{home}", "RECONCILER_CACHE": "/given"}).cache == Path("/given")
    assert load(root, {"HOME": f"{checkout}"}).cache is None
    assert load(root, {"XDG_CACHE_HOME": f"{tmp_path}/link/x"}).cache is None
    for inside in (f"{root}/c", f"{checkout}/c", f"{tmp_path}/link/c", f"{tmp_path}/x/../checkout"):
        with pytest.raises(ConfigError, match="inside of the repository"):
            load(root, {"RECONCILER_CACHE": inside})
    for relative in ("~/c", "c", "../c", "/\0"):
        with pytest.raises(ConfigError, match="expected an absolute path"):
            load(root, {"RECONCILER_CACHE": relative})
    with pytest.raises(ConfigError, match='unknown key "cache"'):
        settings(root, 'cache = "/given"')

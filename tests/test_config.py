from pathlib import Path

import pytest

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
        ("[on_removed]\ndevice = 'wipe'", "on_removed.device is 'wipe'; expected one of \"release\""),
        ("a = [", "not valid TOML"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named_with_the_way_out(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)

    assert says in str(caught.value)
    assert str(tmp_path / "reconciler.toml") in str(caught.value)


def test_plain_http_is_for_this_machine_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        url = f"http://{host}:8080/api/v1"
        assert settings(tmp_path, f'[api]\nbase_url = "{url}"\n').api.base_url == url


def test_a_pyproject_that_only_mentions_us_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('inventory = "ours"\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "pyproject.toml").write_text("# see tool.reconciler\n[tool.other]\n")

    assert load(tmp_path / "deep", {}).inventory == tmp_path / "ours"


def test_a_bad_variable_is_blamed_on_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RECONCILER_BASE_URL: base_url is"):
        settings(tmp_path, "", {"RECONCILER_BASE_URL": "nonsense"})

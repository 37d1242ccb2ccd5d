"""Every value that is not clear is refused by the name of its variable, because a misread setting is noticed late."""

import ast
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from musicrec.environment import Environment
from musicrec.processes import ROOT

pytestmark = pytest.mark.one_stack
NOT_WHOLE = ["1e3", "10%", "5,0", "5.0", "1_000", "0x10", "5 0", "ten", "", " ", "٣", "nan", "inf", "--5", "5m", "true"]
NOT_DECIMAL = [
    "1e3",
    "1e-3",
    "10%",
    "0,2",
    "1_000.5",
    "0x1p3",
    "0.1.2",
    "$",
    "ten",
    "",
    "٣",
    "nan",
    "inf",
    "-inf",
    "1.5s",
]
NOT_BOOL = ["ture", "flase", "2", "-1", "", "none", "t", "enabled", "1.0", "yes!"]


def settings_of_type(reader: str) -> list[str]:
    """Return the names of the variables that settings.py reads by `env.<reader>`."""
    names = []
    for node in ast.walk(ast.parse((ROOT / "musicrec/settings.py").read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="env"), attr=attr), args=[ast.Constant(name), *_]):
                names += [str(name)] if attr == reader else []
    assert names
    return names


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    def read_value(reader: str, value: str, default: Any = 7, **options: Any) -> Any:
        monkeypatch.setenv("MUSICREC_TESTED", value)
        return getattr(Environment(), reader)("MUSICREC_TESTED", default, **options)

    return read_value


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        ("int", "1000", 1000),
        ("int", " -5 ", -5),
        ("int", "+5", 5),
        ("float", "0.2", 0.2),
        ("float", ".5", 0.5),
        ("float", "-3", -3.0),
        ("float", " 600. ", 600.0),
        ("bool", "TRUE", True),
        ("bool", "on ", True),
        ("bool", "0", False),
        ("bool", "No", False),
        ("list", "127.0.0.1, music.example.org ,", ["127.0.0.1", "music.example.org"]),
        ("list", "", []),
        ("url", " redis://h:1/0", "redis://h:1/0"),
        ("url", "", ""),
    ],
)
def test_a_clear_value_is_read(read: Any, reader: str, text: str, value: Any) -> None:
    result = read(reader, text)
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize("reader", ["int", "float", "bool", "list", "folder", "url", "db_url"])
def test_a_variable_that_is_not_set_is_its_default(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSICREC_TESTED", raising=False)
    default = "sqlite:////tmp/x" if reader == "db_url" else "the default"
    value = getattr(Environment(), reader)("MUSICREC_TESTED", default)
    assert value["NAME"] == "/tmp/x" if reader == "db_url" else value == default


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        *(("int", text) for text in NOT_WHOLE),
        *(("float", text) for text in NOT_DECIMAL),
        *(("bool", text) for text in NOT_BOOL),
        ("int", "9" * 30),
        ("folder", ""),
        ("url", "localhost:6379"),
        ("url", "redis//localhost"),
        ("url", "redis://"),
        ("db_url", ""),
        ("db_url", "localhost"),
        ("db_url", "mysql://u:p@h/n"),
        ("db_url", "postgres://u:p@h:5432"),
        ("db_url", "postgres://u:p@h:54x2/n"),
        ("db_url", "sqlite://music.sqlite3"),  # this is a database in memory, which is lost at once
        ("db_url", "sqlite://:memory:"),
    ],
)
def test_any_other_value_is_refused_by_the_name_of_the_variable(read: Any, reader: str, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^MUSICREC_TESTED "):
        read(reader, text)


def test_the_message_states_what_is_expected(read: Any) -> None:
    for reader, text, message in [
        ("int", "1e3", "MUSICREC_TESTED is '1e3'; it must be a whole number in digits, such as 7"),
        ("float", "10%", "MUSICREC_TESTED is '10%'; it must be a number in digits with a decimal point, such as 7"),
        ("bool", "ture", "MUSICREC_TESTED is 'ture'; it must be one of 1, true, on, yes, y, ok, or one of 0, false, "),
    ]:
        with pytest.raises(ImproperlyConfigured) as refused:
            read(reader, text)
        assert str(refused.value).startswith(message)
    with pytest.raises(ImproperlyConfigured, match=r"MUSICREC_TESTED is 'loud'; it must be one of INFO, ERROR$"):
        read("choice", "loud", choices=["INFO", "ERROR"])
    assert read("choice", "error", choices=["INFO", "ERROR"]) == "ERROR"
    with pytest.raises(
        ImproperlyConfigured, match=r"MUSICREC_TESTED must be a URL that begins with redis:// or rediss"
    ):
        read("url", "http://h", schemes=["redis", "rediss"])


def test_the_message_never_shows_a_password(read: Any) -> None:
    for reader, text in [("url", "user:hush@h"), ("db_url", "postgres://u:hush/hush@h:5432/n"), ("str", "$hush")]:
        with pytest.raises(ImproperlyConfigured) as refused:
            read(reader, text)
        assert "hush" not in str(refused.value)


def test_a_reference_to_another_variable_is_followed_or_refused(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICREC_OTHER", "12")
    assert read("int", "$MUSICREC_OTHER") == 12
    monkeypatch.setenv("MUSICREC_OTHER", "12 tracks")
    with pytest.raises(ImproperlyConfigured, match="MUSICREC_TESTED is '12 tracks'"):
        read("int", "$MUSICREC_OTHER")
    monkeypatch.delenv("MUSICREC_OTHER")
    with pytest.raises(ImproperlyConfigured, match=r"MUSICREC_TESTED begins with \$"):
        read("int", "$MUSICREC_OTHER")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in settings_of_type("int") for value in ("1e3", "10%", "")),
        *((name, value) for name in settings_of_type("float") for value in ("1e3", "10%", "0,5", "")),
        *((name, value) for name in settings_of_type("bool") for value in ("ture", "")),
        *((name, "") for name in settings_of_type("folder")),
        *((name, "localhost:6379") for name in settings_of_type("url") + settings_of_type("db_url")),
        *((name, "loud") for name in settings_of_type("choice")),
    ],
)
def test_every_setting_refuses_a_value_that_cannot_be_clear(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    path = ROOT / "musicrec/settings.py"
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} "):
        exec(
            compile(path.read_text(), path, "exec"), {"__file__": str(path), "__name__": "musicrec.settings_under_test"}
        )

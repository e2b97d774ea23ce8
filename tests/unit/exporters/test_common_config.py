"""Configuration files: what is read, and the one sentence about what is not."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawserver import Authority

from exporters.config import Common, ConfigError, Secret, Tls, load, split_address
from exporters.outcome import CouldNotCheck
from exporters.strict_yaml import LARGEST, parse
from exporters.webconfig import WebConfig


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "exporter.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_file_becomes_a_configuration(tmp_path: Path) -> None:
    """Durations as Prometheus writes them or in seconds, paths from the file's folder, defaults for the rest."""
    text = "interval: 1m30s\ntimeout: 2.5\ntls: {ca_file: ca.pem}\nweb_config: /etc/web.yaml\n"
    found = load(Common, written(tmp_path, text))
    assert (found.interval, found.timeout, found.concurrency) == (90.0, 2.5, 8)
    assert found.tls.ca_file == tmp_path / "ca.pem"
    assert found.web_config == Path("/etc/web.yaml")
    assert load(Common, written(tmp_path, "")) == Common()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("intervall: 3", "key 'intervall' is unknown: did you mean 'interval'?"),
        ("tls: {cafile: x}", "key 'tls.cafile' is unknown: did you mean 'ca_file'?"),
        ("tls: {zzz: x}", "key 'tls.zzz' is unknown: use one of ca_file, cert_file, key_file"),
        ("interval: often", "key 'interval': 'often' is no duration: write 30s, 5m or 1h30m"),
        ("interval: 0", "key 'interval': input should be greater than or equal to 1: mend the value"),
        ("log_level: loud", "key 'log_level': input should be 'debug', 'info', 'warning' or 'error': mend the value"),
        ("listen: nowhere", "key 'listen': 'nowhere' is no address: write HOST:PORT, [IPV6]:PORT or :PORT"),
        ("otlp: {}", "key 'otlp.endpoint' is missing: add it"),
        ("otlp: {endpoint: collector}", "key 'otlp.endpoint': is no URL: write http:// or https://, a host and a path, without ? and #"),
        ("tls: {cert_file: x}", "key 'tls': cert_file and key_file come together"),
        ("- a", "a configuration is a YAML mapping: write keys, each with its value"),
        ("on: 1", ":1: the key 'on' is no text: write it in quotes"),
        ("interval: 1\ninterval: 2", ":2: the key 'interval' is there twice: remove one"),
        ("a: &x 1\nb: *x", ":2: YAML aliases (*name) are not read: write it out"),
        ("a: !!python/name:os.system x", ":1: YAML tags (tag:yaml.org,2002:python/name:os.system) are not read: remove it"),
        ("a: " + "[" * 40, ":1: nested more than 32 levels deep: write it flatter"),
        ("a: b: c", ":1: mapping values are not allowed in this context: mend the line"),
        ("a: 2027-99-99", "is not YAML that can be read (month must be in 1..12): write plain nested keys"),
        (b"\xff\xfe", "is not UTF-8 at byte 0: save it as UTF-8"),
        (b"#" * (LARGEST + 1), f"is larger than {LARGEST} bytes: split it, or remove what is no configuration"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    """File, place, reason, remedy."""
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(Common, file)
    assert str(caught.value).startswith(str(file))
    assert str(caught.value).removeprefix(str(file)).lstrip(": ") == sentence.lstrip(": ")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """And so is a folder."""
    for path in (tmp_path / "nope.yaml", tmp_path):
        with pytest.raises(ConfigError, match=r"cannot be read \(.*\): check the path and its permissions"):
            load(Common, path)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_crash(data: bytes) -> None:
    """They are content or a sentence."""
    try:
        parse(data, "file")
    except ConfigError as error:
        assert str(error).startswith("file")  # noqa: PT017 - both ends are good ones


def test_a_billion_laughs_costs_nothing(tmp_path: Path) -> None:
    """Nothing is expanded before it is refused."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(ConfigError, match="aliases"):
        load(Common, written(tmp_path, "\n".join(lines)))


# ---- secrets ---------------------------------------------------------------------------------


def test_a_secret_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read anew each time, so that a rotated one is used."""
    monkeypatch.setenv("TOKEN", "from env")
    assert Secret(env="TOKEN").read() == "from env"
    file = tmp_path / "token"
    secret = Secret(file=file)
    for value in ("one", "two"):
        file.write_text(f"{value}\n", encoding="utf-8")
        assert secret.read() == value


def test_a_missing_secret_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs it could not be checked."""
    monkeypatch.delenv("TOKEN", raising=False)
    for secret in (Secret(env="TOKEN"), Secret(file=tmp_path / "nope")):
        with pytest.raises(CouldNotCheck) as caught:
            secret.read()
        assert caught.value.reason == "unauthorized"


@pytest.mark.parametrize(
    "value", ["hunter2", "{env: A, file: hunter2}", "{}", "{value: hunter2}", "[hunter2]"]
)
def test_a_secret_is_not_written_into_the_file(tmp_path: Path, value: str) -> None:
    """And the sentence does not repeat it."""
    text = f"otlp: {{endpoint: 'http://x', headers: {{Authorization: {value}}}}}"
    with pytest.raises(ConfigError) as caught:
        load(Common, written(tmp_path, text))
    assert "hunter2" not in str(caught.value)
    assert "otlp.headers.Authorization" in str(caught.value)


def test_a_url_with_a_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    """Credentials have keys of their own."""
    with pytest.raises(ConfigError) as caught:
        load(Common, written(tmp_path, "otlp: {endpoint: 'https://user:hunter2@collector/v1/metrics'}"))
    assert "carries a user" in str(caught.value)
    assert "hunter2" not in str(caught.value)


# ---- TLS, addresses, schema ------------------------------------------------------------------


def test_a_ca_is_trusted_besides_the_systems(tmp_path: Path) -> None:
    """And what is no CA is a sentence with its file."""
    file = Authority(tmp_path).file
    assert len(Tls(ca_file=file).context().get_ca_certs()) == len(Tls().context().get_ca_certs()) + 1
    assert Tls().context().minimum_version is ssl.TLSVersion.TLSv1_2
    file.write_text("no PEM", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be used as PEM certificates"):
        Tls(ca_file=file).context()


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [(":9464", "", 9464), ("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:9464", "::1", 9464), ("localhost:80", "localhost", 80)],
)  # fmt: skip
def test_an_address_is_a_host_and_a_port(address: str, host: str, port: int) -> None:
    """Without a host it is every interface."""
    assert split_address(address) == (host, port)


@pytest.mark.parametrize("address", ["9464", "::1:9464", "[::1]", "host:99999", "[host]:1", "host:", ":-1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """An IPv6 address needs its brackets."""
    with pytest.raises(ValueError, match="is no"):
        split_address(address)


def test_the_schema_accepts_what_is_accepted() -> None:
    """And refuses an unknown key and a plain secret, in an editor."""
    schema = Common.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema)
    good = {"interval": "5m", "timeout": 3, "otlp": {"endpoint": "http://x", "headers": {"A": {"env": "B"}}}}
    assert valid.is_valid(good)
    for bad in (
        {"intervall": 1},
        {"interval": "5 minutes"},
        {"otlp": {"endpoint": "http://x", "headers": {"A": "b"}}},
    ):
        assert not valid.is_valid(bad), json.dumps(bad)


def test_every_key_is_described() -> None:
    """What an editor shows beside it."""
    schema = Common.model_json_schema()
    sections = {"": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, about in section["properties"].items()
        if not about.get("description")
    ]
    assert silent == []


def block(word: str) -> str:
    """A YAML block of the exporters' page."""
    page = (Path(__file__).parents[3] / "docs" / "exporters.md").read_text(encoding="utf-8")
    return page.partition(f"```yaml {word}\n")[2].partition("```")[0]


def test_the_pages_examples_are_configurations(tmp_path: Path) -> None:
    """The common one holds every key, and what it says is the default is the default."""
    common = load(Common, written(tmp_path, block("common")))
    assert common.model_fields_set == set(Common.model_fields)
    telling = {"interval", "jitter", "concurrency", "timeout", "check_timeout", "max_bytes", "listen", "log_level", "log_format"}  # fmt: skip
    assert common.model_dump(include=telling) == Common().model_dump(include=telling)
    web = load(WebConfig, written(tmp_path, block("web")))
    assert web.tls_server_config is not None
    assert list(web.basic_auth_users) == ["prometheus"]

"""The way to a Prometheus: Prometheus' own configuration of HTTP clients; secrets are used and never shown."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from slo.errors import LoadError
from slo.http_config import load_access
from slo.prometheus import Prometheus


def config(folder: Path, text: str) -> Path:
    file = folder / "http.yaml"
    file.write_text(text)
    return file


def headers_sent(file: Path | None, tenant: str = "") -> httpx.Headers:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": []}})

    access = load_access(file, tenant)
    with Prometheus("http://prometheus", httpx.MockTransport(answer), access=access) as prometheus:
        prometheus.query("up")
    return seen[0]


def test_a_bearer_token_comes_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    """Without the newline that editors add."""
    (tmp_path / "token").write_text("s3cret\n")
    file = config(tmp_path, "authorization: {credentials_file: token}")
    assert headers_sent(file)["authorization"] == "Bearer s3cret"


def test_basic_auth_sends_user_and_password(tmp_path: Path) -> None:
    """As Prometheus does."""
    file = config(tmp_path, "basic_auth: {username: me, password: pass}")
    assert headers_sent(file)["authorization"] == "Basic bWU6cGFzcw=="


def test_a_tenant_is_mimirs_header() -> None:
    """--tenant needs no file."""
    assert headers_sent(None, "team-a")["x-scope-orgid"] == "team-a"


def test_the_option_wins_over_the_file(tmp_path: Path) -> None:
    """What is typed is what is meant."""
    file = config(tmp_path, "http_headers: {X-Scope-OrgID: {values: [file]}}")
    assert headers_sent(file)["x-scope-orgid"] == "file"
    assert headers_sent(file, "typed")["x-scope-orgid"] == "typed"


WRONG = {
    "a setting of nobody": ("bearer: x", "key 'bearer' is unknown: use one of basic_auth"),
    "two ways in": ("basic_auth: {username: a, password: hunter2}\nauthorization: {credentials: hunter2}", "exclude each other"),
    "half a pair": ("tls_config: {cert_file: c.pem}", "cert_file and key_file come together"),
    "no secret": ("authorization: {}", "without a secret"),
    "no YAML": ("a: [", ":1: is not YAML"),
    "a list": ("[hunter2]", "is a YAML mapping, not a list"),
    "no such file": ("authorization: {credentials_file: nowhere}", "nowhere: cannot be read"),
    "no such CA": ("tls_config: {ca_file: nowhere.pem}", "tls_config cannot be used"),
    "a CA that is none": ("tls_config: {ca_file: http.yaml}", "tls_config cannot be used"),
    "a number": ("basic_auth: {username: me, password: {a: hunter2}}", "basic_auth.password"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_configuration_is_one_sentence_without_its_secrets(name: str, tmp_path: Path) -> None:
    """The file, the place, the reason."""
    text, message = WRONG[name]
    file = config(tmp_path, text)
    with pytest.raises(LoadError, match=message) as caught:
        load_access(file)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_shown_of_an_access_holds_no_secret(tmp_path: Path) -> None:
    """A traceback or a log line may print it."""
    access = load_access(config(tmp_path, "authorization: {credentials: hunter2}"))
    assert "hunter2" not in repr(access)


def test_a_missing_or_huge_file_is_one_sentence(tmp_path: Path) -> None:
    """Before anything is parsed."""
    with pytest.raises(LoadError, match="cannot be read"):
        load_access(tmp_path / "nowhere.yaml")
    with pytest.raises(LoadError, match="is larger than"):
        load_access(config(tmp_path, "#" * (1 << 21)))

"""As much of a Kubernetes API server as Helm needs to install and upgrade for real: it stores what it is sent.

It validates nothing but what it is asked to prove: immutable fields, and the size of a Secret. Objects are applied
by JSON merge: enough for objects that Helm alone changes.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
SECRET_LIMIT = 1 << 20
# Group and version, then kinds by plural. All are namespaced.
KINDS = {
    "v1": {"configmaps": "ConfigMap", "secrets": "Secret", "services": "Service", "serviceaccounts": "ServiceAccount",
           "persistentvolumeclaims": "PersistentVolumeClaim", "pods": "Pod"},
    "apps/v1": {"deployments": "Deployment"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "monitoring.coreos.com/v1": {"prometheusrules": "PrometheusRule", "servicemonitors": "ServiceMonitor",
                                 "podmonitors": "PodMonitor", "probes": "Probe"},
    "monitoring.coreos.com/v1alpha1": {"alertmanagerconfigs": "AlertmanagerConfig"},
    "grafana.integreatly.org/v1beta1": {"grafanadashboards": "GrafanaDashboard"},
}  # fmt: skip
IMMUTABLE = {"Deployment": ("selector",), "PersistentVolumeClaim": ("accessModes", "storageClassName")}
_PATH = re.compile(r"/(?:api|apis/([^/]+))/([^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?")


class Refused(Exception):
    """The server's answer: status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def merged(below: Any, above: Any) -> Any:
    """RFC 7386: null removes."""
    if not isinstance(above, dict):
        return above
    made = dict(below) if isinstance(below, dict) else {}
    for key, value in above.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


def decoded(raw: bytes) -> Any:
    """A request's body: JSON or YAML, or the protobuf in which Helm stores its releases."""
    if not raw:
        return None
    if not raw.startswith(b"k8s\x00"):
        return json.loads(raw) if raw.startswith(b"{") else yaml.safe_load(raw.decode())
    secret = _fields(_fields(raw[4:])[2][0])
    metadata = _fields(secret[1][0])
    labels = [_fields(entry) for entry in metadata.get(11, [])]
    data = [_fields(entry) for entry in secret.get(2, [])]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata[1][0].decode(),
            "labels": {e[1][0].decode(): e[2][0].decode() for e in labels},
        },
        "type": secret[3][0].decode(),
        "data": {e[1][0].decode(): base64.b64encode(e[2][0]).decode() for e in data},
    }


def _fields(raw: bytes) -> dict[int, list[bytes]]:
    """A protobuf message's fields that have a length, by number; numbers are skipped."""
    found: dict[int, list[bytes]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(raw):
        tag = varint()
        if tag & 7 == 2:
            length = varint()
            found.setdefault(tag >> 3, []).append(raw[at : at + length])
            at += length
        else:
            varint()
    return found


class Cluster:
    """What is stored, by API version, plural, namespace and name; and what was deleted."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.deleted: list[str] = []
        self.version = 0

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if method == "GET" and (known := discovery(path)) is not None:
            return known
        match = _PATH.fullmatch(path)
        if match is None:
            raise Refused(404, "NotFound")
        group, version, namespace, plural, name = match.groups()
        api = f"{group}/{version}" if group else version
        if plural not in KINDS.get(api, {}):
            raise Refused(404, "NotFound")
        if name is None and method == "GET":
            return self._list(api, plural, namespace, query)
        name = name or body["metadata"]["name"]
        return self._one(method, (api, plural, namespace, name), body)

    def _list(self, api: str, plural: str, namespace: str, query: dict[str, list[str]]) -> Object:
        wanted = dict(p.split("=") for p in query.get("labelSelector", [""])[0].split(",") if p)
        found = [
            o
            for (a, p, n, _), o in self.objects.items()
            if (a, p, n) == (api, plural, namespace)
            and wanted.items() <= o["metadata"].get("labels", {}).items()
        ]
        return {"apiVersion": api, "kind": f"{KINDS[api][plural]}List", "metadata": {}, "items": found}

    def _one(self, method: str, key: tuple[str, str, str, str], body: Any) -> Object:
        old = self.objects.get(key)
        if method == "POST" and old is not None:
            raise Refused(409, "AlreadyExists")
        if method in ("GET", "DELETE", "PUT") and old is None:
            raise Refused(404, "NotFound")
        if method == "GET":
            assert old is not None
            return old
        if method == "DELETE":
            self.deleted.append(f"{key[1]} {key[3]}")
            return self.objects.pop(key)
        new = body if method in ("POST", "PUT") else merged(old or {}, body)
        self._admit(key, old, new)
        self.version += 1
        new["metadata"] |= {
            "namespace": key[2],
            "uid": f"{key[1]}-{key[3]}",
            "resourceVersion": str(self.version),
        }
        self.objects[key] = new
        return dict(new)

    def _admit(self, key: tuple[str, str, str, str], old: Object | None, new: Object) -> None:
        api, plural, *_ = key
        kind = KINDS[api][plural]
        if kind == "Secret":
            size = secret_size(new)
            if size > SECRET_LIMIT:
                raise Refused(422, f"Secret data is {size} bytes, and may be {SECRET_LIMIT}")
        for field in IMMUTABLE.get(kind, ()):
            if old is not None and old["spec"].get(field) != new["spec"].get(field):
                raise Refused(422, f"spec.{field} is immutable")


def secret_size(secret: Object) -> int:
    """As the API server counts it: the bytes of all values."""
    return sum(len(base64.b64decode(value)) for value in secret.get("data", {}).values())


def discovery(path: str) -> Object | None:
    """Which kinds there are."""
    groups = sorted({api.partition("/")[0] for api in KINDS if "/" in api})
    if path == "/version":
        return {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        listed = []
        for group in groups:
            versions = [
                {"groupVersion": api, "version": api.partition("/")[2]}
                for api in KINDS
                if api.startswith(f"{group}/")
            ]
            listed.append({"name": group, "versions": versions, "preferredVersion": versions[0]})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    api = path.removeprefix("/apis/").removeprefix("/api/")
    if api not in KINDS:
        return None
    verbs = ["create", "delete", "get", "list", "patch", "update"]
    resources = [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}
        for plural, kind in KINDS[api].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster
    lock: threading.Lock

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        url = urlsplit(self.path)
        try:
            with self.lock:
                made = self.cluster.answer(self.command, url.path, parse_qs(url.query), decoded(raw))
            status = 201 if self.command == "POST" else 200
        except Refused as error:
            status = error.status
            made = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": error.reason,
                    "message": error.reason}  # fmt: skip
        sent = json.dumps(made).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # http.server's names

    def log_message(self, *_: Any) -> None:
        """Helm says what matters."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # Helm 4 sends all objects at once
    daemon_threads = True


class ApiServer:
    """The server on a free port of this machine, for a `with` block."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        handler = type("Handler", (_Handler,), {"cluster": self.cluster, "lock": threading.Lock()})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ApiServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

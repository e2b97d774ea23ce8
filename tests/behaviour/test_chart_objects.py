"""Every object that the chart renders is one that Kubernetes takes, with Helm 3 and 4 and every values file of ci/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm
import kubernetes_validate
import pytest
import yaml
from helm import HELMS, Object, of_kind

CASES = ("default", "plain", "operator", "overrides", "exporters", "pods", "tls", "s3")
CUSTOM = ("monitoring.coreos.com", "grafana.integreatly.org")
NAME_LIMIT, ANNOTATION_LIMIT, CONFIG_MAP_LIMIT = 63, 262144, 1 << 20

# What we use of the Grafana operator's GrafanaDashboard (v1beta1), written from its API reference.
GRAFANA_DASHBOARD = {
    "configMapRef": {"name": str, "key": str},
    "folder": str,
    "instanceSelector": {"matchLabels": {"dashboards": str}},
    "resyncPeriod": str,
    "allowCrossNamespaceImport": bool,
}


@pytest.fixture(scope="module")
def stella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm.stella(tmp_path_factory.mktemp("stella"))


@pytest.fixture(scope="module")
def rendered(stella: Path) -> dict[str, list[Object]]:
    """All objects, by values file; dashboards, which are large, where a file is about them."""
    return {
        case: helm.objects("helm4", stella, stella / "ci" / f"{case}-values.yaml",
                           settings={} if case in ("default", "operator") else {"dashboards.enabled": "false"})
        for case in CASES
    }  # fmt: skip


def each(rendered: dict[str, list[Object]]) -> Iterator[tuple[str, Object]]:
    """Every different object once, and where it is from."""
    seen = set()
    for case, found in rendered.items():
        for one in found:
            text = json.dumps(one, sort_keys=True)
            if text not in seen:
                seen.add(text)
                yield f"{case} {one['kind']} {one['metadata']['name']}", one


@pytest.mark.parametrize("case", CASES)
def test_both_helms_render_the_same(case: str, stella: Path) -> None:
    """Line by line but for blank ones: what the other tests say of Helm 4's objects holds for Helm 3's."""
    file = stella / "ci" / f"{case}-values.yaml"
    three, four = (
        [line for line in helm.manifest(name, stella, file).splitlines() if line.strip()] for name in HELMS
    )
    assert len(three) > 100
    assert three == four


def test_every_values_file_is_rendered(stella: Path) -> None:
    """A file added to ci/ is added here."""
    assert sorted(f.name.removesuffix("-values.yaml") for f in (stella / "ci").iterdir()) == sorted(CASES)


@pytest.mark.parametrize("name", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_lint_is_content(name: str, case: str, stella: Path) -> None:
    """Strictly: a warning fails."""
    good, out, error = helm.run(
        name, "lint", "--strict", stella, "--values", stella / "ci" / f"{case}-values.yaml"
    )
    assert good, out + error


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_kubernetes_takes_every_object(version: str, rendered: dict[str, list[Object]]) -> None:
    """The oldest and the newest version, unknown fields refused."""
    core = [(w, o) for w, o in each(rendered) if not o["apiVersion"].startswith(CUSTOM)]
    for where, one in core:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{where}: {'.'.join(map(str, error.path))}: {error.message}")
    assert {o["kind"] for _, o in core} == {
        "ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "Secret",
        "Service", "ServiceAccount",
    }  # fmt: skip


def fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, dict):
        return (
            isinstance(value, dict)
            and value.keys() == shape.keys()
            and all(fits(value[k], s) for k, s in shape.items())
        )
    return type(value) is shape


def test_grafana_dashboards_have_the_operators_fields(rendered: dict[str, list[Object]]) -> None:
    """And each names a ConfigMap and a key that exist."""
    found = rendered["operator"]
    maps, dashboards = of_kind(found, "ConfigMap"), of_kind(found, "GrafanaDashboard")
    assert len(dashboards) == sum("-dashboard-" in n for n in maps) > 0
    for name, one in dashboards.items():
        assert fits(one["spec"], GRAFANA_DASHBOARD), name
        wanted = one["spec"]["configMapRef"]
        assert wanted["key"] in maps[wanted["name"]]["data"]


def test_objects_keep_to_kubernetes_limits(rendered: dict[str, list[Object]]) -> None:
    """Names of 63 characters, ConfigMaps of a mebibyte, and what kubectl repeats in an annotation."""
    for where, one in each(rendered):
        assert len(one["metadata"]["name"]) <= NAME_LIMIT, where
        size = len(json.dumps(one).encode())
        assert size < (ANNOTATION_LIMIT if one["kind"] == "ConfigMap" else CONFIG_MAP_LIMIT), where


def test_no_two_objects_share_a_name(rendered: dict[str, list[Object]]) -> None:
    """Of one kind in one namespace."""
    for found in rendered.values():
        names = [(o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]) for o in found]
        assert len(names) == len(set(names))


def test_every_object_says_what_it_belongs_to(rendered: dict[str, list[Object]]) -> None:
    """Kubernetes' recommended labels, and the namespace, as Argo CD wants it."""
    for where, one in each(rendered):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "stella-slo", where
        assert labels["app.kubernetes.io/instance"] == helm.RELEASE, where
        assert labels["app.kubernetes.io/part-of"] == "stella-ops", where
        assert labels["app.kubernetes.io/managed-by"] == "Helm", where
        assert labels["helm.sh/chart"].startswith("stella-slo-"), where
        assert one["metadata"]["namespace"], where


def test_dashboards_are_as_the_sidecar_wants_them(rendered: dict[str, list[Object]]) -> None:
    """One in each ConfigMap, under a key of its own, with label and folder; uids are unique."""
    found = [o for n, o in of_kind(rendered["default"], "ConfigMap").items() if "-dashboard-" in n]
    assert found
    for one in found:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"]
        assert len(one["data"]) == 1
    boards = [json.loads(text) for one in found for text in one["data"].values()]
    assert len({b["uid"] for b in boards}) == len({k for o in found for k in o["data"]}) == len(found)


def test_a_dashboard_may_be_left_to_another_chart(stella: Path, tmp_path: Path) -> None:
    """Two stacks share the overview; one of them installs it."""
    file = helm.values(tmp_path, {"dashboards": {"exclude": ["slo-overview"]}})
    before = of_kind(helm.objects("helm4", stella), "ConfigMap")
    after = of_kind(helm.objects("helm4", stella, file), "ConfigMap")
    assert before.keys() - after.keys() == {"demo-stella-slo-dashboard-slo-overview"}


def pods(found: list[Object]) -> dict[str, Any]:
    return {n: o["spec"]["template"]["spec"] for n, o in of_kind(found, "Deployment").items()}


def test_exporters_run_restricted(rendered: dict[str, list[Object]]) -> None:
    """Kubernetes' restricted profile, a read-only root, no token, limits and both probes."""
    found = pods(rendered["exporters"])
    assert len(found) == 3
    for pod in found.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"hostNetwork", "hostPID", "hostIPC"} & pod.keys() == set()
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"].keys() == {"requests", "limits"}
            assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
            assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"
        kinds = {k for v in pod["volumes"] for k in v if k != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}


def probes(found: list[Object]) -> list[Any]:
    """How the kubelet asks each container, without its times."""
    kinds = ("livenessProbe", "readinessProbe")
    containers = [c for pod in pods(found).values() for c in pod["containers"]]
    return [
        {k: v for k, v in c[kind].items() if not k.endswith("Seconds")} for c in containers for kind in kinds
    ]


@pytest.mark.parametrize("name", HELMS)
@pytest.mark.parametrize(("scheme", "asked"), [("http", "HTTP"), ("https", "HTTPS")])
def test_the_kubelet_asks_as_the_server_speaks(name: str, scheme: str, asked: str, stella: Path) -> None:
    """In capitals, as Kubernetes wants it; Prometheus too asks over TLS."""
    found = helm.objects(name, stella, stella / "ci" / "tls-values.yaml",
                         settings={"exporters.scheme": scheme, "exporters.probes": "http"})  # fmt: skip
    paths = ("/-/healthy", "/-/ready")
    assert probes(found) == [{"httpGet": {"path": p, "port": "http", "scheme": asked}} for p in paths] * 3
    scrapes = [
        e.get("scheme", "http")
        for o in of_kind(found, "ServiceMonitor").values()
        for e in o["spec"]["endpoints"]
    ]
    assert scrapes == [scheme] * 3


@pytest.mark.parametrize("name", HELMS)
def test_where_clients_need_a_certificate_the_kubelet_only_knocks(name: str, stella: Path) -> None:
    """It has none to show, so every httpGet would fail and the pod be restarted for ever."""
    found = helm.objects(name, stella, stella / "ci" / "tls-values.yaml")
    assert probes(found) == [{"tcpSocket": {"port": "http"}}] * 6


def test_what_is_off_leaves_nothing_behind(stella: Path) -> None:
    """No exporter: no account, no volume, no policy, no monitor."""
    kinds = {o["kind"] for o in helm.objects("helm4", stella)}
    assert kinds == {"ConfigMap", "PrometheusRule", "Secret"}
    off = {"prometheusRule.enabled": "false", "dashboards.enabled": "false", "alertmanager.kind": "none"}
    assert helm.objects("helm4", stella, settings=off) == []


def test_a_trusted_root_may_come_as_a_file(stella: Path, tmp_path: Path) -> None:
    """--set-file: it arrives byte for byte under the name that the exporters read, and is mounted."""
    root = tmp_path / "trusted_root.json"
    root.write_text(
        '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",\n "tlogs": []}\n'
    )
    good, out, error = helm.run(
        "helm4", "template", helm.RELEASE, stella, "--values", stella / "ci" / "exporters-values.yaml",
        "--set", "exporters.trustedRoot.existingConfigMap=", "--set-file", f"exporters.trustedRoot.content={root}",
    )  # fmt: skip
    assert good, error
    found = [o for o in yaml.load_all(out, Loader=helm.Loader) if o]  # a safe one
    held = of_kind(found, "ConfigMap")["demo-stella-slo-trusted-root"]["data"]
    assert held == {"trusted_root.json": root.read_text()}
    for pod in pods(found).values():
        (volume,) = [v for v in pod["volumes"] if v["name"] == "trust"]
        assert volume["configMap"]["name"] == "demo-stella-slo-trusted-root"


def test_no_secret_is_in_an_object(rendered: dict[str, list[Object]]) -> None:
    """The only Secret is Alertmanager's configuration, and it has none in it; the environment refers to others."""
    secrets = {n for found in rendered.values() for n in of_kind(found, "Secret")}
    assert secrets == {"demo-stella-slo-alertmanager"}
    variables = [
        e
        for f in rendered.values()
        for p in pods(f).values()
        for c in p["containers"]
        for e in c.get("env", [])
    ]
    assert all("value" not in e for e in variables)


def test_images_are_pulled_by_digest(stella: Path, tmp_path: Path) -> None:
    """The digest wins over a tag, and without either nothing is rendered."""
    file = stella / "ci" / "exporters-values.yaml"
    digest = yaml.safe_load(file.read_text())["exporters"]["image"]["digest"]
    tagged = helm.objects("helm4", stella, file, settings={"exporters.image.tag": "edge"})
    images = {c["image"] for p in pods(tagged).values() for c in p["containers"]}
    assert images == {f"registry.stella-ops.org/stellaops/slo-exporter@{digest}"}
    good, _, error = helm.run(
        "helm4", "template", stella, "--values", file, "--set", "exporters.image.digest="
    )
    assert not good
    assert "exporters.image.digest is empty: images are pulled by digest only" in error


def test_references_between_objects_hold(rendered: dict[str, list[Object]]) -> None:
    """What a pod mounts, what a Service, a monitor, a policy and a budget select, is there."""
    given = {"sigstore-trusted-root", "registry-credentials"}  # the values name them as existing
    for case in ("exporters", "pods"):
        found = rendered[case]
        known = given | {
            n for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim") for n in of_kind(found, kind)
        }
        accounts, deployed = of_kind(found, "ServiceAccount"), of_kind(found, "Deployment")
        for one in deployed.values():
            pod = one["spec"]["template"]
            assert pod["spec"]["serviceAccountName"] in accounts
            volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
            for v in volumes.values():
                named = [v.get("configMap", {}).get("name"), v.get("secret", {}).get("secretName"),
                         v.get("persistentVolumeClaim", {}).get("claimName")]  # fmt: skip
                assert {n for n in named if n} <= known
            mounts = {m["name"] for c in pod["spec"]["containers"] for m in c["volumeMounts"]}
            assert mounts == volumes.keys()
            assert one["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        for kind, path in (("Service", ("selector",)), ("NetworkPolicy", ("podSelector", "matchLabels")),
                           ("PodDisruptionBudget", ("selector", "matchLabels")),
                           ("PodMonitor" if case == "pods" else "ServiceMonitor", ("selector", "matchLabels"))):  # fmt: skip
            selected = of_kind(found, kind)
            assert selected.keys() == deployed.keys()
            for n, one in selected.items():
                wanted = one["spec"]
                for step in path:
                    wanted = wanted[step]
                of = deployed[n] if kind != "ServiceMonitor" else None
                labels = (
                    of["spec"]["template"]["metadata"]["labels"]
                    if of
                    else of_kind(found, "Service")[n]["metadata"]["labels"]
                )
                assert wanted.items() <= labels.items()


def test_scrapes_and_probes_carry_the_labels_that_rules_select_by(
    stella: Path, rendered: dict[str, list[Object]]
) -> None:
    """The job of each exporter, and job and target of each probe, as the rules read them."""
    rules = "".join(f.read_text() for f in (stella / "files" / "rules").iterdir())
    found = rendered["exporters"]
    jobs = [r["replacement"] for o in of_kind(found, "ServiceMonitor").values() for e in o["spec"]["endpoints"]
            for r in e["relabelings"] if r["targetLabel"] == "job"]  # fmt: skip
    assert len(jobs) == 3
    assert [j for j in jobs if f'up{{job="{j}"}}' not in rules] == []
    probes = of_kind(found, "Probe")
    assert len(probes) == 2
    for one in probes.values():
        (target,) = one["spec"]["targets"]["staticConfig"]["labels"].items()
        assert f'probe_success{{job="{one["spec"]["jobName"]}",{target[0]}="{target[1]}"' in rules


def test_the_transparency_logs_state_outlives_its_pod(rendered: dict[str, list[Object]]) -> None:
    """Two exporters remember; their volume is one pod's at a time, and survives an uninstall."""
    found = rendered["exporters"]
    claims = of_kind(found, "PersistentVolumeClaim")
    assert {n.removeprefix("demo-stella-slo-") for n in claims} == {"rekor-exporter", "bundle-exporter"}
    for name, claim in claims.items():
        assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert of_kind(found, "Deployment")[name]["spec"]["strategy"] == {"type": "Recreate"}
        config = yaml.safe_load(of_kind(found, "ConfigMap")[name]["data"]["config.yaml"])
        mounts = {m["name"]: m["mountPath"] for m in pods(found)[name]["containers"][0]["volumeMounts"]}
        assert config["state"].startswith(mounts["state"])


@pytest.mark.parametrize("name", HELMS)
def test_nothing_depends_on_what_the_cluster_offers(name: str, stella: Path) -> None:
    """No template asks the cluster or the Capabilities: Argo CD renders what `helm install` does."""
    texts = "".join(f.read_text() for f in (stella / "templates").rglob("*") if f.is_file())
    assert "Capabilities" not in texts
    assert "lookup" not in texts
    assert "tpl " not in texts
    old = helm.run(name, "template", helm.RELEASE, stella, "--kube-version", "1.25.0")
    new = helm.run(
        name, "template", helm.RELEASE, stella, "--kube-version", "1.37.0", "--api-versions", "a/v1"
    )
    assert old[0]
    assert old == new


@pytest.mark.parametrize("name", HELMS)
def test_the_chart_packs(name: str, stella: Path, tmp_path: Path) -> None:
    """And what was packed renders what the folder renders; ci/ stays out."""
    good, _, error = helm.run(name, "package", stella, "--destination", tmp_path)
    assert good, error
    (packed,) = tmp_path.glob("stella-slo-*.tgz")
    assert helm.manifest(name, packed) == helm.manifest(name, stella)
    good, listed, _ = helm.run(name, "show", "readme", packed)
    assert good
    assert "## Values" in listed

"""Real Helm 3 and 4 install the chart and upgrade it, on an API server that stores what it is sent."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import helm
import kube
import pytest
from given import slo, stack
from helm import HELMS, Object

from slo import Chart
from slo.chart import size

OF_HELM = {"meta.helm.sh/release-name", "meta.helm.sh/release-namespace"}


def installed(cluster: kube.Cluster) -> dict[str, Object]:
    """What the chart brought, by kind and name, without what Helm and the server add."""
    found = {}
    for one in cluster.objects.values():
        made = copy.deepcopy(one)
        if made.get("type") == "helm.sh/release.v1":
            continue
        for name in ("uid", "resourceVersion"):
            made["metadata"].pop(name)
        notes = {k: v for k, v in made["metadata"].pop("annotations", {}).items() if k not in OF_HELM}
        made["metadata"] |= {"annotations": notes} if notes else {}
        found[f"{made['kind']} {made['metadata']['namespace']} {made['metadata']['name']}"] = made
    return found


def rendered(name: str, chart: Path, *values: Path) -> dict[str, Object]:
    return {
        f"{o['kind']} {o['metadata']['namespace']} {o['metadata']['name']}": o
        for o in helm.objects(name, chart, *values)
    }


def run(name: str, server: kube.ApiServer, command: str, chart: Path, *options: str | Path) -> str:
    good, out, error = helm.run(
        name, command, helm.RELEASE, chart, "--namespace", helm.NAMESPACE, "--kube-apiserver", server.url,
        "--disable-openapi-validation", "--qps", "1000", "--burst-limit", "1000", *options,
    )  # fmt: skip
    assert good, error
    return out


def record(cluster: kube.Cluster, revision: int) -> int:
    """The size of what Helm stored of a revision."""
    key = ("v1", "secrets", helm.NAMESPACE, f"sh.helm.release.v1.{helm.RELEASE}.v{revision}")
    return kube.secret_size(cluster.objects[key])


@pytest.mark.parametrize("name", HELMS)
def test_helm_installs_what_it_renders(name: str, tmp_path: Path) -> None:
    """Every object arrives as `helm template` prints it, the notes are told, and the record is as large as we say."""
    chart = helm.stella(tmp_path)
    values = chart / "ci" / "exporters-values.yaml"
    with kube.ApiServer() as server:
        told = run(name, server, "install", chart, "--values", values)
        assert installed(server.cluster) == rendered(name, chart, values)
        assert "Three things that are often missed" in told
        files = {str(f.relative_to(chart)): f.read_text() for f in sorted(chart.rglob("*")) if f.is_file()}
        stored = record(server.cluster, 1)
        assert size.stored(files, helm.manifest(name, chart, values)) == pytest.approx(stored, rel=0.05)
        assert stored < size.LIMIT


@pytest.mark.parametrize("name", HELMS)
def test_an_upgrade_changes_in_place(name: str, tmp_path: Path) -> None:
    """The next version, with one more SLO: nothing is deleted and made anew, and every object keeps its uid."""
    exporters = {"rekor": "rekor-exporter"}
    one = stack(slo(), name="team", chart=Chart(version="1.0.0", exporters=exporters))
    two = stack(slo(), slo("latency"), name="team", chart=Chart(version="1.1.0", exporters=exporters))
    before, after = helm.written(tmp_path / "1", one), helm.written(tmp_path / "2", two)
    with kube.ApiServer() as server:
        run(name, server, "install", before, "--values", before / "ci" / "exporters-values.yaml")
        uids = {key: o["metadata"]["uid"] for key, o in server.cluster.objects.items()}
        run(name, server, "upgrade", after, "--values", after / "ci" / "exporters-values.yaml")
        assert server.cluster.deleted == []
        assert (
            uids.items() <= {key: o["metadata"]["uid"] for key, o in server.cluster.objects.items()}.items()
        )
        assert installed(server.cluster) == rendered(name, after, after / "ci" / "exporters-values.yaml")


@pytest.mark.parametrize("name", HELMS)
def test_a_release_too_large_is_refused_by_the_cluster(name: str, tmp_path: Path) -> None:
    """What the warning of `slo generate` is about."""
    chart = helm.written(tmp_path, stack())
    noise = random.Random(1).choices("abcdefghijklmnop", k=1_600_000)  # noqa: S311 # it must not compress
    (chart / "files" / "noise").write_text("".join(noise))
    with kube.ApiServer() as server:
        good, _, error = helm.run(
            name,
            "install",
            helm.RELEASE,
            chart,
            "--kube-apiserver",
            server.url,
            "--disable-openapi-validation",
        )
    assert not good
    assert "Secret data is" in error

"""What the real exporters verify in the demo: a signed release on channel edge, and an offline kit of the one before.

A throwaway Sigstore signs; the images lie in Debian's docker-registry, everything else is files behind a plain web
server: the manifest, the tiles of the transparency log, the trusted root's mirror, the versions that run. The release
has been on edge for a week. One image of a bad one is signed by somebody else.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from slo.gate.policy import default_text
from tests.logkit import Log
from tests.release_kit import Image, Release, ReleaseKit
from tests.trustkit.kit import ISSUER, SIGN, Signer, TrustKit, raw, statement
from tools.demo import pods, servers
from tools.demo.servers import Server, write_yaml

if TYPE_CHECKING:
    from tools.demo.run import Ports

Kind = Literal["good", "bad"]
VERSION, BEFORE = "2.5.0", "2.4.1"
COMPONENTS = ("authority", "signer", "attestor", "scanner-webservice", "concelier")
BAD = "concelier"
WORKFLOW = "https://github.com/stella-ops/release/.github/workflows/release.yml@refs/tags/v"
IDENTITIES = r"https://github\.com/stella-ops/release/\.github/workflows/release\.yml@refs/tags/v.+"
STRANGER = "https://github.com/somebody/fork/.github/workflows/release.yml@refs/heads/main"
ALERT = "StellaImageVerificationFailed"
# Long enough on edge to become stable, and not late for its weekly cadence until the demo has run for half a day.
ON_EDGE = 7.5 * pods.DAY
RUNNING = (
    "authority", "signer", "attestor", "scanner-web", "policy", "concelier", "excititor", "web-ui",
)  # fmt: skip
INTERVAL = "10s"  # between two cycles of an exporter
UNRECORDED = "The demo has run for minutes: what paged a week ago is not recorded."


class Offered:
    """The release, the servers that hold it, and the exporters that verify it."""

    def __init__(self, folder: Path, ports: Ports, kind: Kind, interval: str = INTERVAL) -> None:
        self.folder, self.kind, self._interval = folder / "release", kind, interval
        self.site = self.folder / "site"
        self.registry = servers.registry(folder, ports.registry)
        self.files = servers.files(folder, self.site, ports.files)
        self.cosign, self.rekor, self.bundle = self.exporters = tuple(
            servers.exporter(folder, word, self.folder / f"{word}.yaml", port)
            for word, port in (("cosign", ports.cosign), ("rekor", ports.rekor), ("bundle", ports.bundle))
        )
        self.host = f"127.0.0.1:{ports.registry}"
        self._trust = TrustKit()
        self._signer = self._trust.keyless(f"{WORKFLOW}{VERSION}", ISSUER)
        self._log = Log(
            self._trust.rekor2.name, self._trust.rekor2.key
        )  # its tiles; the trust kit signs proofs
        self.release = Release(ReleaseKit(self._trust))

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.registry, self.files, *self.exporters

    @property
    def manifest(self) -> Path:
        return self.site / "edge" / "release.yaml"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.yaml"

    @property
    def jobs(self) -> dict[str, int]:
        """Ports to scrape, by the jobs that the catalogue expects."""
        return {f"stella-{e.name.partition(' ')[0]}-exporter": e.port for e in self.exporters}

    # ---- publishing --------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Folders and the registry's configuration: what its servers need to start."""
        for name in ("site/edge", "site/log", "kits", "rekor-state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        write_yaml(self.folder / "registry.yaml", servers.registry_config(self.folder, self.registry.port))

    def publish(self) -> None:
        """Build, sign and push; write the files and the exporters' configurations. Its registry must be ready."""
        day = datetime.fromtimestamp(time.time() - ON_EDGE, UTC)
        self.release = self._build("edge", VERSION, COMPONENTS, day)
        self.release.push(self.registry.url)
        edge = self.manifest.parent
        self.manifest.write_bytes(self.release.manifest)
        (edge / "release.yaml.sigstore.json").write_bytes(self.release.manifest_bundle)
        (edge / "docker-compose.yml").write_bytes(self.release.compose)
        kit = self._build(
            "stable", BEFORE, COMPONENTS[:2], datetime.fromtimestamp(day.timestamp() - 30 * pods.DAY, UTC)
        )
        kit.write_kit(self.folder / "kits" / f"stellaops-kit-{BEFORE}-stable.tar.zst")
        for root in (self.folder, self.site):
            self._trust.write_root(root / "trusted_root.json")
        self.runs({})
        self.grow()
        self._configure()

    def _build(self, channel: str, version: str, components: tuple[str, ...], day: datetime) -> Release:
        strange = {BAD: self._stranger()} if self.kind == "bad" else {}
        release = ReleaseKit(
            self._trust, self.host, version, channel, f"{day:%Y-%m-%dT%H:%M:%SZ}", f"{day:%Y.%m}", components,
            log="v2", signer=self._signer, signers=strange,
        ).build()  # fmt: skip
        for image in release.images:
            for bundle in image.bundles.values():
                self._logged(bundle)
        self._logged(release.manifest_bundle)
        return release

    def _stranger(self) -> Signer:
        return self._trust.keyless(STRANGER, ISSUER)

    def _logged(self, bundle: bytes) -> None:
        (entry,) = json.loads(bundle)["verificationMaterial"]["tlogEntries"]
        self._log.entries.append(base64.b64decode(entry["canonicalizedBody"]))

    def grow(self) -> None:
        """One more entry, as others write them. The checkpoint comes last: it promises the tiles."""
        self._logged(raw(self._trust.sign_blob(b"an entry", self._signer, log="v2")))
        for name, data in reversed(self._log.files().items()):
            file = self.site / "log" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f"{file.name}.new")
            beside.write_bytes(data)
            beside.replace(file)

    # ---- what may change -----------------------------------------------------------------------------

    def tamper(self, component: str) -> bytes:
        """Replace the signature of an image in the registry by a stranger's. Returns the genuine one."""
        image = self.release.image(component)
        genuine = image.bundles["signature"]
        self.sign(
            image, raw(self._trust.attest(statement(image.digest, SIGN, {}), self._stranger(), log="v2"))
        )
        self._logged(image.bundles["signature"])
        return genuine

    def sign(self, image: Image, bundle: bytes) -> None:
        """Make this the only signature of an image."""
        repo = self.release.repos[image.repository]
        repo.attached[image.digest].remove(image.referrers["signature"])
        image.bundles["signature"] = bundle
        image.referrers["signature"] = repo.attach(image.descriptor, bundle)
        self.release.push(self.registry.url)

    def runs(self, versions: dict[str, str]) -> None:
        """What the platform's services say they run: the version before, or what is given by name."""
        said = [{"service": s, "version": versions.get(s, BEFORE), "channel": "stable"} for s in RUNNING]
        (self.site / "services.json").write_text(json.dumps(said), encoding="utf-8")

    # ---- configurations --------------------------------------------------------------------------------

    def _configure(self) -> None:
        root, site = "trusted_root.json", self.files.url
        signed_by = {"identity_pattern": IDENTITIES, "issuer": ISSUER}
        registries = {"hosts": {self.host: {"plain_http": True}}}
        log = {"kind": "v2", "url": f"{site}/log", "origin": self._trust.rekor2.name, "trusted_root": root}
        self._write("cosign", {
            "trusted_root": {"file": root, "mirror": {"url": f"{site}/{root}"}},
            "policies": {"all": signed_by},
            "manifests": [{"name": "edge", "location": f"{site}/edge/release.yaml"}],
            "registries": registries,
        })  # fmt: skip
        self._write("rekor", {"state": "rekor-state", "logs": [{"name": "stella", **log}]})
        self._write("bundle", {
            "state": "bundle-state.json", "trusted_root": root, "policy": signed_by,
            "channels": [
                {"name": "edge", "manifest": f"{site}/edge/release.yaml", "require": ["signature", "sbom", "provenance"]}
            ],
            "registries": registries, "charts": f"oci://{self.host}/charts", "logs": [log],
            "kits": {"paths": ["kits/*.tar.zst"]},
            "skew": {"services": [{"name": s} for s in RUNNING], "inventory": f"{site}/services.json"},
        })  # fmt: skip
        write_yaml(self.policy, gate_policy())

    def _write(self, word: str, config: dict[str, Any]) -> None:
        write_yaml(self.folder / f"{word}.yaml", {"interval": self._interval, "timeout": "5s", **config})

    # ---- where to look -----------------------------------------------------------------------------------

    def gate(self, prometheus: str) -> str:
        """The command that judges this release."""
        slo = Path(sys.executable).with_name("slo")
        names = [_short(p) for p in (slo, self.manifest, self.policy)]
        return f"{names[0]} gate --release {names[1]} --from edge --to stable --policy {names[2]} --prometheus {prometheus}"

    def where(self) -> list[str]:
        said = [
            f"Exporters     {'  '.join(f'{e.url}/' for e in self.exporters)} (real ones: cosign, Rekor, bundle)",
            f"Release       {self.files.url}/edge/release.yaml: {VERSION}, its images in {self.registry.url}/v2/_catalog",
        ]
        if self.kind == "bad":
            bad = f"Bad image     {BAD} is signed by somebody else: {ALERT} says so, and {self.cosign.url}/ why."
            said.append(bad)
        return said


def gate_policy() -> dict[str, Any]:
    """The default policy; what only time could show is waived."""
    policy: dict[str, Any] = yaml.safe_load(default_text())
    edge = next(t for t in policy["transitions"] if t["from"] == "edge")
    edge["waive"] = {"soak-quiet": UNRECORDED}
    return policy


def _short(path: Path) -> str:
    """As seen from here, where that is possible."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)

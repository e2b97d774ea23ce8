"""The trust kit is no mock: Sigstore's JavaScript verifier and cosign accept what it makes, and refuse what we refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.live.second_opinion import case, opinions
from tests.live.sigstoreworld import Sigstore
from tests.trustkit.exporter import KINDS, LABELS, sign_all
from tests.trustkit.images import Attached, Remote, push_image
from tests.trustkit.kit import IDENTITY, ISSUER, TrustKit, statement
from tests.trustkit.policies import IMAGE
from tests.trustkit.servers import docker_registry
from tests.unit.exporters.sigstore.test_sigstore_reasons import KEYLESS_DAMAGE

pytestmark = pytest.mark.live
US = {"identity": IDENTITY, "issuer": ISSUER}
# What we refuse and the other verifier accepts, each for a reason of ours.
STRICTER = {
    "another_root": "it takes the root of the signed checkpoint and ignores the one beside the proof",
    "a_later_format": "it reads bundles of versions that do not exist yet",
}


def test_javascript_accepts_what_the_kit_makes() -> None:
    """Statements and files, keyless and by a key, in Rekor v1 and v2."""
    kit = TrustKit()
    signer = kit.key()
    cases = []
    for log in ("v1", "v2"):
        for who, how in ((None, US), (signer, {"key": signer.pem})):
            cases.append(case(kit.root(), kit.attest(statement(IMAGE), who, log=log), **how))
            cases.append(case(kit.root(), kit.sign_blob(b"data", who, log=log), artifact=b"data", **how))
    assert opinions(cases) == [""] * 8


def test_javascript_refuses_what_we_refuse() -> None:
    """Every damaged bundle of our own tests; where we are stricter it is listed."""
    kit = TrustKit()
    bundles: dict[str, Any] = {}
    for damage, _ in KEYLESS_DAMAGE:
        bundles[damage.__name__] = kit.attest(statement(IMAGE))
        damage(bundles[damage.__name__])
    said = dict(zip(bundles, opinions([case(kit.root(), b, **US) for b in bundles.values()]), strict=True))
    assert {name for name, wrong in said.items() if not wrong} == set(STRICTER)


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_cosign_accepts_what_the_kit_makes(log: str, tmp_path: Path) -> None:
    """cosign 3, from a registry, under the kit's own trusted root."""
    kit = TrustKit()
    root = kit.write_root(tmp_path / "trusted_root.json")
    with docker_registry(tmp_path / "registry") as address:
        store = Remote(address, False)
        on = Attached(store, "stellaops/kit", push_image(store, "stellaops/kit", LABELS), True)
        sign_all(kit, on, log=log)
        world = Sigstore(tmp_path, kit.rekor.start)
        how = [
            "--certificate-identity",
            IDENTITY,
            "--certificate-oidc-issuer",
            ISSUER,
            "--trusted-root",
            str(root),
        ]
        how += ["--allow-http-registry", f"{address}/{on.name}@{on.image}"]
        asked = (
            ["verify"],
            ["verify-attestation", "--type=cyclonedx"],
            ["verify-attestation", "--type=slsaprovenance1"],
        )
        said = [world.cosign(*command, *how, check=False) for command in asked]
    assert [(s.returncode, s.stderr if s.returncode else "") for s in said] == [(0, "")] * len(KINDS)

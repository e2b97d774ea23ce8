"""Run the public Sigstore conformance cases for bundle verification through the exporters' verification.

    git clone --depth 1 https://github.com/sigstore/sigstore-conformance
    python -m tools.conformance sigstore-conformance/test/assets/bundle-verify

Nothing is fetched: a case is a folder with bundle.sigstore.json and perhaps artifact, identity, issuer, key.pub and
trusted_root.json; one whose name ends in _fail must be refused. A case without a root of its own is judged by the
public good instance's, as sigstore-python ships it (or --root FILE).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore import Policy, load_trust, verify_blob, verify_statement
from exporters.sigstore.bundle import open_bundle

BEACON = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
# Where we answer otherwise than the suite, and why: what the name and our answer begin with.
EXPLAINED = (
    (
        "",
        "unsupported",
        "sigstore-python verifies no entry of this kind; it is said to be unsupported, not bad",
    ),
    (
        "managed-key-and-client-identity",
        "",
        "it is about flags: a policy that names both is refused when it is read",
    ),
)


@dataclass(frozen=True)
class Case:
    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def must_fail(self) -> bool:
        return self.name.endswith("_fail")

    def text(self, name: str, default: str) -> str:
        path = self.folder / name
        return path.read_text().strip() if path.exists() else default

    def verify(self, public_root: Path) -> str:
        """ "" when it verifies, else why not."""
        key, root = self.folder / "key.pub", self.folder / "trusted_root.json"
        artifact = self.folder / "artifact"
        data = (artifact if artifact.exists() else self.folder.parent.parent / "a.txt").read_bytes()
        try:
            policy = (
                Policy(key=key)
                if key.exists()
                else Policy(identity=self.text("identity", BEACON), issuer=self.text("issuer", ISSUER))
            )
            trust = load_trust(root if root.exists() else public_root)
            raw = (self.folder / "bundle.sigstore.json").read_bytes()
            if open_bundle(raw).statement is None:
                verify_blob(raw, data, policy, trust)
            else:
                verify_statement(raw, f"sha256:{hashlib.sha256(data).hexdigest()}", policy, trust)
        except (Refused, CouldNotCheck) as error:
            return f"{error.reason}: {error.detail}"
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, help="the suite's folder test/assets/bundle-verify")
    parser.add_argument("--root", type=Path, help="the public good instance's trusted_root.json")
    given = parser.parse_args()
    shipped = (
        Path(str(files("sigstore")))
        / "_store"
        / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
        / "trusted_root.json"
    )
    cases = [Case(path.parent) for path in sorted(given.cases.glob("*/bundle.sigstore.json"))]
    if not cases:
        print(
            f"{given.cases} holds no cases: name the suite's folder test/assets/bundle-verify",
            file=sys.stderr,
        )
        return 2
    agreed, unexplained = 0, 0
    for case in cases:
        said = case.verify(given.root or shipped)
        if bool(said) == case.must_fail:
            agreed += 1
            continue
        why = next(
            (w for name, begins, w in EXPLAINED if case.name.startswith(name) and said.startswith(begins)), ""
        )
        unexplained += not why
        print(f"{case.name}: {said or 'verified'}\n    {why or 'NOT EXPLAINED'}")
    print(f"{agreed} of {len(cases)} cases agree, {unexplained} disagreements are not explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())

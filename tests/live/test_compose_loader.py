"""Docker Compose's own loader (compose-go) takes the Compose file, with and without .env and profiles. Needs Go."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import helm
import pytest

pytestmark = pytest.mark.live

SOURCE = Path(__file__).parent / "composefile"
BASE = {"prometheus", "alertmanager", "grafana", "blackbox"}
EXPORTERS = {"cosign-exporter", "rekor-exporter", "bundle-exporter"}
DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built."""
    assert shutil.which("go"), "Go is not installed, and Compose's loader is built with it"
    program = tmp_path_factory.mktemp("bin") / "composefile"
    done = subprocess.run(
        ["go", "build", "-o", program, "."], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return helm.stella(tmp_path).parent.parent / "compose"


def load(loader: Path, project: Path, *profiles: str) -> tuple[dict[str, str], str]:
    """Each service with its image, and what was complained of."""
    done = subprocess.run([loader, project, *profiles], capture_output=True, text=True, check=False)
    return dict(line.split(" ") for line in done.stdout.splitlines()), done.stderr


def test_exporters_start_only_when_asked_for(loader: Path, project: Path) -> None:
    """Their profile."""
    assert load(loader, project)[0].keys() == BASE
    assert load(loader, project, "exporters")[0].keys() == BASE | EXPORTERS


def test_digests_of_the_environment_are_pulled(loader: Path, project: Path) -> None:
    """env.template copied to .env and filled in."""
    template = (project / "env.template").read_text(encoding="utf-8")
    (project / ".env").write_text(template.replace("@sha256:\n", f"@sha256:{DIGEST}\n"), encoding="utf-8")
    images, said = load(loader, project, "exporters")
    assert len(images) == 7, said
    assert [i for i in images.values() if not i.endswith(f"@sha256:{DIGEST}")] == []


def test_an_unknown_key_is_refused(loader: Path, project: Path) -> None:
    """So that the other tests mean something."""
    file = project / "docker-compose.yml"
    file.write_text(file.read_text().replace("    image:", "    imagee:", 1))
    images, said = load(loader, project)
    assert images == {}
    assert "imagee" in said

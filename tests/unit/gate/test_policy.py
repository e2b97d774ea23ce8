"""The gate's policy: what a person may write, and what is refused in one sentence."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
import yaml

from slo.errors import LoadError
from slo.gate.policy import Policy, default_text, load_policy


def load(folder: Path, text: str) -> Policy:
    file = folder / "policy.yaml"
    file.write_text(text)
    return load_policy(file)[0]


def test_the_default_policy_knows_the_lanes() -> None:
    """Edge to stable, stable to LTS, and the hotfix lane with fewer checks."""
    policy, name = load_policy(None)
    assert [(t.source, t.target) for t in policy.transitions] == [
        ("edge", "stable"), ("stable", "lts"), ("hotfix", "stable"),
    ]  # fmt: skip
    hotfix = policy.transition("hotfix", "stable", name)
    assert hotfix.budgets == ()
    assert "*" not in hotfix.checks


def test_the_default_policy_follows_the_published_schema() -> None:
    """Editors check what people write against it."""
    jsonschema.validate(yaml.safe_load(default_text()), Policy.model_json_schema())


def test_shares_and_rates_are_exact(tmp_path: Path) -> None:
    """10% is Decimal("0.1"), 1.5 is Decimal("1.5")."""
    text = "transitions: [{from: a, to: b, budgets: [{least_left: 10%, most_burn: {1h: 1.5}}]}]"
    (rule,) = load(tmp_path, text).transitions[0].budgets
    assert (rule.least_left, rule.most_burn) == (Decimal("0.1"), {"1h": Decimal("1.5")})


def test_the_name_of_a_policy_holds_its_digest(tmp_path: Path) -> None:
    """A verdict says by which text it was reached."""
    file = tmp_path / "policy.yaml"
    names = []
    for target in "bc":
        file.write_text(f"transitions: [{{from: a, to: {target}}}]")
        names.append(load_policy(file)[1])
    assert all(n.startswith("policy.yaml@sha256:") for n in names)
    assert names[0] != names[1]


REFUSED = {
    "transitions: []": "'transitions'",
    "transitions: [{from: a, to: b, chekcs: []}]": "did you mean 'checks'",
    "transitions: [{from: a}]": "'transitions.0.to'",
    "transitions: [{from: a, to: b, budgets: [{least_left: 0.1}]}]": "such as '10%'",
    "transitions: [{from: a, to: b, budgets: [{most_burn: {1h: -1}}]}]": "a number above 0",
    "transitions: [{from: a, to: b, budgets: [{most_burn: {2h: 1}}]}]": "'5m', '1h', '6h', '1d' or '3d'",
    "transitions: [{from: a, to: b, budgets: [{select: {team: x}}]}]": "'slo', 'service'",
    "transitions: [{from: a, to: b, waive: {x: no}}]": "'transitions.0.waive.x'",
    "transitions: [{from: a, to: b, waive: {x: short}}]": "at least 10 characters",
    "transitions: [{from: a, to: b, unknown: ignore}]": "'block' or 'pass'",
    "transitions: [{from: a, to: b}]\noverrides: [{check: x, who: me@x, expires: 2026-11-30T00:00:00Z}]": "reason",
    "transitions: [{from: a, to: b}]\noverrides: [{check: x, reason: a good reason, expires: 2026-11-30T00:00:00Z}]": "who",
    "transitions: [{from: a, to: b}]\noverrides: [{check: x, reason: a good reason, who: me@x}]": "expires",
    "transitions: [{from: a, to: b}]\noverrides: [{check: x, reason: a good reason, who: me@x, expires: '2026-11-30T00:00:00'}]": "time zone",
    "transitions: [{from: a, to: b}]\noverrides: [{check: 'x*', reason: a good reason, who: me@x, expires: 2026-11-30T00:00:00Z}]": "without wildcards",
    "stale: soon\ntransitions: [{from: a, to: b}]": "'stale'",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_policy_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    """With the file, the place and the remedy."""
    with pytest.raises(LoadError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert REFUSED[text] in message
    assert "policy.yaml" in message
    assert "\n" not in message


def test_a_transition_that_is_not_there_names_those_that_are() -> None:
    """The remedy."""
    policy, name = load_policy(None)
    with pytest.raises(
        LoadError, match="no transition from edge to lts; it has edge to stable, stable to lts"
    ):
        policy.transition("edge", "lts", name)

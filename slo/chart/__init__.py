"""The Helm backend: a chart of a stack's rules, dashboards, Alertmanager configuration and exporters."""

from slo.chart.build import build
from slo.chart.compose import compose
from slo.chart.content import Board, Content, Probing, Variant
from slo.chart.size import warning

__all__ = ["Board", "Content", "Probing", "Variant", "build", "compose", "warning"]

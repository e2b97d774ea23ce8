"""Service level objectives as code. This is the package a definition file imports, and the only one."""

from slo.errors import DefinitionError, SLOError
from slo.model import (
    SLO,
    Above,
    AlertPolicy,
    Below,
    GoldenSignals,
    Monitor,
    NearZero,
    NotExploding,
    NotMeasured,
    Service,
    Signal,
    Stack,
    WhileDemand,
)
from slo.quantity import Duration, Objective, Window
from slo.sli import Composite, Freshness, Latency, Ratio, TimeSlice, Uptime

__all__ = [
    "SLO",
    "Above",
    "AlertPolicy",
    "Below",
    "Composite",
    "DefinitionError",
    "Duration",
    "Freshness",
    "GoldenSignals",
    "Latency",
    "Monitor",
    "NearZero",
    "NotExploding",
    "NotMeasured",
    "Objective",
    "Ratio",
    "SLOError",
    "Service",
    "Signal",
    "Stack",
    "TimeSlice",
    "Uptime",
    "WhileDemand",
    "Window",
]

"""The sections of the benchmark. To add one, write a function from `Plan` to `Finding` and add it to this list."""

from benchmarks.findings import Section
from benchmarks.sections.campaign import measure_campaign
from benchmarks.sections.denormals import measure_denormals
from benchmarks.sections.growth import measure_growth
from benchmarks.sections.halving import measure_halving
from benchmarks.sections.memory import measure_memory
from benchmarks.sections.profile import measure_profile
from benchmarks.sections.speed import measure_speed
from benchmarks.sections.storage import measure_storage
from benchmarks.sections.widths import measure_widths

SECTIONS: dict[str, Section] = {
    "speed": measure_speed,
    "widths": measure_widths,
    "profile": measure_profile,
    "storage": measure_storage,
    "campaign": measure_campaign,
    "denormals": measure_denormals,
    "memory": measure_memory,
    "halving": measure_halving,
    "growth": measure_growth,
}
"""The sections in the order in which they run and are printed."""

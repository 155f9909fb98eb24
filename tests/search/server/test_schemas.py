import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from serving import serving

THERE = {"name": "small", "stage": "coarse", "number": 3, "figure": "losses"}


@pytest.fixture(scope="module")
def operations(searched):
    """What the published schema offers. Writing is allowed, so that a method it lacks is 405 and not 403."""
    with serving(searched / "studies.db", allow_write=True) as client:
        schema = schemathesis.openapi.from_url(f"{client.base_url}/api/v1/openapi.json")
        offered = schema.exclude(path_regex="/events$")  # a stream never ends
        yield [found.ok() for found in offered.get_all_operations()]


def ask(operation, n=20, **chosen):
    """Ask n times what an operation offers, and check each answer's status, type and form; return the statuses."""
    statuses = set()

    @given(case=operation.as_strategy(**chosen))
    @settings(max_examples=n, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case):
        statuses.add(case.call_and_validate().status_code)

    check()
    return statuses


def test_answers_are_as_the_schema_says(operations):
    """Asked for what is there, with any query that fits, each operation answers 200, in the published form."""
    assert len(operations) == 6
    for operation in operations:
        named = {parameter.name for parameter in operation.path_parameters}
        there = {"path_parameters": {name: THERE[name] for name in named}} if named else {}
        assert 200 in ask(operation, **there), operation.label


def test_refusals_are_as_the_schema_says(operations):
    """Asked for what is not there, each operation answers with a published status, in the published form."""
    for operation in operations:
        assert ask(operation) <= {200, 404}, operation.label


def test_what_does_not_fit_is_refused_as_the_schema_says(operations):
    """Asked with numbers or words that do not fit, an operation refuses them, in the published form."""
    limited = [o for o in operations if {parameter.name for parameter in o.iter_parameters()} - {"name", "stage"}]
    assert len(limited) == 3
    for operation in limited:
        assert ask(operation, generation_mode=GenerationMode.NEGATIVE) <= {404, 405, 422}, operation.label

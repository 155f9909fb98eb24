"""The HTTP API matches its published schema."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from serving import serving

EXISTING = {"name": "small", "stage": "coarse", "number": 3, "figure": "losses"}


@pytest.fixture(scope="module")
def operations(searched):
    """Return the operations in the published schema, with writing allowed so that an unknown method is a 405."""
    log = searched / "logs/small/trials/coarse-3.log"  # as a trial of user code leaves it
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("printed", "utf-8")
    with serving(searched / "studies.db", allow_write=True) as client:
        schema = schemathesis.openapi.from_url(f"{client.base_url}/api/v1/openapi.json")
        included = schema.exclude(path_regex="/events$")  # a stream never ends
        yield [parsed.ok() for parsed in included.get_all_operations()]


def call(operation, n=20, **chosen):
    """Call an operation n times, validate each response against the schema, and return the statuses."""
    statuses = set()

    @given(case=operation.as_strategy(**chosen))
    @settings(max_examples=n, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case):
        statuses.add(case.call_and_validate().status_code)

    check()
    return statuses


def test_responses_match_the_schema(operations):
    """With existing path parameters and valid queries, each operation responds with 200 as published."""
    assert len(operations) == 7
    for operation in operations:
        named = {parameter.name for parameter in operation.path_parameters}
        existing = {"path_parameters": {name: EXISTING[name] for name in named}} if named else {}
        assert 200 in call(operation, **existing), operation.label


def test_errors_match_the_schema(operations):
    """With any valid path parameters, each operation responds with a published status."""
    for operation in operations:
        assert call(operation) <= {200, 404}, operation.label


def test_invalid_requests_match_the_schema(operations):
    """With invalid parameters, each operation responds with a published error."""
    limited = [o for o in operations if {parameter.name for parameter in o.iter_parameters()} - {"name", "stage"}]
    assert len(limited) == 4
    for operation in limited:
        assert call(operation, generation_mode=GenerationMode.NEGATIVE) <= {404, 405, 422}, operation.label

"""The document for programs: true to what is answered, whatever is sent."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lab.dashboard import Dashboard

DOCUMENT = "/api/v1/openapi/openapi.json"
EXAMPLES = 18  # of each operation: of data that fits, and again of data that does not
SCHEDULES = {"/api/v1/schedules", "/api/v1/schedules/{schedule_id}"}  # where made up words hardly ever fit
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class Trial:
    """Asks one operation after another what schemathesis makes up, and half of the time by names that there are."""

    program: httpx.Client
    known: dict[str, str]
    statuses: Counter[int] = field(default_factory=Counter)

    def of(self, operation: Any, mode: GenerationMode) -> None:
        self._tidy()

        @seed(8)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
        def ask(case: Any, is_known: bool) -> None:
            if is_known:
                case.path_parameters = {name: self.known[name] for name in case.path_parameters}
                if isinstance(case.body, dict) and operation.path in SCHEDULES:
                    numbers = {name: value for name, value in case.body.items() if isinstance(value, int)}
                    case.body = {**numbers, "name": "Made up", "cron": "15 4 * * *"}
            headers = {"authorization": self.program.headers["authorization"]}
            self.statuses[case.call_and_validate(headers=headers, checks=CHECKS).status_code] += 1

        ask()

    def _tidy(self) -> None:
        """Undo what the operation before may have done: removed the schedule, held everything."""
        self.program.post("/api/v1/schedules", json={"schedule_id": "slow", "cron": "0 3 1 1 *"})
        assert self.program.post("/api/v1/emergency-stop/release").status_code == 200


def test_whatever_is_sent_the_answer_is_one_that_the_document_describes(served: Dashboard) -> None:
    with served.program() as program:
        headers = {"authorization": program.headers["authorization"]}
        schema = schemathesis.openapi.from_url(f"{served.address}{DOCUMENT}", headers=headers)
        begun = program.post("/api/v1/schedules/slow/run").json()
        plan = program.post("/api/v1/plans", json={}).json()
        known = {"schedule_id": "slow", "execution_id": begun["execution_id"], "plan_id": plan["plan_id"]}
        trial = Trial(program, known)

        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            trial.of(operation, GenerationMode.POSITIVE)
            if list(operation.query) or list(operation.body):  # any text is a path that fits
                trial.of(operation, GenerationMode.NEGATIVE)

        assert served.process.poll() is None
    assert {200, 201, 400, 404, 409} <= trial.statuses.keys()


def test_the_document_holds_what_programs_ask_and_no_page(served: Dashboard) -> None:
    with served.program(read_only=True) as program, served.anybody() as stranger:
        document = program.get(DOCUMENT).json()
        unknown = stranger.get(DOCUMENT)

    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    assert unknown.status_code == 401
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert {tag["name"] for tag in document["tags"]} == {tag for *_, one in operations for tag in one["tags"]}
    for path, method, operation in operations:
        assert path.startswith("/api/v1/") or path in {"/healthz", "/metrics"}, path
        assert operation["summary"], path
        assert operation["description"], path
        if path == "/healthz":
            continue
        assert operation["security"] == [{"token": []}], path
        assert {"400", "401", "403"} <= operation["responses"].keys(), path
        assert ({"413", "415"} <= operation["responses"].keys()) == (method != "get"), path
        for status, answer in operation["responses"].items():
            kinds = [content["schema"].get("$ref") for content in answer["content"].values()]
            assert (kinds == ["#/components/schemas/Problem"]) == (status >= "400"), (path, status)


def test_the_document_says_which_numbers_are_allowed(served: Dashboard) -> None:
    with served.program(read_only=True) as program:
        schemas = program.get(DOCUMENT).json()["components"]["schemas"]

    assert schemas["WantedSelection"]["properties"]["target_percent"]["maximum"] == 100
    assert schemas["WantedSchedule"]["properties"]["retries"]["maximum"] == 10
    assert schemas["WantedGuards"]["properties"]["max_temperature"]["minimum"] == 20

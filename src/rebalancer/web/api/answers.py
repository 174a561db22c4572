"""What every question of a program has in common: how its body is read, and how an error is told and documented."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import ValidationException
from litestar.openapi import ResponseSpec
from litestar.params import Parameter
from msgspec import Struct

from rebalancer.errors import UsageError

_SENTENCES = {
    400: "The request cannot be understood: no JSON, a wrong type, an unknown field, or a value that is not allowed.",
    401: "No token, or one that does not count.",
    403: "The token may only read, or it must not be done.",
    404: "There is nothing of that name.",
    409: "Not now: it goes on already, or somebody else is at it.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not JSON.",
    500: "A record cannot be believed, or the server is at fault.",
}
_ALWAYS = (400, 401, 403, 500)
_CHANGING = (413, 415)


ScheduleId = Annotated[str, Parameter(description="The id of a schedule.")]
ExecutionId = Annotated[str, Parameter(description="The id of an execution.")]


class Problem(Struct, frozen=True):
    """Every answer that is none: one sentence for whoever asked."""

    error: str


def refusals(*more: int, changes: bool = False) -> dict[int, ResponseSpec]:
    """Return what else may be answered, for the OpenAPI document."""
    statuses = sorted({*_ALWAYS, *more, *(_CHANGING if changes else ())})
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=_SENTENCES[status]) for status in statuses
    }


class ProgramRequest(Request[Any, Any, Any]):
    """A request whose body is JSON of exactly the types that were declared: nothing is guessed or passed over."""

    async def json(self) -> Any:
        """Return the body as its handler declares it; raises UsageError naming the field that is wrong."""
        field = self.route_handler.parsed_data_field
        kind = Any if field is None else field.annotation
        try:
            return msgspec.json.decode(await self.body(), type=kind)
        except RecursionError as error:
            raise UsageError("the JSON is nested too deeply") from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise UsageError(in_words(str(error))) from error


def in_words(problem: str) -> str:
    """Return what msgspec says, with the field in front: ``selection.min_age: expected `int`, got `str```."""
    what, _, where = problem.partition(" - at `")
    field = where.removesuffix("`").removeprefix("$").removeprefix(".")
    sentence = what if what.startswith("JSON") else f"{what[:1].lower()}{what[1:]}"
    return f"{field}: {sentence}" if field else sentence


def wrong_parameter(_request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """Tell which parameter is wrong, or that the body is missing."""
    problems = error.extra if isinstance(error.extra, list) else []
    if any(one.get("key") == "data" for one in problems):
        return Response(Problem(error="send a body of JSON"), media_type=MediaType.JSON, status_code=400)
    sentences = [f"{one.get('key', '')}: {in_words(one.get('message', ''))}" for one in problems]
    return Response(Problem(error="; ".join(sentences) or error.detail), media_type=MediaType.JSON, status_code=400)


EXCEPTION_HANDLERS: Any = {ValidationException: wrong_parameter}

"""What a problem's `type` leads to: a page that explains it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import KINDS, NOT_FOUND, Kind, Problem
from api.schemas import jobs as schemas

router = APIRouter(tags=["problems"], route_class=ModelRoute, responses=PROBLEMS)


@router.get("/problems", summary="All kinds of problems")
async def list_problems() -> schemas.ProblemKinds:
    """Every kind of problem that this service answers with."""
    return schemas.ProblemKinds(problems=[_shape(kind) for kind in KINDS.values()])


@router.get("/problems/{code}", summary="A kind of problem")
async def explain_problem(
    code: Annotated[str, Path(description="The last part of a problem's `type`.")],
) -> schemas.ProblemKind:
    """One kind of problem."""
    if code not in KINDS:
        raise Problem(NOT_FOUND, f"There is no problem {code[:80]!r}. GET /problems lists them all.")
    return _shape(KINDS[code])


def _shape(kind: Kind) -> schemas.ProblemKind:
    return schemas.ProblemKind(type=kind.type, title=kind.title, status=kind.status, retry_after=kind.retry_after)

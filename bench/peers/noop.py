"""The limit of the framework: a POST that is parsed, checked and answered, and does nothing."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel


class Ask(BaseModel):
    """A client to predict for."""

    client_id: int


app = FastAPI()


@app.post("/predict", status_code=202)
async def predict(ask: Ask) -> dict[str, int]:
    """Say yes."""
    return {"id": ask.client_id}

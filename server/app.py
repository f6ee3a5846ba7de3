"""The application: its routers, its parts, and what it starts and stops."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import engine
from server import problems
from server.dependencies import Services
from server.hub import Hubs
from server.origin import SameMachine
from server.routes import datasets, events, jobs, system
from worker.connection import Place
from worker.reconciler import Reconciler


def create_app(place: Place, auth: bool = False) -> FastAPI:
    """The service on a store and a data folder; with ``auth``, API keys are required."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        shutil.rmtree(place.data / "uploads", ignore_errors=True)  # uploads that a dead server had begun
        app.state.services = Services(place, place.connect(patience_s=5), Hubs(place), auth)
        reconciler = Reconciler(place)
        reconciler.start()
        yield
        reconciler.stop()
        await app.state.services.hubs.close()

    app = FastAPI(
        title="Epochline", version=engine.__version__, lifespan=lifespan, summary="Train neural networks somewhere else.",
        description="POST a spec, upload a dataset, watch the loss. Errors are RFC 9457 problems with a JSON pointer to each fault.",
    )  # fmt: skip
    problems.install(app)
    if not auth:
        app.add_middleware(SameMachine)
    for module in (system, datasets, jobs, events):
        app.include_router(module.router)
    app.mount("/page", StaticFiles(directory=system.PAGE), name="page")
    return app

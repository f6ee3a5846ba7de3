"""The application: its routers, its parts, and what it starts and stops."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles

import engine
from server import docs, openapi, problems
from server.access import AccessLog
from server.dependencies import Services, api_key_owner, known_query
from server.hub import Hubs
from server.origin import SameMachine
from server.predictions import Predictors
from server.routes import datasets, events, jobs, models, predict, results, session, specs, system, weights
from worker.deployment import Deployment, eviction_warning
from worker.logs import logger
from worker.migrations import migrate
from worker.reconciler import Reconciler

_log = logger("server")


def create_app(deployment: Deployment, auth: bool = False) -> FastAPI:
    """The service on a Redis and a data folder; with ``auth``, API keys are required."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        shutil.rmtree(deployment.data / "uploads", ignore_errors=True)  # uploads that a dead server had begun
        redis = deployment.connect(patience_s=5)
        migrate(redis)
        if warning := eviction_warning(redis):
            _log.warning(warning)
        app.state.services = Services(deployment, redis, Hubs(deployment), Predictors(deployment), auth)
        reconciler = Reconciler(deployment)
        reconciler.start()
        yield
        reconciler.stop()
        await app.state.services.predictors.close()
        await app.state.services.hubs.close()

    app = FastAPI(
        title="Epochline", version=engine.__version__, lifespan=lifespan, summary="Train neural networks somewhere else.",
        description="POST a spec, upload a dataset, watch the loss. Errors are RFC 9457 problems with a JSON pointer to each fault.",
        docs_url=None, redoc_url=None, openapi_tags=openapi.TAGS,
    )  # fmt: skip
    problems.install(app)
    openapi.install(app, auth)
    if not auth:
        app.add_middleware(SameMachine)
    app.add_middleware(docs.SecurityHeaders)
    app.add_middleware(AccessLog)
    app.include_router(docs.router)
    for module in (system, session):
        app.include_router(module.router, dependencies=[Depends(known_query)])
    for module in (datasets, specs, jobs, events, results, predict, models, weights):
        app.include_router(module.router, dependencies=[Depends(api_key_owner), Depends(known_query)])
    app.mount("/page", StaticFiles(directory=docs.PAGE), name="page")
    return app

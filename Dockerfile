# syntax=docker/dockerfile:1
# Targets: server, worker (CPU), worker-gpu. Build one with: docker build --target server .

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY scripts/build.py scripts/build_kernels.py scripts/
COPY client client
COPY engine engine
COPY server server
COPY worker worker
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim AS base
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && useradd --create-home --uid 10001 epochline && install -d -o epochline /data
ENV EPOCHLINE_DATA=/data PYTHONUNBUFFERED=1
USER epochline
VOLUME /data

FROM base AS server
EXPOSE 8000
CMD ["epochline", "serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "0"]

FROM base AS worker
CMD ["epochline", "worker", "--device", "cpu"]

FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04 AS worker-gpu
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/epochline
ENV PATH=/opt/epochline/bin:$PATH EPOCHLINE_DATA=/data PYTHONUNBUFFERED=1
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[cuda]" && useradd --create-home --uid 10001 epochline && install -d -o epochline /data
USER epochline
VOLUME /data
CMD ["epochline", "worker", "--device", "cuda:0"]

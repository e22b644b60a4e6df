# syntax=docker/dockerfile:1
# The program with the embedding model inside. Runs as it is on SQLite:
#
#     docker build --tag commontrace .
#     docker run --read-only --tmpfs /tmp --volume commontrace:/data --publish 127.0.0.1:8000:8000 commontrace
#
# compose.yaml runs several of them on PostgreSQL and Redis. Needs BuildKit, which is what `docker build` uses.
#
# Base images are named by their most exact tag and not by digest: a digest belongs into the registry that the images
# are mirrored to. Distroless has no dated tags; `nonroot` moves with Debian's security updates.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
ENV CARGO_TARGET_DIR=/target
# Such as `otel,sentry`; docs/operations.md says what each does.
ARG FEATURES=""
# The sources are read where they are; what cargo fetches and compiles stays in the builder's cache and not in a layer.
RUN --mount=type=bind,target=/src \
    --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/target,sharing=locked \
    cargo build --release --locked --package commontrace --features "${FEATURES}" \
    && install -D --mode=755 /target/release/commontrace /out/usr/bin/commontrace \
    && install -d --mode=700 /out/data

FROM python:3.12.11-slim-bookworm AS model
# Verifies the files against the SHA-256 sums it carries.
RUN --mount=type=bind,source=scripts/fetch-model.sh,target=/fetch-model.sh \
    bash /fetch-model.sh /model \
    && chmod 755 /model \
    && chmod 644 /model/*

# glibc, libgcc and the certificate authorities, and nothing else: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="CommonTrace" \
      org.opencontainers.image.description="A shared memory of solved problems for coding agents" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=model /model /usr/share/commontrace/model
COPY --from=build /out/usr/bin/commontrace /usr/bin/commontrace
# 65532 is `nonroot`. A new volume takes over owner and mode from here.
COPY --from=build --chown=65532:65532 /out/data /data
ENV COMMONTRACE_LISTEN=0.0.0.0:8000 \
    COMMONTRACE_DATA_DIR=/data \
    COMMONTRACE_MODEL_DIR=/usr/share/commontrace/model \
    COMMONTRACE_LOG_FORMAT=json
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether it runs, not whether it is ready: an orchestrator that replaces unhealthy containers must not replace all of
# them because the database is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/commontrace", "health"]
ENTRYPOINT ["/usr/bin/commontrace"]
CMD ["serve"]

# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked \
 && install -D target/release/image-factory /out/image-factory

FROM debian:12-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap ca-certificates grub-common \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/image-factory --create-home image-factory
COPY --from=build /out/image-factory /usr/local/bin/image-factory
USER image-factory
# all state; schematics live here unless the configuration puts them elsewhere
ENV STATE_DIRECTORY=/var/lib/image-factory
VOLUME /var/lib/image-factory
EXPOSE 8080 2122
# the image has no HTTP client, but its shell can speak to a socket
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200'"]
ENTRYPOINT ["image-factory"]
CMD ["serve"]

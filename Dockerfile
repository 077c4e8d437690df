# The image of perpro: one static program and nothing else.
#   docker build -t perpro:dev .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/perpro:TAG --push .
# e2e/cluster puts a folder with the program, built already, in place of the stage named "build".
#
# The compiler runs on the machine's own architecture and makes a program for the image's: no emulation.
FROM --platform=$BUILDPLATFORM rust:1.95 AS build
ARG TARGETARCH
WORKDIR /source
COPY . .
RUN set -eu; \
    arch=${TARGETARCH:-$(dpkg --print-architecture)}; \
    case "$arch" in \
        amd64) cpu=x86_64 ;; \
        arm64) cpu=aarch64 ;; \
        *) echo "perpro is not built for $arch" >&2; exit 1 ;; \
    esac; \
    target=$cpu-unknown-linux-gnu; \
    if [ "$(uname -m)" != "$cpu" ]; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends \
            "gcc-$(echo "$cpu" | tr _ -)-linux-gnu" "libc6-dev-$arch-cross"; \
        rustup target add "$target"; \
        export "CARGO_TARGET_$(echo "$target" | tr a-z- A-Z_)_LINKER=$cpu-linux-gnu-gcc"; \
    fi; \
    cargo build --release --locked --package perpro --target "$target"; \
    mkdir /out; \
    cp "target/$target/release/perpro" /out/perpro

FROM scratch
COPY --from=build /out/perpro /perpro
USER 65532:65532
ENTRYPOINT ["/perpro"]

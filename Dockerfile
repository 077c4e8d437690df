# The image of perpro: one static program and nothing else.
#   docker build -t perpro:dev .
# e2e/cluster puts a folder with the program, built already, in place of the stage named "build".
FROM rust:1.95 AS build
WORKDIR /source
COPY . .
# The linker's target is named in .cargo/config.toml, so it is part of the path.
RUN cargo build --release --locked --package perpro && \
    mkdir /out && cp target/*-unknown-linux-gnu/release/perpro /out/perpro

FROM scratch
COPY --from=build /out/perpro /perpro
USER 65532:65532
ENTRYPOINT ["/perpro"]

# The whole image is one static program that runs as a numeric, unprivileged user.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
# On Alpine the program is linked statically against musl.
RUN cargo build --release --locked --package tidegate --bin tidegate

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/tidegate /tidegate
USER 65532:65532
ENTRYPOINT ["/tidegate"]
CMD ["controller"]

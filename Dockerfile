# CPU:   docker build -t stemsplit .
# CUDA:  docker build -t stemsplit:cuda --build-arg EXTRAS=remote,ray,cuda .
#        docker run --gpus all ... stemsplit:cuda --device cuda ...
FROM python:3.12-slim AS build
ARG EXTRAS=remote,ray
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY models ./models
COPY examples ./examples
COPY docs/man ./docs/man
RUN python -m venv /opt/stemsplit \
    && /opt/stemsplit/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.12-slim
COPY --from=build /opt/stemsplit /opt/stemsplit
ENV PATH=/opt/stemsplit/bin:$PATH
RUN useradd --create-home stemsplit
USER stemsplit
WORKDIR /home/stemsplit
ENTRYPOINT ["stemsplit"]
CMD ["--help"]

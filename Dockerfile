# One image for every process of hamtune; docker-compose.yml says who runs what.
FROM python:3.12-slim AS build

WORKDIR /src
RUN python -m venv /opt/hamtune
ENV PATH=/opt/hamtune/bin:$PATH
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY ham ham
COPY search_spaces search_spaces
COPY service service
COPY benchmarks benchmarks
RUN pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.12-slim

RUN useradd --create-home --uid 1000 hamtune \
    && install --directory --owner=hamtune /data /datasets /states
COPY --from=build /opt/hamtune /opt/hamtune
USER hamtune
WORKDIR /data
ENV PATH=/opt/hamtune/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HAMTUNE_DATA_DIR=/data
EXPOSE 8642
CMD ["hamtune", "serve", "--host", "0.0.0.0"]

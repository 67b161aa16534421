# One image for the API and for the workers; docker-compose.yml says who runs what.
FROM python:3.12-slim

RUN useradd --create-home hamtune
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY ham ham
COPY search_spaces search_spaces
COPY service service
COPY benchmarks benchmarks
RUN pip install --no-cache-dir --constraint constraints.txt . \
    && install --directory --owner=hamtune /data

USER hamtune
WORKDIR /data
ENV HAMTUNE_DATA_DIR=/data
EXPOSE 8642
CMD ["hamtune", "serve", "--host", "0.0.0.0"]

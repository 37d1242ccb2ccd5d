# One image for web, worker, beat and migrate; docker-compose.yml gives each its command.
FROM python:3.11-slim

# implicit's wheels expect the OpenMP runtime of the system. The version is Debian's: its mirrors keep only the newest.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app

# Before the code is copied, so that a change of code does not reinstall everything. Wheels only, because the image has no compiler.
# EXTRA: another requirements file, for Parquet imports, maps by t-SNE, or large catalogues.
ARG EXTRA=""
COPY requirements.txt requirements-parquet.txt requirements-map.txt requirements-faiss.txt ./
RUN pip install --no-cache-dir --only-binary :all: -r requirements.txt ${EXTRA:+-r "$EXTRA"}

# A new volume gets the owner of the folder that it is mounted on, so the folders must exist.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin musicrec \
    && install --directory --owner musicrec --group musicrec /var/lib/musicrec /var/lib/musicrec/models /var/lib/musicrec/uploads
COPY . .

ENV MUSICREC_VAR_DIR=/var/lib/musicrec \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000

# /health/live, not /health/ready: replacing the process does not help if the database is unavailable.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]

CMD ["python", "-m", "musicrec.server", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "2"]

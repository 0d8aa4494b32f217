# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/ostiary
COPY requirements/production.txt requirements/
RUN /opt/ostiary/bin/pip install --no-cache-dir --require-hashes -r requirements/production.txt
COPY requirements/build.txt requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN /opt/build/bin/python -m flit_core.wheel --outdir dist \
    && /opt/ostiary/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.11-slim
RUN useradd --system --user-group --no-create-home ostiary
COPY --from=build /opt/ostiary /opt/ostiary
ENV PATH=/opt/ostiary/bin:$PATH PYTHONUNBUFFERED=1 \
    OSTIARY_ENV=production OSTIARY_HOST=0.0.0.0
USER ostiary
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["ostiary", "serve"]

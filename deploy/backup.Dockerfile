# The job of deploy/backup.yml: `lumiere backup` beside the programs of the same release of Postgres, which pg_dump must not be older than.
# Built on Postgres's own image, because its programs need the libraries of that image; Python and our code come from the operator's.
ARG POSTGRES_IMAGE=postgres:16
ARG OPERATOR_IMAGE=lumiere/operator:local
FROM ${OPERATOR_IMAGE} AS operator

FROM ${POSTGRES_IMAGE} AS backup
COPY --from=operator /usr/local /usr/local
COPY --from=operator /opt /opt
# What Python's ctypes needs and Postgres does not bring.
COPY --from=operator /usr/lib/*-linux-gnu/libffi.so.8* /usr/local/lib/
RUN ldconfig \
 && echo 'lumiere:x:1001:1001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'lumiere:x:1001:' >> /etc/group \
 && install -d -o 1001 -g 1001 -m 0700 /var/lib/lumiere /var/lib/lumiere/backups
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/lumiere PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/lumiere
USER 1001:1001
ENTRYPOINT ["python", "-m", "ops.cli", "backup"]
CMD ["create"]
HEALTHCHECK NONE

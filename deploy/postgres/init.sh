#!/bin/sh
# Runs once, when the database is made: the users of the roles. migrate() grants the roles their rights.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
  --set=worker="$WORKER_DB_PASSWORD" --set=maintenance="$MAINTENANCE_DB_PASSWORD" \
  --set=api="$API_DB_PASSWORD" --set=grafana="$GRAFANA_DB_PASSWORD" <<'SQL'
CREATE ROLE spillway_writer NOLOGIN;
CREATE ROLE spillway_maintenance NOLOGIN;
CREATE ROLE spillway_reader NOLOGIN;
CREATE ROLE spillway_api NOLOGIN;
CREATE ROLE worker LOGIN PASSWORD :'worker' IN ROLE spillway_writer;
CREATE ROLE maintenance LOGIN PASSWORD :'maintenance' IN ROLE spillway_maintenance;
CREATE ROLE api LOGIN PASSWORD :'api' IN ROLE spillway_api, spillway_reader;
CREATE ROLE grafana LOGIN PASSWORD :'grafana' IN ROLE spillway_reader;
-- Behind the pooler a client can't ask for it: what it gave up on would go on.
ALTER ROLE worker SET statement_timeout = '60s';
ALTER ROLE api SET statement_timeout = '60s';
ALTER ROLE grafana SET statement_timeout = '60s';
SQL

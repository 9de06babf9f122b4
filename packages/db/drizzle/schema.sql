-- The schema after all migrations. Generated: pnpm --filter @spillway/db schema:update


CREATE TABLE public.alerts (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  rule text NOT NULL,
  opened_at timestamp with time zone DEFAULT now() NOT NULL,
  resolved_at timestamp with time zone,
  value numeric NOT NULL,
  threshold numeric NOT NULL,
  details jsonb DEFAULT '{}'::jsonb NOT NULL,
  notified_opened_at timestamp with time zone,
  notified_resolved_at timestamp with time zone,
  CONSTRAINT alerts_pkey PRIMARY KEY (id)
);

CREATE TABLE public.api_call_logs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id text,
  request_id text,
  method text NOT NULL,
  endpoint text NOT NULL,
  status_code integer NOT NULL,
  duration_ms integer NOT NULL,
  ip_address text,
  user_agent text,
  error_message text,
  metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT api_call_logs_pkey PRIMARY KEY (id)
);

CREATE TABLE public.audit_dead_letters (
  id uuid NOT NULL,
  source_job text NOT NULL,
  reason text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  replayed_at timestamp with time zone,
  CONSTRAINT audit_dead_letters_pkey PRIMARY KEY (id)
);

CREATE TABLE public.audit_gaps (
  id uuid NOT NULL,
  kind text NOT NULL,
  shard integer,
  epoch bigint,
  from_seq bigint,
  to_seq bigint,
  detail jsonb DEFAULT '{}'::jsonb NOT NULL,
  detected_at timestamp with time zone DEFAULT now() NOT NULL,
  resolved_at timestamp with time zone,
  outbox_shard integer,
  outbox_epoch bigint,
  outbox_seq bigint,
  CONSTRAINT audit_gaps_pkey PRIMARY KEY (id),
  CONSTRAINT audit_gaps_range_check CHECK ((from_seq <= to_seq))
);

CREATE TABLE public.audit_logs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  actor_id text,
  action text NOT NULL,
  resource_type text NOT NULL,
  resource_id text,
  ip_address text,
  metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT audit_logs_pkey PRIMARY KEY (id)
);

CREATE TABLE public.audit_watermarks (
  shard integer NOT NULL,
  epoch bigint NOT NULL,
  through_seq bigint NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT audit_watermarks_pkey PRIMARY KEY (shard, epoch)
);

CREATE TABLE public.circuit_breaker_events (
  id uuid NOT NULL,
  breaker_name text NOT NULL,
  event_type text NOT NULL,
  failure_count bigint DEFAULT 0 NOT NULL,
  error_message text,
  metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
  breaker_epoch bigint,
  outbox_shard integer NOT NULL,
  outbox_epoch bigint NOT NULL,
  outbox_seq bigint NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  preset text DEFAULT ''::text NOT NULL,
  CONSTRAINT circuit_breaker_events_event_type_check CHECK ((event_type = ANY (ARRAY['opened'::text, 'closed'::text, 'half_open'::text, 'failure'::text, 'success'::text]))),
  CONSTRAINT circuit_breaker_events_pkey PRIMARY KEY (id)
);

CREATE TABLE public.generations (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id text NOT NULL,
  provider text NOT NULL,
  model text,
  status text DEFAULT 'pending'::text NOT NULL,
  prompt text,
  parameters jsonb DEFAULT '{}'::jsonb NOT NULL,
  result_url text,
  error_message text,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT generations_pkey PRIMARY KEY (id),
  CONSTRAINT generations_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
);

CREATE TABLE public.rate_limits_v2 (
  id uuid NOT NULL,
  key text NOT NULL,
  tier text NOT NULL,
  action text NOT NULL,
  identifier text NOT NULL,
  limit_count bigint NOT NULL,
  window_ms bigint NOT NULL,
  request_count bigint NOT NULL,
  denied_count bigint DEFAULT 0 NOT NULL,
  window_start timestamp with time zone NOT NULL,
  last_request_at timestamp with time zone NOT NULL,
  blocked_until timestamp with time zone NOT NULL,
  mode text DEFAULT 'enforce'::text NOT NULL,
  outbox_shard integer NOT NULL,
  outbox_epoch bigint NOT NULL,
  outbox_seq bigint NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT rate_limits_v2_mode_check CHECK ((mode = ANY (ARRAY['enforce'::text, 'shadow'::text]))),
  CONSTRAINT rate_limits_v2_pkey PRIMARY KEY (id)
) WITH (fillfactor=90);

CREATE TABLE public.system_metrics (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  metric_name text NOT NULL,
  metric_value numeric NOT NULL,
  metric_unit text,
  tags jsonb DEFAULT '{}'::jsonb NOT NULL,
  recorded_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT system_metrics_finite_check CHECK (((metric_value > '-Infinity'::numeric) AND (metric_value < 'Infinity'::numeric))),
  CONSTRAINT system_metrics_name_check CHECK ((metric_name <> ''::text)),
  CONSTRAINT system_metrics_pkey PRIMARY KEY (id)
);

CREATE TABLE archive.api_call_logs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id text,
  request_id text,
  method text NOT NULL,
  endpoint text NOT NULL,
  status_code integer NOT NULL,
  duration_ms integer NOT NULL,
  ip_address text,
  user_agent text,
  error_message text,
  metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  archived_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT api_call_logs_pkey PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE archive.archival_runs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  run_id uuid,
  job_name text DEFAULT 'cron-archive-data'::text NOT NULL,
  started_at timestamp with time zone DEFAULT now() NOT NULL,
  finished_at timestamp with time zone,
  status text DEFAULT 'running'::text NOT NULL,
  table_name text,
  archived_count bigint DEFAULT 0 NOT NULL,
  deleted_count bigint DEFAULT 0 NOT NULL,
  cutoff timestamp with time zone,
  duration_ms bigint,
  error_message text,
  dry_run boolean DEFAULT false NOT NULL,
  details jsonb DEFAULT '{}'::jsonb NOT NULL,
  CONSTRAINT archival_runs_pkey PRIMARY KEY (id),
  CONSTRAINT archival_runs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'partial'::text, 'failed'::text, 'crashed'::text])))
);

CREATE TABLE archive.audit_logs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  actor_id text,
  action text NOT NULL,
  resource_type text NOT NULL,
  resource_id text,
  ip_address text,
  metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  archived_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT audit_logs_pkey PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE archive.generations (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  user_id text NOT NULL,
  provider text NOT NULL,
  model text,
  status text DEFAULT 'pending'::text NOT NULL,
  prompt text,
  parameters jsonb DEFAULT '{}'::jsonb NOT NULL,
  result_url text,
  error_message text,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL,
  archived_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT generations_pkey PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE archive.scheduled_runs (
  job_name text NOT NULL,
  slot timestamp with time zone NOT NULL,
  run_id uuid,
  status text NOT NULL,
  attempts integer DEFAULT 1 NOT NULL,
  started_at timestamp with time zone DEFAULT now() NOT NULL,
  finished_at timestamp with time zone,
  duration_ms bigint,
  error_message text,
  CONSTRAINT scheduled_runs_pkey PRIMARY KEY (job_name, slot),
  CONSTRAINT scheduled_runs_status_check CHECK ((status = ANY (ARRAY['baseline'::text, 'running'::text, 'completed'::text, 'partial'::text, 'failed'::text])))
);

CREATE UNIQUE INDEX alerts_open_key ON public.alerts USING btree (rule) WHERE (resolved_at IS NULL);
CREATE INDEX alerts_opened_at_idx ON public.alerts USING btree (opened_at);
CREATE INDEX alerts_untold_idx ON public.alerts USING btree (opened_at) WHERE ((notified_opened_at IS NULL) OR ((resolved_at IS NOT NULL) AND (notified_resolved_at IS NULL)));
CREATE INDEX api_call_logs_created_at_idx ON public.api_call_logs USING btree (created_at);
CREATE INDEX api_call_logs_user_idx ON public.api_call_logs USING btree (user_id, created_at);
CREATE INDEX audit_dead_letters_created_at_idx ON public.audit_dead_letters USING btree (created_at, id);
CREATE INDEX audit_dead_letters_waiting_idx ON public.audit_dead_letters USING btree (created_at) WHERE (replayed_at IS NULL);
CREATE INDEX audit_gaps_detected_at_idx ON public.audit_gaps USING btree (detected_at);
CREATE INDEX audit_gaps_unresolved_idx ON public.audit_gaps USING btree (kind, detected_at) WHERE (resolved_at IS NULL);
CREATE INDEX audit_logs_actor_idx ON public.audit_logs USING btree (actor_id, created_at);
CREATE INDEX audit_logs_created_at_idx ON public.audit_logs USING btree (created_at);
CREATE INDEX audit_logs_resource_idx ON public.audit_logs USING btree (resource_type, resource_id, created_at);
CREATE INDEX circuit_breaker_events_breaker_idx ON public.circuit_breaker_events USING btree (breaker_name, created_at);
CREATE INDEX circuit_breaker_events_created_at_idx ON public.circuit_breaker_events USING btree (created_at, breaker_name, event_type);
CREATE UNIQUE INDEX circuit_breaker_events_transition_key ON public.circuit_breaker_events USING btree (breaker_name, preset, breaker_epoch, event_type) WHERE (breaker_epoch IS NOT NULL);
CREATE INDEX generations_created_at_idx ON public.generations USING btree (created_at);
CREATE INDEX generations_unfinished_idx ON public.generations USING btree (created_at) WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]));
CREATE INDEX generations_user_idx ON public.generations USING btree (user_id, created_at);
CREATE INDEX rate_limits_v2_blocked_until_idx ON public.rate_limits_v2 USING btree (blocked_until);
CREATE INDEX rate_limits_v2_created_at_idx ON public.rate_limits_v2 USING btree (created_at, id);
CREATE INDEX rate_limits_v2_who_idx ON public.rate_limits_v2 USING btree (tier, identifier, blocked_until);
CREATE INDEX system_metrics_recorded_at_idx ON public.system_metrics USING btree (recorded_at);
CREATE INDEX system_metrics_stats_idx ON public.system_metrics USING btree (metric_name, recorded_at DESC, metric_value);
CREATE INDEX api_call_logs_created_at_brin ON ONLY archive.api_call_logs USING brin (created_at);
CREATE INDEX archival_runs_job_idx ON archive.archival_runs USING btree (job_name, started_at);
CREATE INDEX archival_runs_started_at_idx ON archive.archival_runs USING btree (started_at);
CREATE INDEX audit_logs_created_at_brin ON ONLY archive.audit_logs USING brin (created_at);
CREATE INDEX generations_created_at_brin ON ONLY archive.generations USING brin (created_at);

CREATE OR REPLACE FUNCTION public.get_metric_stats(p_name text, p_hours integer DEFAULT 24)
 RETURNS TABLE(min_value numeric, max_value numeric, avg_value numeric, count bigint, last_value numeric, last_recorded_at timestamp with time zone, p50 double precision, p95 double precision, p99 double precision)
 LANGUAGE sql
 STABLE
BEGIN ATOMIC
 SELECT s.min_value,
     s.max_value,
     s.avg_value,
     s.sample_count,
     l.metric_value,
     l.recorded_at,
     s.percentiles[1] AS percentiles,
     s.percentiles[2] AS percentiles,
     s.percentiles[3] AS percentiles
    FROM (( SELECT min(m.metric_value) AS min_value,
             max(m.metric_value) AS max_value,
             avg(m.metric_value) AS avg_value,
             count(*) AS sample_count,
             percentile_cont((ARRAY[0.5, 0.95, 0.99])::double precision[]) WITHIN GROUP (ORDER BY ((m.metric_value)::double precision)) AS percentiles
            FROM system_metrics m
           WHERE ((m.metric_name = get_metric_stats.p_name) AND (m.recorded_at > (now() - make_interval(hours => get_metric_stats.p_hours))))) s
      LEFT JOIN LATERAL ( SELECT m.metric_value,
             m.recorded_at
            FROM system_metrics m
           WHERE ((m.metric_name = get_metric_stats.p_name) AND (m.recorded_at > (now() - make_interval(hours => get_metric_stats.p_hours))))
           ORDER BY m.recorded_at DESC
          LIMIT 1) l ON (true));
END
;

CREATE OR REPLACE FUNCTION public.record_metric(p_name text, p_value numeric, p_unit text DEFAULT NULL::text, p_tags jsonb DEFAULT '{}'::jsonb)
 RETURNS uuid
 LANGUAGE sql
BEGIN ATOMIC
 INSERT INTO system_metrics (metric_name, metric_value, metric_unit, tags)
   VALUES (record_metric.p_name, record_metric.p_value, record_metric.p_unit, COALESCE(record_metric.p_tags, '{}'::jsonb))
   RETURNING system_metrics.id;
END
;

-- The schema after all migrations. Generated: pnpm --filter @spillway/migrations schema:update


CREATE TABLE spillway.alerts (
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

CREATE TABLE spillway.api_keys (
  id uuid NOT NULL,
  name text NOT NULL,
  secret_hash bytea NOT NULL,
  scopes text[] NOT NULL,
  replaces uuid,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  last_used_at timestamp with time zone,
  CONSTRAINT api_keys_hash_check CHECK ((octet_length(secret_hash) = 32)),
  CONSTRAINT api_keys_pkey PRIMARY KEY (id),
  CONSTRAINT api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['decide'::text, 'report'::text, 'read'::text, 'metrics'::text, 'operate'::text, 'maintain'::text, 'admin'::text])))
);

CREATE TABLE spillway.audit_dead_letters (
  id uuid NOT NULL,
  source_job text NOT NULL,
  reason text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  replayed_at timestamp with time zone,
  outbox_shard integer,
  outbox_epoch bigint,
  outbox_seq bigint,
  CONSTRAINT audit_dead_letters_pkey PRIMARY KEY (id)
);

CREATE TABLE spillway.audit_epochs (
  shard integer NOT NULL,
  epoch bigint NOT NULL,
  stored_seq bigint DEFAULT 0 NOT NULL,
  stored_entry text DEFAULT '0-0'::text NOT NULL,
  seen_seq bigint DEFAULT 0 NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT audit_epochs_pkey PRIMARY KEY (shard, epoch)
) WITH (fillfactor=50);

CREATE TABLE spillway.audit_gaps (
  id uuid NOT NULL,
  kind text NOT NULL,
  shard integer,
  epoch bigint,
  from_seq bigint,
  to_seq bigint,
  seqs int8multirange,
  detail jsonb DEFAULT '{}'::jsonb NOT NULL,
  detected_at timestamp with time zone DEFAULT now() NOT NULL,
  resolved_at timestamp with time zone,
  outbox_shard integer,
  outbox_epoch bigint,
  outbox_seq bigint,
  CONSTRAINT audit_gaps_pkey PRIMARY KEY (id),
  CONSTRAINT audit_gaps_range_check CHECK ((from_seq <= to_seq))
);

CREATE TABLE spillway.audit_watermarks (
  shard integer NOT NULL,
  epoch bigint NOT NULL,
  through_seq bigint NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT audit_watermarks_pkey PRIMARY KEY (shard, epoch)
);

CREATE TABLE spillway.changes (
  id uuid NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  object_kind text NOT NULL,
  object text NOT NULL,
  before jsonb,
  after jsonb,
  note text,
  outbox_shard integer,
  outbox_epoch bigint,
  outbox_seq bigint,
  CONSTRAINT changes_pkey PRIMARY KEY (id)
);

CREATE TABLE spillway.decision_counts (
  policy text NOT NULL,
  outcome text NOT NULL,
  minute timestamp with time zone NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT decision_counts_pkey PRIMARY KEY (minute, policy, outcome)
) WITH (fillfactor=70);

CREATE TABLE spillway.decision_counts_hourly (
  policy text NOT NULL,
  outcome text NOT NULL,
  hour timestamp with time zone NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT decision_counts_hourly_pkey PRIMARY KEY (hour, policy, outcome)
) WITH (fillfactor=70);

CREATE TABLE spillway.decision_reports (
  id uuid NOT NULL,
  policy text NOT NULL,
  outcome text NOT NULL,
  count bigint NOT NULL,
  over_ms bigint NOT NULL,
  recorded_at timestamp with time zone NOT NULL,
  outbox_shard integer NOT NULL,
  outbox_epoch bigint NOT NULL,
  outbox_seq bigint NOT NULL,
  CONSTRAINT decision_reports_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05, autovacuum_analyze_scale_factor=0.02);

CREATE TABLE spillway.job_runs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  job text NOT NULL,
  due_at timestamp with time zone,
  trigger text NOT NULL,
  dry_run boolean DEFAULT false NOT NULL,
  status text DEFAULT 'running'::text NOT NULL,
  attempts integer DEFAULT 1 NOT NULL,
  started_at timestamp with time zone DEFAULT now() NOT NULL,
  finished_at timestamp with time zone,
  duration_ms bigint,
  error_message text,
  details jsonb DEFAULT '{}'::jsonb NOT NULL,
  CONSTRAINT job_runs_pkey PRIMARY KEY (id),
  CONSTRAINT job_runs_status_check CHECK ((status = ANY (ARRAY['baseline'::text, 'running'::text, 'completed'::text, 'partial'::text, 'failed'::text, 'crashed'::text]))),
  CONSTRAINT job_runs_trigger_check CHECK ((trigger = ANY (ARRAY['schedule'::text, 'http'::text, 'cli'::text])))
);

CREATE TABLE spillway.migrations (
  tag text NOT NULL,
  hash text NOT NULL,
  applied_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT migrations_pkey PRIMARY KEY (tag)
);

CREATE TABLE spillway.observer_turns (
  id integer DEFAULT 1 NOT NULL,
  taken_at timestamp with time zone NOT NULL,
  CONSTRAINT observer_turns_one_row_check CHECK ((id = 1)),
  CONSTRAINT observer_turns_pkey PRIMARY KEY (id)
);

CREATE TABLE spillway.partition_moves (
  partition_schema text NOT NULL,
  partition_name text NOT NULL,
  source_schema text NOT NULL,
  source_name text NOT NULL,
  target_schema text NOT NULL,
  target_name text NOT NULL,
  bound text NOT NULL,
  begun_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT partition_moves_pkey PRIMARY KEY (partition_schema, partition_name)
);

CREATE TABLE spillway.system_metric_late_minutes (
  metric_name text NOT NULL,
  started_at timestamp with time zone NOT NULL,
  touched_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT system_metric_late_minutes_pkey PRIMARY KEY (metric_name, started_at)
);

CREATE TABLE spillway.system_metric_rollup_state (
  id boolean DEFAULT true NOT NULL,
  sealed_through timestamp with time zone NOT NULL,
  rolled_through timestamp with time zone NOT NULL,
  CONSTRAINT system_metric_rollup_state_one_row CHECK (id),
  CONSTRAINT system_metric_rollup_state_pkey PRIMARY KEY (id)
);

CREATE TABLE spillway.system_metric_rollups (
  metric_name text NOT NULL,
  width_minutes integer NOT NULL,
  started_at timestamp with time zone NOT NULL,
  sample_count bigint NOT NULL,
  total numeric NOT NULL,
  min_value numeric NOT NULL,
  max_value numeric NOT NULL,
  buckets integer[] NOT NULL,
  counts bigint[] NOT NULL,
  CONSTRAINT system_metric_rollups_pkey PRIMARY KEY (metric_name, width_minutes, started_at),
  CONSTRAINT system_metric_rollups_width_check CHECK ((width_minutes = ANY (ARRAY[1, 10, 60, 1440])))
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

CREATE TABLE public.circuit_breaker_events (
  id uuid NOT NULL,
  breaker_name text NOT NULL,
  preset text DEFAULT ''::text NOT NULL,
  event_type text NOT NULL,
  failure_count bigint DEFAULT 0 NOT NULL,
  error_message text,
  metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
  breaker_epoch bigint,
  outbox_shard integer NOT NULL,
  outbox_epoch bigint NOT NULL,
  outbox_seq bigint NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  CONSTRAINT circuit_breaker_events_event_type_check CHECK ((event_type = ANY (ARRAY['opened'::text, 'closed'::text, 'half_open'::text, 'failure'::text, 'success'::text]))),
  CONSTRAINT circuit_breaker_events_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05, autovacuum_analyze_scale_factor=0.02);

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
) WITH (fillfactor=90, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05, autovacuum_analyze_scale_factor=0.02);

CREATE TABLE public.system_metrics (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  metric_name text NOT NULL,
  metric_value numeric NOT NULL,
  metric_unit text,
  tags jsonb DEFAULT '{}'::jsonb NOT NULL,
  recorded_at timestamp with time zone DEFAULT now() NOT NULL,
  outbox_shard integer,
  outbox_epoch bigint,
  outbox_seq bigint,
  CONSTRAINT system_metrics_finite_check CHECK (((metric_value > '-Infinity'::numeric) AND (metric_value < 'Infinity'::numeric))),
  CONSTRAINT system_metrics_name_check CHECK (((metric_name <> ''::text) AND (octet_length(metric_name) <= 512))),
  CONSTRAINT system_metrics_pkey PRIMARY KEY (recorded_at, id),
  CONSTRAINT system_metrics_tags_check CHECK ((pg_column_size(tags) <= 32768)),
  CONSTRAINT system_metrics_unit_check CHECK ((octet_length(metric_unit) <= 128))
) PARTITION BY RANGE (recorded_at);

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
  CONSTRAINT archival_runs_run_id_job_runs_id_fk FOREIGN KEY (run_id) REFERENCES spillway.job_runs(id) ON DELETE CASCADE,
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

CREATE UNIQUE INDEX alerts_open_key ON spillway.alerts USING btree (rule) WHERE (resolved_at IS NULL);
CREATE INDEX alerts_opened_at_idx ON spillway.alerts USING btree (opened_at);
CREATE INDEX alerts_untold_idx ON spillway.alerts USING btree (opened_at) WHERE ((notified_opened_at IS NULL) OR ((resolved_at IS NOT NULL) AND (notified_resolved_at IS NULL)));
CREATE INDEX api_keys_created_at_idx ON spillway.api_keys USING btree (created_at, id);
CREATE INDEX audit_dead_letters_created_at_idx ON spillway.audit_dead_letters USING btree (created_at, id);
CREATE INDEX audit_dead_letters_outbox_idx ON spillway.audit_dead_letters USING btree (outbox_shard, outbox_epoch, outbox_seq) WHERE (outbox_seq IS NOT NULL);
CREATE INDEX audit_dead_letters_waiting_idx ON spillway.audit_dead_letters USING btree (created_at) WHERE (replayed_at IS NULL);
CREATE INDEX audit_gaps_detected_at_idx ON spillway.audit_gaps USING btree (detected_at);
CREATE INDEX audit_gaps_outbox_idx ON spillway.audit_gaps USING btree (outbox_shard, outbox_epoch, outbox_seq) WHERE (outbox_seq IS NOT NULL);
CREATE INDEX audit_gaps_range_idx ON spillway.audit_gaps USING btree (shard, epoch, to_seq) WHERE (from_seq IS NOT NULL);
CREATE INDEX audit_gaps_unresolved_idx ON spillway.audit_gaps USING btree (kind, detected_at) WHERE (resolved_at IS NULL);
CREATE INDEX changes_created_at_idx ON spillway.changes USING btree (created_at, id);
CREATE INDEX changes_object_idx ON spillway.changes USING btree (object_kind, object, created_at);
CREATE INDEX changes_outbox_idx ON spillway.changes USING btree (outbox_shard, outbox_epoch, outbox_seq) WHERE (outbox_seq IS NOT NULL);
CREATE INDEX decision_reports_outbox_idx ON spillway.decision_reports USING btree (outbox_shard, outbox_epoch, outbox_seq);
CREATE INDEX decision_reports_recorded_at_idx ON spillway.decision_reports USING btree (recorded_at);
CREATE UNIQUE INDEX job_runs_due_key ON spillway.job_runs USING btree (job, due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX job_runs_job_idx ON spillway.job_runs USING btree (job, started_at DESC);
CREATE INDEX job_runs_started_at_idx ON spillway.job_runs USING btree (started_at, id);
CREATE INDEX system_metric_rollups_started_at_idx ON spillway.system_metric_rollups USING btree (started_at);
CREATE INDEX api_call_logs_created_at_idx ON public.api_call_logs USING btree (created_at);
CREATE INDEX api_call_logs_user_idx ON public.api_call_logs USING btree (user_id, created_at);
CREATE INDEX audit_logs_actor_idx ON public.audit_logs USING btree (actor_id, created_at);
CREATE INDEX audit_logs_created_at_idx ON public.audit_logs USING btree (created_at);
CREATE INDEX audit_logs_resource_idx ON public.audit_logs USING btree (resource_type, resource_id, created_at);
CREATE INDEX circuit_breaker_events_breaker_idx ON public.circuit_breaker_events USING btree (breaker_name, created_at);
CREATE INDEX circuit_breaker_events_created_at_idx ON public.circuit_breaker_events USING btree (created_at, breaker_name, event_type);
CREATE INDEX circuit_breaker_events_outbox_idx ON public.circuit_breaker_events USING btree (outbox_shard, outbox_epoch, outbox_seq);
CREATE UNIQUE INDEX circuit_breaker_events_transition_key ON public.circuit_breaker_events USING btree (breaker_name, preset, breaker_epoch DESC, event_type) WHERE (breaker_epoch IS NOT NULL);
CREATE INDEX generations_created_at_idx ON public.generations USING btree (created_at);
CREATE INDEX generations_unfinished_idx ON public.generations USING btree (created_at) WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]));
CREATE INDEX generations_user_idx ON public.generations USING btree (user_id, created_at);
CREATE INDEX rate_limits_v2_blocked_until_idx ON public.rate_limits_v2 USING btree (blocked_until);
CREATE INDEX rate_limits_v2_created_at_idx ON public.rate_limits_v2 USING btree (created_at, id);
CREATE INDEX rate_limits_v2_identifier_idx ON public.rate_limits_v2 USING btree (identifier, created_at DESC, id DESC);
CREATE INDEX rate_limits_v2_outbox_idx ON public.rate_limits_v2 USING btree (outbox_shard, outbox_epoch, outbox_seq);
CREATE INDEX system_metrics_outbox_idx ON ONLY public.system_metrics USING btree (outbox_shard, outbox_epoch, outbox_seq) WHERE (outbox_seq IS NOT NULL);
CREATE INDEX system_metrics_stats_idx ON ONLY public.system_metrics USING btree (metric_name, recorded_at DESC, metric_value);
CREATE INDEX api_call_logs_created_at_brin ON ONLY archive.api_call_logs USING brin (created_at);
CREATE INDEX archival_runs_job_idx ON archive.archival_runs USING btree (job_name, started_at DESC);
CREATE INDEX archival_runs_run_idx ON archive.archival_runs USING btree (run_id);
CREATE INDEX archival_runs_started_at_idx ON archive.archival_runs USING btree (started_at);
CREATE INDEX audit_logs_created_at_brin ON ONLY archive.audit_logs USING brin (created_at);
CREATE INDEX generations_created_at_brin ON ONLY archive.generations USING brin (created_at);

CREATE OR REPLACE FUNCTION spillway.add_decisions(p_id uuid[], p_policy text[], p_outcome text[], p_count bigint[], p_over_ms bigint[], p_recorded_at_ms double precision[], p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	fresh uuid[];
BEGIN
	WITH stored AS (
		INSERT INTO spillway.decision_reports (id, policy, outcome, count, over_ms, recorded_at, outbox_shard, outbox_epoch, outbox_seq)
		SELECT r.id, r.policy, r.outcome, r.count, r.over_ms, to_timestamp(r.recorded_at / 1000), r.outbox_shard, r.outbox_epoch, r.outbox_seq
		FROM unnest(p_id, p_policy, p_outcome, p_count, p_over_ms, p_recorded_at_ms, p_outbox_shard, p_outbox_epoch, p_outbox_seq)
			AS r (id, policy, outcome, count, over_ms, recorded_at, outbox_shard, outbox_epoch, outbox_seq)
		ORDER BY r.id
		ON CONFLICT DO NOTHING
		RETURNING id
	)
	SELECT array_agg(s.id) INTO fresh FROM stored s;
	IF fresh IS NULL THEN RETURN 0; END IF;

	WITH minutes AS (
		INSERT INTO spillway.decision_counts AS known (policy, outcome, minute, count)
		SELECT r.policy, r.outcome, date_trunc('minute', r.recorded_at, 'UTC'), sum(r.count)
		FROM spillway.decision_reports r WHERE r.id = ANY (fresh)
		GROUP BY 3, 1, 2 ORDER BY 3, 1, 2
		ON CONFLICT (minute, policy, outcome) DO UPDATE SET count = known.count + excluded.count
	)
	INSERT INTO spillway.decision_counts_hourly AS known (policy, outcome, hour, count)
	SELECT r.policy, r.outcome, date_trunc('hour', r.recorded_at, 'UTC'), sum(r.count)
	FROM spillway.decision_reports r WHERE r.id = ANY (fresh)
	GROUP BY 3, 1, 2 ORDER BY 3, 1, 2
	ON CONFLICT (hour, policy, outcome) DO UPDATE SET count = known.count + excluded.count;
	RETURN cardinality(fresh);
END
$function$
;

CREATE OR REPLACE FUNCTION spillway.cap_blocks(p_id uuid[], p_tier text[], p_shard integer[], p_epoch bigint[], p_seq bigint[], p_created_at_ms double precision[], p_cap bigint, OUT beyond uuid[], OUT counted bigint)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
	beyond := '{}';
	counted := 0;
	-- Nearly always: there is room for all, and no block of these minutes was ever counted.
	IF NOT EXISTS (
		SELECT FROM (
			SELECT floor(created / 60000) * 60 AS second, count(*) AS incoming FROM unnest(p_created_at_ms) AS created GROUP BY 1
		) AS minute
		WHERE incoming + (SELECT count(*) FROM (
				SELECT FROM public.rate_limits_v2 AS r
				WHERE r.created_at >= to_timestamp(second) AND r.created_at < to_timestamp(second + 60)
				LIMIT p_cap) AS stored) > p_cap
			OR EXISTS (SELECT FROM spillway.audit_gaps AS g
				WHERE g.kind = 'blocks_capped' AND g.detected_at >= to_timestamp(second - 60))
	) THEN
		RETURN;
	END IF;

	WITH b AS (
		SELECT id, tier, shard, epoch, seq, created, minute,
			md5(concat_ws('/', 'blocks_capped', shard, epoch, minute, tier))::uuid AS gap
		FROM unnest(p_id, p_tier, p_shard, p_epoch, p_seq, p_created_at_ms) AS b (id, tier, shard, epoch, seq, created),
			LATERAL (SELECT floor(created / 60000)::bigint AS minute) AS of
	), taken AS (
		SELECT minute, (SELECT count(*) FROM (
			SELECT FROM public.rate_limits_v2 AS r
			WHERE r.created_at >= to_timestamp(minute * 60) AND r.created_at < to_timestamp((minute + 1) * 60)
			LIMIT p_cap) AS stored) AS rows
		FROM b GROUP BY minute
	), counted_before AS (
		-- Of each set only the part that these blocks are in: a set may have thousands of parts.
		SELECT gap, seq FROM (SELECT gap, min(seq) AS low, max(seq) AS high FROM b GROUP BY gap) AS of
		JOIN spillway.audit_gaps AS g ON g.id = of.gap,
			LATERAL unnest(g.seqs * int8multirange(int8range(low, high, '[]'))) AS part,
			LATERAL generate_series(lower(part), upper(part) - 1) AS seq
	), fresh AS (
		SELECT b.*, c.seq IS NOT NULL AS known FROM b LEFT JOIN counted_before AS c ON c.gap = b.gap AND c.seq = b.seq
		WHERE NOT EXISTS (SELECT FROM public.rate_limits_v2 AS r WHERE r.id = b.id)
	), placed AS (
		SELECT fresh.*, taken.rows + count(*) FILTER (WHERE NOT known) OVER (PARTITION BY minute ORDER BY created, id) AS place
		FROM fresh JOIN taken USING (minute)
	), crowd AS (
		SELECT * FROM placed WHERE known OR place > p_cap
	), told AS (
		INSERT INTO spillway.audit_gaps AS stored (id, kind, shard, epoch, from_seq, to_seq, seqs, detail)
		SELECT gap, 'blocks_capped', shard, epoch, min(seq), max(seq), range_agg(int8range(seq, seq, '[]')),
			jsonb_build_object('tier', tier, 'minute', to_timestamp(minute * 60), 'blocks', count(DISTINCT seq))
		FROM crowd WHERE NOT known GROUP BY gap, shard, epoch, tier, minute ORDER BY gap
		ON CONFLICT (id) DO UPDATE SET
			from_seq = LEAST(stored.from_seq, excluded.from_seq),
			to_seq = GREATEST(stored.to_seq, excluded.to_seq),
			seqs = stored.seqs + excluded.seqs,
			detail = jsonb_set(stored.detail, '{blocks}', to_jsonb(
				(SELECT sum(upper(part) - lower(part)) FROM unnest(stored.seqs + excluded.seqs) AS part))),
			detected_at = now()
	)
	SELECT coalesce(array_agg(id), '{}'), count(*) FILTER (WHERE NOT known) INTO beyond, counted FROM crowd;
END
$function$
;

CREATE OR REPLACE FUNCTION spillway.end_epochs(p_id uuid[], p_shard integer[], p_epoch bigint[], p_seen_seq bigint[], p_detail jsonb[], p_dropped_id uuid[], p_dropped bigint[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	changed bigint;
BEGIN
	PERFORM spillway.note_seen(p_shard, p_epoch, p_seen_seq);
	INSERT INTO spillway.audit_gaps AS stored (id, kind, shard, epoch, detail)
	SELECT id, 'dropped', shard, epoch, jsonb_build_object('count', count)
	FROM unnest(p_dropped_id, p_shard, p_epoch, p_dropped) AS d (id, shard, epoch, count) WHERE count > 0 ORDER BY id
	ON CONFLICT (id) DO UPDATE SET detail = excluded.detail, detected_at = now()
	WHERE (excluded.detail ->> 'count')::bigint > (stored.detail ->> 'count')::bigint;
	INSERT INTO spillway.audit_gaps AS stored (id, kind, shard, epoch, detail)
	SELECT d.id, 'epoch_ended', d.shard, d.epoch, d.detail || jsonb_build_object('highestSeenSeq', e.seen_seq)
	FROM unnest(p_id, p_shard, p_epoch, p_detail) AS d (id, shard, epoch, detail)
	JOIN spillway.audit_epochs AS e ON e.shard = d.shard AND e.epoch = d.epoch ORDER BY d.id
	ON CONFLICT (id) DO UPDATE SET detail = stored.detail || excluded.detail
	WHERE stored.detail <> (stored.detail || excluded.detail);
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$function$
;

CREATE OR REPLACE FUNCTION public.get_metric_stats(p_name text, p_hours integer DEFAULT 24)
 RETURNS TABLE(min_value numeric, max_value numeric, avg_value numeric, count bigint, last_value numeric, last_recorded_at timestamp with time zone, p50 double precision, p95 double precision, p99 double precision)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
DECLARE
	since CONSTANT timestamptz := now() - make_interval(hours => p_hours);
	-- Rollups stand for [low, high), samples for what is before and after.
	low timestamptz := date_trunc('minute', since, 'UTC') + interval '1 minute';
	high timestamptz;
	total numeric;
	percentiles double precision[];
BEGIN
	SELECT s.rolled_through INTO high FROM spillway.system_metric_rollup_state s
	WHERE NOT EXISTS (SELECT FROM spillway.system_metric_late_minutes l WHERE l.metric_name = p_name AND l.started_at >= low - interval '1 minute');
	IF high IS NULL OR high <= low THEN
		low := since;
		high := since;
	END IF;

	SELECT min(p.low_value), max(p.high_value), sum(p.total), coalesce(sum(p.n), 0)
	INTO min_value, max_value, total, count
	FROM (
		SELECT min(r.min_value), max(r.max_value), sum(r.total), sum(r.sample_count) FROM spillway.metric_rollup_cover(p_name, low, high) r
		UNION ALL
		SELECT min(m.metric_value), max(m.metric_value), sum(m.metric_value), count(*)
		FROM public.system_metrics m WHERE m.metric_name = p_name AND m.recorded_at > since AND m.recorded_at < low
		UNION ALL
		SELECT min(m.metric_value), max(m.metric_value), sum(m.metric_value), count(*)
		FROM public.system_metrics m WHERE m.metric_name = p_name AND m.recorded_at > since AND m.recorded_at >= high
	) AS p (low_value, high_value, total, n);
	avg_value := total / nullif(count, 0);

	SELECT m.metric_value, m.recorded_at INTO last_value, last_recorded_at
	FROM public.system_metrics m WHERE m.metric_name = p_name AND m.recorded_at > since
	ORDER BY m.recorded_at DESC LIMIT 1;

	IF count <= 10000 OR low = high THEN
		SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY m.metric_value::double precision) INTO percentiles
		FROM public.system_metrics m WHERE m.metric_name = p_name AND m.recorded_at > since;
	ELSE
		WITH histogram AS (
			SELECT h.bucket, sum(h.n) AS n
			FROM (
				SELECT u.bucket, u.n FROM spillway.metric_rollup_cover(p_name, low, high) r CROSS JOIN LATERAL unnest(r.buckets, r.counts) AS u (bucket, n)
				UNION ALL
				SELECT spillway.metric_bucket(m.metric_value), 1
				FROM public.system_metrics m WHERE m.metric_name = p_name AND m.recorded_at > since AND m.recorded_at < low
				UNION ALL
				SELECT spillway.metric_bucket(m.metric_value), 1
				FROM public.system_metrics m WHERE m.metric_name = p_name AND m.recorded_at > since AND m.recorded_at >= high
			) h
			GROUP BY 1
		), ranked AS (
			SELECT h.bucket, sum(h.n) OVER (ORDER BY h.bucket) AS upto FROM histogram h
		)
		SELECT array_agg((
			SELECT least(greatest(spillway.metric_bucket_value(min(r.bucket)), min_value::double precision), max_value::double precision)
			FROM ranked r WHERE r.upto >= 1 + q * (get_metric_stats.count - 1)
		) ORDER BY q) INTO percentiles FROM unnest(ARRAY[0.5, 0.95, 0.99]) AS q;
	END IF;
	p50 := percentiles[1];
	p95 := percentiles[2];
	p99 := percentiles[3];
	RETURN NEXT;
END;
$function$
;

CREATE OR REPLACE FUNCTION spillway.metric_bucket(p_value numeric)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((sign(p_value))::integer * (40000 + (ceil((ln((GREATEST(LEAST(abs(p_value), '1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric), 0.000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001))::double precision) / ln((1.04)::double precision))))::integer))
;

CREATE OR REPLACE FUNCTION spillway.metric_bucket_value(p_bucket integer)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (p_bucket = 0) THEN (0)::double precision ELSE (((sign((p_bucket)::double precision) * (2)::double precision) * power((1.04)::double precision, ((abs(p_bucket) - 40000))::double precision)) / (2.04)::double precision) END
;

CREATE OR REPLACE FUNCTION spillway.metric_rollup_cover(p_name text, p_from timestamp with time zone, p_to timestamp with time zone)
 RETURNS SETOF spillway.system_metric_rollups
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
DECLARE
	width interval;
	wider interval;
	widths integer[] := ARRAY[1, 10, 60, 1440];
	origin CONSTANT timestamptz := '2000-01-01 00:00+00';
	low timestamptz := p_from;
	high timestamptz := p_to;
	wide_low timestamptz;
	wide_high timestamptz;
BEGIN
	FOR level IN 1..4 LOOP
		EXIT WHEN low >= high;
		width := make_interval(mins => widths[level]);
		wider := make_interval(mins => widths[level + 1]);
		-- What the next width covers; nothing when there is none or it is too wide.
		wide_low := date_bin(wider, low + wider - interval '1 microsecond', origin);
		wide_high := date_bin(wider, high, origin);
		IF wider IS NULL OR wide_low >= wide_high THEN
			wide_low := high;
			wide_high := high;
		END IF;
		RETURN QUERY SELECT r.* FROM spillway.system_metric_rollups r
			WHERE r.metric_name = p_name AND r.width_minutes = widths[level] AND r.started_at >= low AND r.started_at < wide_low;
		RETURN QUERY SELECT r.* FROM spillway.system_metric_rollups r
			WHERE r.metric_name = p_name AND r.width_minutes = widths[level] AND r.started_at >= wide_high AND r.started_at < high;
		low := wide_low;
		high := wide_high;
	END LOOP;
END;
$function$
;

CREATE OR REPLACE FUNCTION spillway.note_late_metrics()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	sealed timestamptz;
BEGIN
	PERFORM pg_advisory_xact_lock_shared(727403, 1);
	SELECT s.sealed_through INTO sealed FROM spillway.system_metric_rollup_state s;
	INSERT INTO spillway.system_metric_late_minutes AS late (metric_name, started_at)
	SELECT DISTINCT f.metric_name, date_trunc('minute', f.recorded_at, 'UTC') FROM fresh f WHERE f.recorded_at < sealed ORDER BY 1, 2
	ON CONFLICT (metric_name, started_at) DO UPDATE SET touched_at = now();
	RETURN NULL;
END;
$function$
;

CREATE OR REPLACE FUNCTION spillway.note_seen(p_shard integer[], p_epoch bigint[], p_seq bigint[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
	INSERT INTO spillway.audit_epochs AS stored (shard, epoch, seen_seq)
	SELECT shard, epoch, max(seq) FROM unnest(p_shard, p_epoch, p_seq) AS seen (shard, epoch, seq)
	GROUP BY shard, epoch ORDER BY shard, epoch
	ON CONFLICT (shard, epoch) DO UPDATE SET seen_seq = excluded.seen_seq, updated_at = now()
	WHERE excluded.seen_seq > stored.seen_seq
$function$
;

CREATE OR REPLACE FUNCTION spillway.note_stored(p_shard integer[], p_epoch bigint[], p_first_seq bigint[], p_first_entry text[], p_last_seq bigint[], p_last_entry text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	reused bigint := 0;
	part record;
	stored record;
BEGIN
	FOR part IN
		SELECT * FROM unnest(p_shard, p_epoch, p_first_seq, p_first_entry, p_last_seq, p_last_entry) WITH ORDINALITY
			AS part (shard, epoch, first_seq, first_entry, last_seq, last_entry, place)
		ORDER BY shard, epoch, place
	LOOP
		INSERT INTO spillway.audit_epochs (shard, epoch) VALUES (part.shard, part.epoch) ON CONFLICT DO NOTHING;
		SELECT e.stored_seq AS seq, e.stored_entry AS entry, e.seen_seq AS seen INTO stored
		FROM spillway.audit_epochs AS e WHERE e.shard = part.shard AND e.epoch = part.epoch FOR UPDATE;
		IF part.first_seq <= stored.seq
			AND string_to_array(part.first_entry, '-')::bigint[] > string_to_array(stored.entry, '-')::bigint[] THEN
			reused := reused + 1;
			INSERT INTO spillway.audit_gaps AS gap (id, kind, shard, epoch, from_seq, to_seq, detail)
			VALUES (md5(concat_ws('/', 'seq_reused', part.shard, part.epoch))::uuid, 'seq_reused', part.shard, part.epoch,
				part.first_seq, LEAST(part.last_seq, stored.seq), jsonb_build_object('storedBefore', stored.seq, 'seenBefore', stored.seen))
			ON CONFLICT (id) DO UPDATE SET
				from_seq = LEAST(gap.from_seq, excluded.from_seq), to_seq = GREATEST(gap.to_seq, excluded.to_seq);
		END IF;
		UPDATE spillway.audit_epochs AS e
		SET stored_seq = part.last_seq, stored_entry = part.last_entry, seen_seq = GREATEST(e.seen_seq, part.last_seq), updated_at = now()
		WHERE e.shard = part.shard AND e.epoch = part.epoch AND e.stored_seq < part.last_seq;
	END LOOP;
	RETURN reused;
END
$function$
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

CREATE OR REPLACE FUNCTION spillway.roll_up_metrics(p_minutes integer DEFAULT 60)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	since timestamptz;
	sealed timestamptz;
	through timestamptz;
	minutes timestamptz[] := '{}';
	late record;
	width integer;
	child integer := 1;
BEGIN
	IF NOT pg_try_advisory_xact_lock(727403, 2) THEN RETURN false; END IF;
	SELECT s.rolled_through, s.sealed_through INTO since, sealed FROM spillway.system_metric_rollup_state s;
	IF sealed = '-infinity' THEN RETURN false; END IF;
	-- From the day of the first sample; later over times without any.
	SELECT least(sealed, greatest(since, date_trunc('day', coalesce(min(m.recorded_at), sealed), 'UTC'))) INTO since
	FROM public.system_metrics m WHERE m.recorded_at >= since;
	through := least(sealed, since + make_interval(mins => p_minutes));

	-- One by one and in the order in which inserts note them: both lock their rows, and in another order they would wait for each
	-- other for ever.
	FOR late IN SELECT l.metric_name, l.started_at FROM spillway.system_metric_late_minutes l WHERE l.started_at < through ORDER BY 1, 2 FOR UPDATE LOOP
		DELETE FROM spillway.system_metric_late_minutes l WHERE l.metric_name = late.metric_name AND l.started_at = late.started_at;
		IF late.started_at < since AND late.started_at <> ALL (minutes) THEN minutes := minutes || late.started_at; END IF;
	END LOOP;
	minutes := minutes || ARRAY(SELECT generate_series(since, through - interval '1 minute', interval '1 minute'));

	INSERT INTO spillway.system_metric_rollups AS r
	SELECT b.metric_name, 1, b.started_at, sum(b.n), sum(b.total), min(b.low), max(b.high),
	       array_agg(b.bucket ORDER BY b.bucket), array_agg(b.n ORDER BY b.bucket)
	FROM (
		SELECT m.metric_name, at.started_at, spillway.metric_bucket(m.metric_value) AS bucket, count(*) AS n,
		       sum(m.metric_value) AS total, min(m.metric_value) AS low, max(m.metric_value) AS high
		FROM unnest(minutes) AS at (started_at)
		JOIN public.system_metrics m ON m.recorded_at >= at.started_at AND m.recorded_at < at.started_at + interval '1 minute'
		GROUP BY 1, 2, 3
	) b
	GROUP BY 1, 3
	ON CONFLICT (metric_name, width_minutes, started_at) DO UPDATE
	SET sample_count = excluded.sample_count, total = excluded.total, min_value = excluded.min_value,
	    max_value = excluded.max_value, buckets = excluded.buckets, counts = excluded.counts;

	-- Each width from the one below, once its last minute is there.
	FOREACH width IN ARRAY ARRAY[10, 60, 1440] LOOP
		INSERT INTO spillway.system_metric_rollups AS r
		SELECT b.metric_name, width, b.started_at, sum(b.n), t.total, t.low, t.high,
		       array_agg(b.bucket ORDER BY b.bucket), array_agg(b.n ORDER BY b.bucket)
		FROM (
			SELECT c.metric_name, p.started_at, h.bucket, sum(h.n)::bigint AS n
			FROM (
				SELECT DISTINCT date_bin(make_interval(mins => width), each, '2000-01-01 00:00+00') AS started_at FROM unnest(minutes) AS each
			) p
			JOIN spillway.system_metric_rollups c ON c.width_minutes = child
				AND c.started_at >= p.started_at AND c.started_at < p.started_at + make_interval(mins => width)
			CROSS JOIN LATERAL unnest(c.buckets, c.counts) AS h (bucket, n)
			WHERE p.started_at + make_interval(mins => width) <= through
			GROUP BY 1, 2, 3
		) b
		CROSS JOIN LATERAL (
			SELECT sum(c.total) AS total, min(c.min_value) AS low, max(c.max_value) AS high
			FROM spillway.system_metric_rollups c
			WHERE c.metric_name = b.metric_name AND c.width_minutes = child
				AND c.started_at >= b.started_at AND c.started_at < b.started_at + make_interval(mins => width)
		) t
		GROUP BY 1, 3, 5, 6, 7
		ON CONFLICT (metric_name, width_minutes, started_at) DO UPDATE
		SET sample_count = excluded.sample_count, total = excluded.total, min_value = excluded.min_value,
		    max_value = excluded.max_value, buckets = excluded.buckets, counts = excluded.counts;
		child := width;
	END LOOP;

	UPDATE spillway.system_metric_rollup_state SET rolled_through = through;
	RETURN through < sealed;
END;
$function$
;

CREATE OR REPLACE FUNCTION spillway.seal_metrics()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '250ms'
AS $function$
BEGIN
	PERFORM pg_advisory_xact_lock(727403, 1);
	UPDATE spillway.system_metric_rollup_state s
	SET sealed_through = greatest(s.sealed_through, date_trunc('minute', now() - interval '2 minutes', 'UTC'));
END;
$function$
;

CREATE OR REPLACE FUNCTION spillway.upsert_blocks(p_id uuid[], p_key text[], p_tier text[], p_action text[], p_identifier text[], p_limit_count bigint[], p_window_ms bigint[], p_request_count bigint[], p_denied_count bigint[], p_window_start_ms double precision[], p_last_request_at_ms double precision[], p_blocked_until_ms double precision[], p_mode text[], p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[], p_created_at_ms double precision[], p_updated_at_ms double precision[], p_cap bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	changed bigint;
	over uuid[] := '{}';
	counted bigint := 0;
BEGIN
	IF p_cap IS NOT NULL THEN
		SELECT c.beyond, c.counted INTO over, counted FROM spillway.cap_blocks(
			p_id, p_tier, p_outbox_shard, p_outbox_epoch, p_outbox_seq, p_created_at_ms, p_cap) AS c;
	END IF;
	IF p_created_at_ms = p_updated_at_ms THEN
		BEGIN
			INSERT INTO public.rate_limits_v2 (
				id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, window_start, last_request_at,
				blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
			SELECT b.id, b.key, b.tier, b.action, b.identifier, b.limit_count, b.window_ms, b.request_count, b.denied_count,
				to_timestamp(b.window_start / 1000), to_timestamp(b.last_request_at / 1000), to_timestamp(b.blocked_until / 1000), b.mode,
				b.outbox_shard, b.outbox_epoch, b.outbox_seq, to_timestamp(b.created_at / 1000), to_timestamp(b.updated_at / 1000)
			FROM unnest(
				p_id, p_key, p_tier, p_action, p_identifier, p_limit_count, p_window_ms, p_request_count, p_denied_count,
				p_window_start_ms, p_last_request_at_ms, p_blocked_until_ms, p_mode, p_outbox_shard, p_outbox_epoch, p_outbox_seq,
				p_created_at_ms, p_updated_at_ms
			) AS b (
				id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, window_start, last_request_at,
				blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
			WHERE b.id NOT IN (SELECT unnest(over))
			ORDER BY b.id;
			GET DIAGNOSTICS changed = ROW_COUNT;
			RETURN changed + counted;
		EXCEPTION WHEN unique_violation THEN
			NULL; -- Some are there: delivered before, or by another call at this moment. The rules below decide.
		END;
	END IF;
	INSERT INTO public.rate_limits_v2 AS stored (
		id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, window_start, last_request_at,
		blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
	SELECT b.id, b.key, b.tier, b.action, b.identifier, b.limit_count, b.window_ms, b.request_count, b.denied_count,
		to_timestamp(b.window_start / 1000), to_timestamp(b.last_request_at / 1000), to_timestamp(b.blocked_until / 1000), b.mode,
		b.outbox_shard, b.outbox_epoch, b.outbox_seq, to_timestamp(b.created_at / 1000), to_timestamp(b.updated_at / 1000)
	FROM unnest(
		p_id, p_key, p_tier, p_action, p_identifier, p_limit_count, p_window_ms, p_request_count, p_denied_count,
		p_window_start_ms, p_last_request_at_ms, p_blocked_until_ms, p_mode, p_outbox_shard, p_outbox_epoch, p_outbox_seq,
		p_created_at_ms, p_updated_at_ms
	) AS b (
		id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, window_start, last_request_at,
		blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
	WHERE b.id NOT IN (SELECT unnest(over))
	ORDER BY b.id
	ON CONFLICT (id) DO UPDATE SET
		denied_count = GREATEST(stored.denied_count, excluded.denied_count),
		last_request_at = GREATEST(stored.last_request_at, excluded.last_request_at),
		blocked_until = CASE
			WHEN excluded.updated_at > stored.updated_at THEN excluded.blocked_until
			WHEN excluded.updated_at = stored.updated_at THEN LEAST(stored.blocked_until, excluded.blocked_until)
			ELSE stored.blocked_until END,
		updated_at = GREATEST(stored.updated_at, excluded.updated_at)
	WHERE excluded.updated_at > stored.updated_at
		OR excluded.denied_count > stored.denied_count
		OR excluded.last_request_at > stored.last_request_at
		OR (excluded.updated_at = stored.updated_at AND excluded.blocked_until < stored.blocked_until);
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed + counted;
END
$function$
;

CREATE OR REPLACE FUNCTION spillway.upsert_outages(p_id uuid[], p_kind text[], p_shard integer[], p_epoch bigint[], p_from_seq bigint[], p_to_seq bigint[], p_detail jsonb[], p_detected_at_ms double precision[], p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
	changed bigint;
BEGIN
	INSERT INTO spillway.audit_gaps AS stored (
		id, kind, shard, epoch, from_seq, to_seq, detail, detected_at, outbox_shard, outbox_epoch, outbox_seq)
	SELECT g.id, g.kind, g.shard, g.epoch, g.from_seq, g.to_seq, g.detail, to_timestamp(g.detected_at / 1000),
		g.outbox_shard, g.outbox_epoch, g.outbox_seq
	FROM unnest(
		p_id, p_kind, p_shard, p_epoch, p_from_seq, p_to_seq, p_detail, p_detected_at_ms, p_outbox_shard, p_outbox_epoch,
		p_outbox_seq
	) AS g (id, kind, shard, epoch, from_seq, to_seq, detail, detected_at, outbox_shard, outbox_epoch, outbox_seq)
	ORDER BY g.id
	ON CONFLICT (id) DO UPDATE SET detail = excluded.detail
	WHERE (excluded.detail ->> 'reports')::int8 > COALESCE((stored.detail ->> 'reports')::int8, 0);
	GET DIAGNOSTICS changed = ROW_COUNT;
	RETURN changed;
END
$function$
;

ALTER TABLE archive.api_call_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE archive.archival_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE archive.audit_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE archive.generations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.api_call_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.circuit_breaker_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.generations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.rate_limits_v2 ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.system_metrics ENABLE ROW LEVEL SECURITY;
CREATE POLICY spillway ON archive.api_call_logs FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON archive.archival_runs FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON archive.audit_logs FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON archive.generations FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON public.api_call_logs FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON public.audit_logs FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON public.circuit_breaker_events FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON public.generations FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON public.rate_limits_v2 FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);
CREATE POLICY spillway ON public.system_metrics FOR ALL TO spillway_api, spillway_maintenance, spillway_reader, spillway_writer USING (true) WITH CHECK (true);

GRANT EXECUTE ON FUNCTION public.get_metric_stats TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION public.get_metric_stats TO spillway_reader;
GRANT EXECUTE ON FUNCTION public.record_metric TO spillway_api;
GRANT EXECUTE ON FUNCTION public.record_metric TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION public.record_metric TO spillway_writer;
GRANT EXECUTE ON FUNCTION spillway.add_decisions TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.add_decisions TO spillway_writer;
GRANT EXECUTE ON FUNCTION spillway.end_epochs TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.end_epochs TO spillway_writer;
GRANT EXECUTE ON FUNCTION spillway.metric_bucket TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.metric_bucket TO spillway_reader;
GRANT EXECUTE ON FUNCTION spillway.metric_bucket_value TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.metric_bucket_value TO spillway_reader;
GRANT EXECUTE ON FUNCTION spillway.metric_rollup_cover TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.metric_rollup_cover TO spillway_reader;
GRANT EXECUTE ON FUNCTION spillway.note_seen TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.note_seen TO spillway_writer;
GRANT EXECUTE ON FUNCTION spillway.note_stored TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.note_stored TO spillway_writer;
GRANT EXECUTE ON FUNCTION spillway.roll_up_metrics TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.seal_metrics TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.upsert_blocks TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.upsert_blocks TO spillway_writer;
GRANT EXECUTE ON FUNCTION spillway.upsert_outages TO spillway_maintenance;
GRANT EXECUTE ON FUNCTION spillway.upsert_outages TO spillway_writer;
GRANT CREATE, USAGE ON SCHEMA archive TO spillway_maintenance;
GRANT USAGE ON SCHEMA archive TO spillway_reader;
GRANT USAGE ON SCHEMA spillway TO spillway_api;
GRANT CREATE, USAGE ON SCHEMA spillway TO spillway_maintenance;
GRANT USAGE ON SCHEMA spillway TO spillway_reader;
GRANT USAGE ON SCHEMA spillway TO spillway_writer;
GRANT SELECT ON TABLE archive.api_call_logs TO spillway_reader;
GRANT INSERT, SELECT, UPDATE ON TABLE archive.archival_runs TO spillway_maintenance;
GRANT SELECT ON TABLE archive.archival_runs TO spillway_reader;
GRANT SELECT ON TABLE archive.audit_logs TO spillway_reader;
GRANT SELECT ON TABLE archive.generations TO spillway_reader;
GRANT DELETE, SELECT, UPDATE (id) ON TABLE public.api_call_logs TO spillway_maintenance;
GRANT SELECT ON TABLE public.api_call_logs TO spillway_reader;
GRANT INSERT ON TABLE public.api_call_logs TO spillway_writer;
GRANT DELETE, SELECT, UPDATE (id) ON TABLE public.audit_logs TO spillway_maintenance;
GRANT SELECT ON TABLE public.audit_logs TO spillway_reader;
GRANT INSERT ON TABLE public.audit_logs TO spillway_writer;
GRANT DELETE, INSERT, SELECT, UPDATE (id) ON TABLE public.circuit_breaker_events TO spillway_maintenance;
GRANT SELECT ON TABLE public.circuit_breaker_events TO spillway_reader;
GRANT INSERT ON TABLE public.circuit_breaker_events TO spillway_writer;
GRANT DELETE, SELECT, UPDATE (id) ON TABLE public.generations TO spillway_maintenance;
GRANT SELECT ON TABLE public.generations TO spillway_reader;
GRANT DELETE, SELECT, UPDATE (id) ON TABLE public.rate_limits_v2 TO spillway_maintenance;
GRANT SELECT ON TABLE public.rate_limits_v2 TO spillway_reader;
GRANT INSERT, SELECT (id) ON TABLE public.system_metrics TO spillway_api;
GRANT SELECT ON TABLE public.system_metrics TO spillway_reader;
GRANT INSERT, SELECT (id) ON TABLE public.system_metrics TO spillway_writer;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE spillway.alerts TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.alerts TO spillway_reader;
GRANT INSERT, SELECT, UPDATE ON TABLE spillway.api_keys TO spillway_api;
GRANT DELETE, SELECT, UPDATE (replayed_at) ON TABLE spillway.audit_dead_letters TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.audit_dead_letters TO spillway_reader;
GRANT INSERT, SELECT (id) ON TABLE spillway.audit_dead_letters TO spillway_writer;
GRANT SELECT ON TABLE spillway.audit_epochs TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.audit_epochs TO spillway_reader;
GRANT UPDATE (resolved_at) ON TABLE spillway.audit_gaps TO spillway_api;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE spillway.audit_gaps TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.audit_gaps TO spillway_reader;
GRANT INSERT ON TABLE spillway.audit_gaps TO spillway_writer;
GRANT INSERT, SELECT, UPDATE ON TABLE spillway.audit_watermarks TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.audit_watermarks TO spillway_reader;
GRANT INSERT, SELECT (id) ON TABLE spillway.changes TO spillway_api;
GRANT INSERT, SELECT ON TABLE spillway.changes TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.changes TO spillway_reader;
GRANT INSERT, SELECT (id) ON TABLE spillway.changes TO spillway_writer;
GRANT DELETE, SELECT, UPDATE (count) ON TABLE spillway.decision_counts TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.decision_counts TO spillway_reader;
GRANT DELETE, SELECT, UPDATE (count) ON TABLE spillway.decision_counts_hourly TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.decision_counts_hourly TO spillway_reader;
GRANT DELETE, SELECT, UPDATE (id) ON TABLE spillway.decision_reports TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.decision_reports TO spillway_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE spillway.job_runs TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.job_runs TO spillway_reader;
GRANT SELECT ON TABLE spillway.migrations TO spillway_api;
GRANT SELECT ON TABLE spillway.migrations TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.migrations TO spillway_reader;
GRANT SELECT ON TABLE spillway.migrations TO spillway_writer;
GRANT INSERT, SELECT, UPDATE ON TABLE spillway.observer_turns TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.observer_turns TO spillway_reader;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE spillway.partition_moves TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.partition_moves TO spillway_reader;
GRANT INSERT, SELECT, UPDATE ON TABLE spillway.system_metric_late_minutes TO spillway_api;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE spillway.system_metric_late_minutes TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.system_metric_late_minutes TO spillway_reader;
GRANT INSERT, SELECT, UPDATE ON TABLE spillway.system_metric_late_minutes TO spillway_writer;
GRANT SELECT ON TABLE spillway.system_metric_rollup_state TO spillway_api;
GRANT SELECT, UPDATE ON TABLE spillway.system_metric_rollup_state TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.system_metric_rollup_state TO spillway_reader;
GRANT SELECT ON TABLE spillway.system_metric_rollup_state TO spillway_writer;
GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE spillway.system_metric_rollups TO spillway_maintenance;
GRANT SELECT ON TABLE spillway.system_metric_rollups TO spillway_reader;

COMMENT ON FUNCTION public.get_metric_stats(pg_catalog.text,integer) IS 'Statistics of one metric over the last p_hours; always one row.';
COMMENT ON FUNCTION public.record_metric(pg_catalog.text,numeric,pg_catalog.text,pg_catalog.jsonb) IS 'Stores one sample and returns its id.';
COMMENT ON FUNCTION spillway.add_decisions(pg_catalog.uuid[],pg_catalog.text[],pg_catalog.text[],bigint[],bigint[],double precision[],integer[],bigint[],bigint[]) IS 'Stores reports of decisions and counts those that are new; returns how many were.';
COMMENT ON FUNCTION spillway.roll_up_metrics(integer) IS 'Sums up samples for get_metric_stats(); returns whether there is more to do.';
COMMENT ON FUNCTION spillway.seal_metrics() IS 'Fixes up to where spillway.roll_up_metrics() sums; call it in a transaction of its own.';

-- trigger system_metrics_late on system_metrics

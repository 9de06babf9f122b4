-- record_metric() and get_metric_stats(), the guide's observability functions. Custom: Drizzle knows no functions.
-- Bodies are SQL-standard (BEGIN ATOMIC): the table is bound when the function is made, so a caller's search_path can't
-- make it read another one, and dropping the table without the functions is refused.

CREATE FUNCTION record_metric(
	p_name text,
	p_value numeric,
	p_unit text DEFAULT NULL,
	p_tags jsonb DEFAULT '{}'
) RETURNS uuid
LANGUAGE sql
VOLATILE
BEGIN ATOMIC
	INSERT INTO system_metrics (metric_name, metric_value, metric_unit, tags)
	VALUES (p_name, p_value, p_unit, coalesce(p_tags, '{}'))
	RETURNING id;
END;
--> statement-breakpoint

-- Always one row: for a metric without samples in the window, count is 0 and the rest is null. The last sample comes from
-- its own index lookup, because ordering all of them to find it would sort the whole window.
CREATE FUNCTION get_metric_stats(
	p_name text,
	p_hours integer DEFAULT 24
) RETURNS TABLE (
	min_value numeric,
	max_value numeric,
	avg_value numeric,
	count bigint,
	last_value numeric,
	last_recorded_at timestamptz,
	p50 double precision,
	p95 double precision,
	p99 double precision
)
LANGUAGE sql
STABLE
BEGIN ATOMIC
	SELECT
		s.min_value, s.max_value, s.avg_value, s.sample_count,
		l.metric_value, l.recorded_at,
		s.percentiles[1], s.percentiles[2], s.percentiles[3]
	FROM (
		SELECT
			min(m.metric_value) AS min_value,
			max(m.metric_value) AS max_value,
			avg(m.metric_value) AS avg_value,
			count(*) AS sample_count,
			percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY m.metric_value::double precision) AS percentiles
		FROM system_metrics m
		WHERE m.metric_name = p_name AND m.recorded_at > now() - make_interval(hours => p_hours)
	) s
	LEFT JOIN LATERAL (
		SELECT m.metric_value, m.recorded_at
		FROM system_metrics m
		WHERE m.metric_name = p_name AND m.recorded_at > now() - make_interval(hours => p_hours)
		ORDER BY m.recorded_at DESC
		LIMIT 1
	) l ON true;
END;
--> statement-breakpoint

COMMENT ON FUNCTION record_metric(text, numeric, text, jsonb) IS 'Stores one sample and returns its id.';
--> statement-breakpoint
COMMENT ON FUNCTION get_metric_stats(text, integer) IS 'Statistics of one metric over the last p_hours; always one row.';

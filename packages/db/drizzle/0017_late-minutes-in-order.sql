-- roll_up_metrics() of 0013, which took late minutes in no order: it and an insert could wait for each other, and Postgres
-- ended one of them.
--
-- Sums up to p_minutes; returns whether there is more to do. Does nothing while another session is at it.
CREATE OR REPLACE FUNCTION roll_up_metrics(p_minutes integer DEFAULT 60) RETURNS boolean
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
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
	SELECT s.rolled_through, s.sealed_through INTO since, sealed FROM system_metric_rollup_state s;
	IF sealed = '-infinity' THEN RETURN false; END IF;
	-- From the day of the first sample; later over times without any.
	SELECT least(sealed, greatest(since, date_trunc('day', coalesce(min(m.recorded_at), sealed), 'UTC'))) INTO since
	FROM system_metrics m WHERE m.recorded_at >= since;
	through := least(sealed, since + make_interval(mins => p_minutes));

	-- One by one and in the order in which inserts note them: both lock their rows, and in another order they would wait for each
	-- other for ever.
	FOR late IN SELECT l.metric_name, l.started_at FROM system_metric_late_minutes l WHERE l.started_at < through ORDER BY 1, 2 FOR UPDATE LOOP
		DELETE FROM system_metric_late_minutes l WHERE l.metric_name = late.metric_name AND l.started_at = late.started_at;
		IF late.started_at < since AND late.started_at <> ALL (minutes) THEN minutes := minutes || late.started_at; END IF;
	END LOOP;
	minutes := minutes || ARRAY(SELECT generate_series(since, through - interval '1 minute', interval '1 minute'));

	INSERT INTO system_metric_rollups AS r
	SELECT b.metric_name, 1, b.started_at, sum(b.n), sum(b.total), min(b.low), max(b.high),
	       array_agg(b.bucket ORDER BY b.bucket), array_agg(b.n ORDER BY b.bucket)
	FROM (
		SELECT m.metric_name, at.started_at, metric_bucket(m.metric_value) AS bucket, count(*) AS n,
		       sum(m.metric_value) AS total, min(m.metric_value) AS low, max(m.metric_value) AS high
		FROM unnest(minutes) AS at (started_at)
		JOIN system_metrics m ON m.recorded_at >= at.started_at AND m.recorded_at < at.started_at + interval '1 minute'
		GROUP BY 1, 2, 3
	) b
	GROUP BY 1, 3
	ON CONFLICT (metric_name, width_minutes, started_at) DO UPDATE
	SET sample_count = excluded.sample_count, total = excluded.total, min_value = excluded.min_value,
	    max_value = excluded.max_value, buckets = excluded.buckets, counts = excluded.counts;

	-- Each width from the one below, once its last minute is there.
	FOREACH width IN ARRAY ARRAY[10, 60, 1440] LOOP
		INSERT INTO system_metric_rollups AS r
		SELECT b.metric_name, width, b.started_at, sum(b.n), t.total, t.low, t.high,
		       array_agg(b.bucket ORDER BY b.bucket), array_agg(b.n ORDER BY b.bucket)
		FROM (
			SELECT c.metric_name, p.started_at, h.bucket, sum(h.n)::bigint AS n
			FROM (
				SELECT DISTINCT date_bin(make_interval(mins => width), each, '2000-01-01 00:00+00') AS started_at FROM unnest(minutes) AS each
			) p
			JOIN system_metric_rollups c ON c.width_minutes = child
				AND c.started_at >= p.started_at AND c.started_at < p.started_at + make_interval(mins => width)
			CROSS JOIN LATERAL unnest(c.buckets, c.counts) AS h (bucket, n)
			WHERE p.started_at + make_interval(mins => width) <= through
			GROUP BY 1, 2, 3
		) b
		CROSS JOIN LATERAL (
			SELECT sum(c.total) AS total, min(c.min_value) AS low, max(c.max_value) AS high
			FROM system_metric_rollups c
			WHERE c.metric_name = b.metric_name AND c.width_minutes = child
				AND c.started_at >= b.started_at AND c.started_at < b.started_at + make_interval(mins => width)
		) t
		GROUP BY 1, 3, 5, 6, 7
		ON CONFLICT (metric_name, width_minutes, started_at) DO UPDATE
		SET sample_count = excluded.sample_count, total = excluded.total, min_value = excluded.min_value,
		    max_value = excluded.max_value, buckets = excluded.buckets, counts = excluded.counts;
		child := width;
	END LOOP;

	UPDATE system_metric_rollup_state SET rolled_through = through;
	RETURN through < sealed;
END;
$$;

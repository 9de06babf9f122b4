-- Statistics that stay fast: get_metric_stats() reads rollups instead of samples wherever it can. Custom: Drizzle knows no
-- functions.
--
-- A worker calls spillway.seal_metrics() and then spillway.roll_up_metrics(), from time to time, each in a transaction of its own.
--   1. Sealing moves `sealed_through` on, two minutes behind the clock, while no insert is in flight (they share a lock
--      that it takes alone, for a moment). From then on an insert of an older sample notes its minute as late.
--   2. Rolling up sums what is sealed and not summed yet, and late minutes again. Nothing waits for it.
-- A metric with a late minute in the window is counted sample by sample until that minute is summed again. So count, min, max,
-- avg and last are exact at any time. Percentiles are exact up to 10,000 samples; beyond, they come from the histogram, whose
-- buckets are 4 % wide: within 2 % of a sample at that rank.
INSERT INTO spillway.system_metric_rollup_state (sealed_through, rolled_through) VALUES ('-infinity', '-infinity');
--> statement-breakpoint

-- The guide's way to store a sample. The body is SQL-standard (BEGIN ATOMIC): the table is bound when the function is made.
CREATE FUNCTION public.record_metric(
	p_name text,
	p_value numeric,
	p_unit text DEFAULT NULL,
	p_tags jsonb DEFAULT '{}'
) RETURNS uuid
LANGUAGE sql
VOLATILE
BEGIN ATOMIC
	INSERT INTO public.system_metrics (metric_name, metric_value, metric_unit, tags)
	VALUES (p_name, p_value, p_unit, coalesce(p_tags, '{}'))
	RETURNING id;
END;
--> statement-breakpoint

-- Bucket i > 0 holds values up to 1.04^(i - 40000), bucket 0 is zero, and -i mirrors i.
CREATE FUNCTION spillway.metric_bucket(p_value numeric) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sign(p_value)::integer * (40000 + ceil(ln(greatest(least(abs(p_value), 1e300), 1e-300)::double precision) / ln(1.04::double precision))::integer);
--> statement-breakpoint

-- The middle of a bucket, with the same relative distance to both ends.
CREATE FUNCTION spillway.metric_bucket_value(p_bucket integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_bucket = 0 THEN 0 ELSE sign(p_bucket) * 2 * power(1.04::double precision, abs(p_bucket) - 40000) / 2.04 END;
--> statement-breakpoint

-- A late mark that exists is touched, not left alone: the update makes the insert and a roll-up that takes the mark wait for
-- each other, so that the sample is either summed or marked again.
CREATE FUNCTION spillway.note_late_metrics() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
--> statement-breakpoint

CREATE TRIGGER system_metrics_late AFTER INSERT ON public.system_metrics
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION spillway.note_late_metrics();
--> statement-breakpoint

CREATE FUNCTION spillway.seal_metrics() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(727403, 1);
	UPDATE spillway.system_metric_rollup_state s
	SET sealed_through = greatest(s.sealed_through, date_trunc('minute', now() - interval '2 minutes', 'UTC'));
END;
$$;
--> statement-breakpoint

-- Sums up to p_minutes; returns whether there is more to do. Does nothing while another session is at it.
CREATE FUNCTION spillway.roll_up_metrics(p_minutes integer DEFAULT 60) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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
$$;
--> statement-breakpoint

-- Rollups that cover [p_from, p_to), both whole minutes, with as few rows as possible: the widest that fit, and narrower ones
-- near the two ends.
CREATE FUNCTION spillway.metric_rollup_cover(p_name text, p_from timestamptz, p_to timestamptz) RETURNS SETOF spillway.system_metric_rollups
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
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
$$;
--> statement-breakpoint

CREATE FUNCTION public.get_metric_stats(
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
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
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
$$;
--> statement-breakpoint

COMMENT ON FUNCTION spillway.seal_metrics() IS 'Fixes up to where spillway.roll_up_metrics() sums; call it in a transaction of its own.';
--> statement-breakpoint

COMMENT ON FUNCTION spillway.roll_up_metrics(integer) IS 'Sums up samples for get_metric_stats(); returns whether there is more to do.';
--> statement-breakpoint

COMMENT ON FUNCTION public.record_metric(text, numeric, text, jsonb) IS 'Stores one sample and returns its id.';
--> statement-breakpoint

COMMENT ON FUNCTION public.get_metric_stats(text, integer) IS 'Statistics of one metric over the last p_hours; always one row.';

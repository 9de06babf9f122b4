-- Decisions in tables of their own, so that a dashboard reads a thousand rows for a week. Edited by hand: storage parameters, and
-- the function that counts, since Drizzle knows neither.
-- A report of a limiter is stored once and counted once, in one statement: delivered again, it is there and counts nothing.
-- fillfactor: the row of a minute grows from report to report, and with room on its page that update touches no index.
CREATE TABLE "spillway"."decision_reports" (
	"id" uuid PRIMARY KEY NOT NULL,
	"policy" text NOT NULL,
	"outcome" text NOT NULL,
	"count" bigint NOT NULL,
	"over_ms" bigint NOT NULL,
	"recorded_at" timestamp with time zone NOT NULL,
	"outbox_shard" integer NOT NULL,
	"outbox_epoch" bigint NOT NULL,
	"outbox_seq" bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
--> statement-breakpoint
CREATE INDEX "decision_reports_recorded_at_idx" ON "spillway"."decision_reports" USING btree ("recorded_at");
--> statement-breakpoint
CREATE INDEX "decision_reports_outbox_idx" ON "spillway"."decision_reports" USING btree ("outbox_shard","outbox_epoch","outbox_seq");
--> statement-breakpoint
CREATE TABLE "spillway"."decision_counts" (
	"policy" text NOT NULL,
	"outcome" text NOT NULL,
	"minute" timestamp with time zone NOT NULL,
	"count" bigint NOT NULL,
	CONSTRAINT "decision_counts_pkey" PRIMARY KEY("minute","policy","outcome")
) WITH (fillfactor = 70);
--> statement-breakpoint
CREATE TABLE "spillway"."decision_counts_hourly" (
	"policy" text NOT NULL,
	"outcome" text NOT NULL,
	"hour" timestamp with time zone NOT NULL,
	"count" bigint NOT NULL,
	CONSTRAINT "decision_counts_hourly_pkey" PRIMARY KEY("hour","policy","outcome")
) WITH (fillfactor = 70);
--> statement-breakpoint

-- Stores reports, one element of each array a report, and counts those that are new. Returns how many were. With its owner's
-- rights, as upsert_blocks(): who may only call it can neither change a count otherwise nor delete. Each insert is in the order
-- of its key, and the second statement begins when the first is done: two batches wait for each other instead of deadlocking.
CREATE FUNCTION spillway.add_decisions(
	p_id uuid[], p_policy text[], p_outcome text[], p_count bigint[], p_over_ms bigint[], p_recorded_at_ms double precision[],
	p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
--> statement-breakpoint

COMMENT ON FUNCTION spillway.add_decisions(uuid[], text[], text[], bigint[], bigint[], double precision[], integer[], bigint[], bigint[]) IS 'Stores reports of decisions and counts those that are new; returns how many were.';

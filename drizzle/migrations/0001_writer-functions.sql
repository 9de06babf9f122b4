-- How the sink changes rows that are there: these two functions and nothing else. Custom: Drizzle knows no functions.
--
-- A block's row is a snapshot with running totals, so a second delivery or a later snapshot must be able to move it on. A role
-- with UPDATE could rewrite the trail. So the functions run with their owner's rights, and who may only call them can insert
-- rows and move them forward by the rules below, and can neither change who was blocked and when, nor lower a count, nor delete.

-- Blocks, one element of each array a row. Returns how many rows were new or changed. ORDER BY id: two batches that share rows
-- wait for each other instead of deadlocking. What would not change is not written.
CREATE FUNCTION spillway.upsert_blocks(
	p_id uuid[], p_key text[], p_tier text[], p_action text[], p_identifier text[], p_limit_count bigint[], p_window_ms bigint[],
	p_request_count bigint[], p_denied_count bigint[], p_window_start_ms double precision[], p_last_request_at_ms double precision[],
	p_blocked_until_ms double precision[], p_mode text[], p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[],
	p_created_at_ms double precision[], p_updated_at_ms double precision[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	changed bigint;
BEGIN
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
	RETURN changed;
END
$$;
--> statement-breakpoint
-- Outages, whose detail is a snapshot with a growing number of reports: of two the one with more stays.
CREATE FUNCTION spillway.upsert_outages(
	p_id uuid[], p_kind text[], p_shard integer[], p_epoch bigint[], p_from_seq bigint[], p_to_seq bigint[], p_detail jsonb[],
	p_detected_at_ms double precision[], p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
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
$$;

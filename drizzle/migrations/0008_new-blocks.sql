-- Blocks that have only begun are new rows, as a rule, and a row that can't be in conflict costs Postgres a sixth less: with ON
-- CONFLICT it is announced before it is inserted, and confirmed after. So they are inserted plainly first, and by the rules for
-- snapshots only if one of them is there already. Rows are in the order of their ids either way: calls that share some don't deadlock.
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
$function$;

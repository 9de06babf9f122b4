-- How the sink changes rows that are there: these functions and nothing else. Custom: Drizzle knows no functions.
--
-- A block's row is a snapshot with running totals, so a second delivery or a later snapshot must be able to move it on. A role
-- with UPDATE could rewrite the trail. So the functions run with their owner's rights, and who may only call them can insert
-- rows and move them forward by the rules below, and can neither change who was blocked and when, nor lower a count, nor delete.

-- Which of these blocks have no place among the first p_cap rows of their minute: `beyond`. They are counted in rows of kind
-- 'blocks_capped' of audit_gaps, one per outbox, minute and tier, as a set of numbers: counting twice is the same as once.
-- `counted` is how many were not counted before. Blocks that have a row keep it. Statements that run at once don't wait for each
-- other here, so that each may put its own rows beyond the cap; no block is left out of both.
CREATE FUNCTION spillway.cap_blocks(
	p_id uuid[], p_tier text[], p_shard integer[], p_epoch bigint[], p_seq bigint[], p_created_at_ms double precision[], p_cap bigint,
	OUT beyond uuid[], OUT counted bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
--> statement-breakpoint
-- Blocks, one element of each array a row. At most p_cap of a minute become rows, NULL: all. Returns how many rows were new or
-- changed, and how many blocks were counted instead. ORDER BY id: two batches that share rows wait for each other instead of
-- deadlocking. What would not change is not written.
CREATE FUNCTION spillway.upsert_blocks(
	p_id uuid[], p_key text[], p_tier text[], p_action text[], p_identifier text[], p_limit_count bigint[], p_window_ms bigint[],
	p_request_count bigint[], p_denied_count bigint[], p_window_start_ms double precision[], p_last_request_at_ms double precision[],
	p_blocked_until_ms double precision[], p_mode text[], p_outbox_shard integer[], p_outbox_epoch bigint[], p_outbox_seq bigint[],
	p_created_at_ms double precision[], p_updated_at_ms double precision[], p_cap bigint
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	changed bigint;
	over uuid[] := '{}';
	counted bigint := 0;
BEGIN
	IF p_cap IS NOT NULL THEN
		SELECT c.beyond, c.counted INTO over, counted FROM spillway.cap_blocks(
			p_id, p_tier, p_outbox_shard, p_outbox_epoch, p_outbox_seq, p_created_at_ms, p_cap) AS c;
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
--> statement-breakpoint
-- The highest number of each outbox and epoch that is stored, and the outbox entry that had it. Elements are stretches of entries
-- of one outbox and epoch, in the order of their outbox: the first and the last one's number and entry id. Within one epoch a
-- later entry has a higher number. One that has not was given its number by a Redis that did not know that it had been given out
-- before: a row of kind 'seq_reused' tells of the numbers, and of the highest that was stored and seen until then. Returns how many such stretches there were.
CREATE FUNCTION spillway.note_stored(
	p_shard integer[], p_epoch bigint[], p_first_seq bigint[], p_first_entry text[], p_last_seq bigint[], p_last_entry text[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
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
$$;
--> statement-breakpoint
-- The highest number of each outbox and epoch that a worker saw given out, stored or not.
CREATE FUNCTION spillway.note_seen(p_shard integer[], p_epoch bigint[], p_seq bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO spillway.audit_epochs AS stored (shard, epoch, seen_seq)
	SELECT shard, epoch, max(seq) FROM unnest(p_shard, p_epoch, p_seq) AS seen (shard, epoch, seq)
	GROUP BY shard, epoch ORDER BY shard, epoch
	ON CONFLICT (shard, epoch) DO UPDATE SET seen_seq = excluded.seen_seq, updated_at = now()
	WHERE excluded.seen_seq > stored.seen_seq
$$;
--> statement-breakpoint
-- Epochs that are over, as rows of kind 'epoch_ended': what is learnt later is added to the detail, and the higher number seen
-- stays. Events that a full outbox refused in them are rows of kind 'dropped', whose count never shrinks. Returns how many
-- rows of the first kind were new or changed.
CREATE FUNCTION spillway.end_epochs(
	p_id uuid[], p_shard integer[], p_epoch bigint[], p_seen_seq bigint[], p_detail jsonb[], p_dropped_id uuid[], p_dropped bigint[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
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
$$;

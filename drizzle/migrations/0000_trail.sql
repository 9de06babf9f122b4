-- The trail: blocks, breaker events, changes by hand, what is missing and what was refused. Edited by hand: storage parameters and
-- row level security, which Drizzle can't say.
-- fillfactor: a block's row is updated once or twice after its insert (denied_count grows while the block lasts); with room on
-- the page that update is HOT and touches no index. autovacuum: by default a table of 10 million rows is vacuumed at 2 million
-- dead ones, and index-only scans need a visibility map that is younger than that.
-- Row level security: in `public`, which many hosts expose to browsers, a right that came by default privileges opens nothing.
-- The policy `spillway` is on exactly those tables of an exposed schema that Spillway made. migrate() adds the roles to it.
-- The schema `spillway` is there: its journal is in it.
CREATE TABLE "public"."rate_limits_v2" (
	"id" uuid PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"tier" text NOT NULL,
	"action" text NOT NULL,
	"identifier" text NOT NULL,
	"limit_count" bigint NOT NULL,
	"window_ms" bigint NOT NULL,
	"request_count" bigint NOT NULL,
	"denied_count" bigint DEFAULT 0 NOT NULL,
	"window_start" timestamp with time zone NOT NULL,
	"last_request_at" timestamp with time zone NOT NULL,
	"blocked_until" timestamp with time zone NOT NULL,
	"mode" text DEFAULT 'enforce' NOT NULL,
	"outbox_shard" integer NOT NULL,
	"outbox_epoch" bigint NOT NULL,
	"outbox_seq" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "rate_limits_v2_mode_check" CHECK ("rate_limits_v2"."mode" in ('enforce', 'shadow'))
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
--> statement-breakpoint
CREATE INDEX "rate_limits_v2_blocked_until_idx" ON "public"."rate_limits_v2" USING btree ("blocked_until");
--> statement-breakpoint
CREATE INDEX "rate_limits_v2_identifier_idx" ON "public"."rate_limits_v2" USING btree ("identifier","created_at" DESC NULLS FIRST,"id" DESC NULLS FIRST);
--> statement-breakpoint
CREATE INDEX "rate_limits_v2_created_at_idx" ON "public"."rate_limits_v2" USING btree ("created_at","id");
--> statement-breakpoint
CREATE INDEX "rate_limits_v2_outbox_idx" ON "public"."rate_limits_v2" USING btree ("outbox_shard","outbox_epoch","outbox_seq");
--> statement-breakpoint
ALTER TABLE "public"."rate_limits_v2" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY spillway ON "public"."rate_limits_v2" TO CURRENT_USER USING (true) WITH CHECK (true);
--> statement-breakpoint
CREATE TABLE "public"."circuit_breaker_events" (
	"id" uuid PRIMARY KEY NOT NULL,
	"breaker_name" text NOT NULL,
	"preset" text DEFAULT '' NOT NULL,
	"event_type" text NOT NULL,
	"failure_count" bigint DEFAULT 0 NOT NULL,
	"error_message" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"breaker_epoch" bigint,
	"outbox_shard" integer NOT NULL,
	"outbox_epoch" bigint NOT NULL,
	"outbox_seq" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "circuit_breaker_events_event_type_check" CHECK ("circuit_breaker_events"."event_type" in ('opened', 'closed', 'half_open', 'failure', 'success'))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
--> statement-breakpoint
CREATE UNIQUE INDEX "circuit_breaker_events_transition_key" ON "public"."circuit_breaker_events" USING btree ("breaker_name","preset","breaker_epoch" DESC NULLS FIRST,"event_type") WHERE "circuit_breaker_events"."breaker_epoch" is not null;
--> statement-breakpoint
CREATE INDEX "circuit_breaker_events_created_at_idx" ON "public"."circuit_breaker_events" USING btree ("created_at","breaker_name","event_type");
--> statement-breakpoint
CREATE INDEX "circuit_breaker_events_breaker_idx" ON "public"."circuit_breaker_events" USING btree ("breaker_name","created_at");
--> statement-breakpoint
CREATE INDEX "circuit_breaker_events_outbox_idx" ON "public"."circuit_breaker_events" USING btree ("outbox_shard","outbox_epoch","outbox_seq");
--> statement-breakpoint
ALTER TABLE "public"."circuit_breaker_events" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY spillway ON "public"."circuit_breaker_events" TO CURRENT_USER USING (true) WITH CHECK (true);
--> statement-breakpoint
CREATE TABLE "spillway"."audit_gaps" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"shard" integer,
	"epoch" bigint,
	"from_seq" bigint,
	"to_seq" bigint,
	"seqs" int8multirange,
	"detail" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"detected_at" timestamp with time zone DEFAULT now() NOT NULL,
	"resolved_at" timestamp with time zone,
	"outbox_shard" integer,
	"outbox_epoch" bigint,
	"outbox_seq" bigint,
	CONSTRAINT "audit_gaps_range_check" CHECK ("spillway"."audit_gaps"."from_seq" <= "spillway"."audit_gaps"."to_seq")
);
--> statement-breakpoint
CREATE INDEX "audit_gaps_detected_at_idx" ON "spillway"."audit_gaps" USING btree ("detected_at");
--> statement-breakpoint
CREATE INDEX "audit_gaps_unresolved_idx" ON "spillway"."audit_gaps" USING btree ("kind","detected_at") WHERE "spillway"."audit_gaps"."resolved_at" is null;
--> statement-breakpoint
CREATE INDEX "audit_gaps_outbox_idx" ON "spillway"."audit_gaps" USING btree ("outbox_shard","outbox_epoch","outbox_seq") WHERE "spillway"."audit_gaps"."outbox_seq" is not null;
--> statement-breakpoint
CREATE INDEX "audit_gaps_range_idx" ON "spillway"."audit_gaps" USING btree ("shard","epoch","to_seq") WHERE "spillway"."audit_gaps"."from_seq" is not null;
--> statement-breakpoint
CREATE TABLE "spillway"."audit_dead_letters" (
	"id" uuid PRIMARY KEY NOT NULL,
	"source_job" text NOT NULL,
	"reason" text NOT NULL,
	"payload" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"replayed_at" timestamp with time zone,
	"outbox_shard" integer,
	"outbox_epoch" bigint,
	"outbox_seq" bigint
);
--> statement-breakpoint
CREATE INDEX "audit_dead_letters_created_at_idx" ON "spillway"."audit_dead_letters" USING btree ("created_at","id");
--> statement-breakpoint
CREATE INDEX "audit_dead_letters_waiting_idx" ON "spillway"."audit_dead_letters" USING btree ("created_at") WHERE "spillway"."audit_dead_letters"."replayed_at" is null;
--> statement-breakpoint
CREATE INDEX "audit_dead_letters_outbox_idx" ON "spillway"."audit_dead_letters" USING btree ("outbox_shard","outbox_epoch","outbox_seq") WHERE "spillway"."audit_dead_letters"."outbox_seq" is not null;
--> statement-breakpoint
CREATE TABLE "spillway"."audit_watermarks" (
	"shard" integer NOT NULL,
	"epoch" bigint NOT NULL,
	"through_seq" bigint NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "audit_watermarks_pkey" PRIMARY KEY("shard","epoch")
);
--> statement-breakpoint
CREATE TABLE "spillway"."audit_epochs" (
	"shard" integer NOT NULL,
	"epoch" bigint NOT NULL,
	"stored_seq" bigint DEFAULT 0 NOT NULL,
	"stored_entry" text DEFAULT '0-0' NOT NULL,
	"seen_seq" bigint DEFAULT 0 NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "audit_epochs_pkey" PRIMARY KEY("shard","epoch")
) WITH (fillfactor = 50);
--> statement-breakpoint
CREATE TABLE "spillway"."changes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"object_kind" text NOT NULL,
	"object" text NOT NULL,
	"before" jsonb,
	"after" jsonb,
	"note" text,
	"outbox_shard" integer,
	"outbox_epoch" bigint,
	"outbox_seq" bigint
);
--> statement-breakpoint
CREATE INDEX "changes_created_at_idx" ON "spillway"."changes" USING btree ("created_at","id");
--> statement-breakpoint
CREATE INDEX "changes_object_idx" ON "spillway"."changes" USING btree ("object_kind","object","created_at");
--> statement-breakpoint
CREATE INDEX "changes_outbox_idx" ON "spillway"."changes" USING btree ("outbox_shard","outbox_epoch","outbox_seq") WHERE "spillway"."changes"."outbox_seq" is not null;

-- Samples, and samples summed up by time for statistics over millions of them. Edited by hand: see 0000, and PARTITION BY.
-- Samples are by day, so that a day that is too old is dropped instead of deleted row by row. Which days there are depends on
-- today: migrate() and the jobs make them, in the schema spillway. No DEFAULT partition: see 0005.
CREATE TABLE "public"."system_metrics" (
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"metric_name" text NOT NULL,
	"metric_value" numeric NOT NULL,
	"metric_unit" text,
	"tags" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"recorded_at" timestamp with time zone DEFAULT now() NOT NULL,
	"outbox_shard" integer,
	"outbox_epoch" bigint,
	"outbox_seq" bigint,
	CONSTRAINT "system_metrics_pkey" PRIMARY KEY("recorded_at","id"),
	CONSTRAINT "system_metrics_finite_check" CHECK ("system_metrics"."metric_value" > '-Infinity' and "system_metrics"."metric_value" < 'Infinity'),
	CONSTRAINT "system_metrics_name_check" CHECK ("system_metrics"."metric_name" <> '' and octet_length("system_metrics"."metric_name") <= 512),
	CONSTRAINT "system_metrics_unit_check" CHECK (octet_length("system_metrics"."metric_unit") <= 128),
	CONSTRAINT "system_metrics_tags_check" CHECK (pg_column_size("system_metrics"."tags") <= 32768)
) PARTITION BY RANGE ("recorded_at");
--> statement-breakpoint
CREATE INDEX "system_metrics_stats_idx" ON "public"."system_metrics" USING btree ("metric_name","recorded_at" DESC NULLS FIRST,"metric_value");
--> statement-breakpoint
CREATE INDEX "system_metrics_outbox_idx" ON "public"."system_metrics" USING btree ("outbox_shard","outbox_epoch","outbox_seq") WHERE "system_metrics"."outbox_seq" is not null;
--> statement-breakpoint
ALTER TABLE "public"."system_metrics" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY spillway ON "public"."system_metrics" TO CURRENT_USER USING (true) WITH CHECK (true);
--> statement-breakpoint
CREATE TABLE "spillway"."system_metric_late_minutes" (
	"metric_name" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"touched_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "system_metric_late_minutes_pkey" PRIMARY KEY("metric_name","started_at")
);
--> statement-breakpoint
CREATE TABLE "spillway"."system_metric_rollup_state" (
	"id" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"sealed_through" timestamp with time zone NOT NULL,
	"rolled_through" timestamp with time zone NOT NULL,
	CONSTRAINT "system_metric_rollup_state_one_row" CHECK ("spillway"."system_metric_rollup_state"."id")
);
--> statement-breakpoint
CREATE TABLE "spillway"."system_metric_rollups" (
	"metric_name" text NOT NULL,
	"width_minutes" integer NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"sample_count" bigint NOT NULL,
	"total" numeric NOT NULL,
	"min_value" numeric NOT NULL,
	"max_value" numeric NOT NULL,
	"buckets" integer[] NOT NULL,
	"counts" bigint[] NOT NULL,
	CONSTRAINT "system_metric_rollups_pkey" PRIMARY KEY("metric_name","width_minutes","started_at"),
	CONSTRAINT "system_metric_rollups_width_check" CHECK ("spillway"."system_metric_rollups"."width_minutes" in (1, 10, 60, 1440))
);
--> statement-breakpoint
CREATE INDEX "system_metric_rollups_started_at_idx" ON "spillway"."system_metric_rollups" USING btree ("started_at");

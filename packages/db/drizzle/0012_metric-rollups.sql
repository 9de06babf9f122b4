-- Samples summed up by time, for statistics over millions of them.
CREATE TABLE "system_metric_late_minutes" (
	"metric_name" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"touched_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "system_metric_late_minutes_pkey" PRIMARY KEY("metric_name","started_at")
);
--> statement-breakpoint
CREATE TABLE "system_metric_rollup_state" (
	"id" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"sealed_through" timestamp with time zone NOT NULL,
	"rolled_through" timestamp with time zone NOT NULL,
	CONSTRAINT "system_metric_rollup_state_one_row" CHECK ("system_metric_rollup_state"."id")
);
--> statement-breakpoint
CREATE TABLE "system_metric_rollups" (
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
	CONSTRAINT "system_metric_rollups_width_check" CHECK ("system_metric_rollups"."width_minutes" in (1, 10, 60, 1440))
);
--> statement-breakpoint
CREATE INDEX "system_metric_rollups_started_at_idx" ON "system_metric_rollups" USING btree ("started_at");
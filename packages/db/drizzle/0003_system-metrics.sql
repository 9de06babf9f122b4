-- Samples. Edited by hand: DESC without NULLS LAST, since only then does `ORDER BY recorded_at DESC LIMIT 1` read the index.
CREATE TABLE "system_metrics" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"metric_name" text NOT NULL,
	"metric_value" numeric NOT NULL,
	"metric_unit" text,
	"tags" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"recorded_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "system_metrics_finite_check" CHECK ("system_metrics"."metric_value" > '-Infinity' and "system_metrics"."metric_value" < 'Infinity'),
	CONSTRAINT "system_metrics_name_check" CHECK ("system_metrics"."metric_name" <> '')
);
--> statement-breakpoint
CREATE INDEX "system_metrics_stats_idx" ON "system_metrics" USING btree ("metric_name","recorded_at" DESC,"metric_value");--> statement-breakpoint
CREATE INDEX "system_metrics_recorded_at_idx" ON "system_metrics" USING btree ("recorded_at");

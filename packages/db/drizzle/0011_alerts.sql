-- Thresholds that were crossed, with one open row per rule.
CREATE TABLE "alerts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"rule" text NOT NULL,
	"opened_at" timestamp with time zone DEFAULT now() NOT NULL,
	"resolved_at" timestamp with time zone,
	"value" numeric NOT NULL,
	"threshold" numeric NOT NULL,
	"details" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"notified_opened_at" timestamp with time zone,
	"notified_resolved_at" timestamp with time zone
);
--> statement-breakpoint
CREATE UNIQUE INDEX "alerts_open_key" ON "alerts" USING btree ("rule") WHERE "alerts"."resolved_at" is null;--> statement-breakpoint
CREATE INDEX "alerts_opened_at_idx" ON "alerts" USING btree ("opened_at");--> statement-breakpoint
CREATE INDEX "alerts_untold_idx" ON "alerts" USING btree ("opened_at") WHERE "alerts"."notified_opened_at" is null or ("alerts"."resolved_at" is not null and "alerts"."notified_resolved_at" is null);
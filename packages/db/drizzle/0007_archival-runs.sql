-- The history of every maintenance run, by table.
CREATE TABLE "archive"."archival_runs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"run_id" uuid,
	"job_name" text DEFAULT 'cron-archive-data' NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"status" text DEFAULT 'running' NOT NULL,
	"table_name" text,
	"archived_count" bigint DEFAULT 0 NOT NULL,
	"deleted_count" bigint DEFAULT 0 NOT NULL,
	"cutoff" timestamp with time zone,
	"duration_ms" bigint,
	"error_message" text,
	"dry_run" boolean DEFAULT false NOT NULL,
	CONSTRAINT "archival_runs_status_check" CHECK ("archive"."archival_runs"."status" in ('running', 'completed', 'partial', 'failed', 'crashed'))
);
--> statement-breakpoint
CREATE INDEX "archival_runs_started_at_idx" ON "archive"."archival_runs" USING btree ("started_at");--> statement-breakpoint
CREATE INDEX "archival_runs_job_idx" ON "archive"."archival_runs" USING btree ("job_name","started_at");

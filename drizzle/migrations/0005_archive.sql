-- The schema of cold rows by month, and the history of maintenance: a row per run, and one per table of it. Edited by hand: Drizzle would make the archives too, and
-- those are not made here. An archive has its live table's columns, whatever they are, and which months exist depends on the
-- day, so migrate() ensures archives and partitions after the migrations, each time.
-- No DEFAULT partition on purpose: it would have to be scanned and locked whenever a month is attached, and
-- DETACH CONCURRENTLY refuses a table that has one. A row without its month is error 23514 and stays where it was.
DO $$ BEGIN
	-- IF NOT EXISTS asks for the right to make schemas even where there is one.
	IF to_regnamespace('archive') IS NULL THEN CREATE SCHEMA archive; END IF;
END $$;
--> statement-breakpoint
CREATE TABLE "spillway"."job_runs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"job" text NOT NULL,
	"due_at" timestamp with time zone,
	"trigger" text NOT NULL,
	"dry_run" boolean DEFAULT false NOT NULL,
	"status" text DEFAULT 'running' NOT NULL,
	"attempts" integer DEFAULT 1 NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"duration_ms" bigint,
	"error_message" text,
	"details" jsonb DEFAULT '{}'::jsonb NOT NULL,
	CONSTRAINT "job_runs_trigger_check" CHECK ("spillway"."job_runs"."trigger" in ('schedule', 'http', 'cli')),
	CONSTRAINT "job_runs_status_check" CHECK ("spillway"."job_runs"."status" in ('baseline', 'running', 'completed', 'partial', 'failed', 'crashed'))
);
--> statement-breakpoint
CREATE UNIQUE INDEX "job_runs_due_key" ON "spillway"."job_runs" USING btree ("job","due_at") WHERE "spillway"."job_runs"."due_at" is not null;
--> statement-breakpoint
CREATE INDEX "job_runs_job_idx" ON "spillway"."job_runs" USING btree ("job","started_at" DESC NULLS FIRST);
--> statement-breakpoint
CREATE INDEX "job_runs_started_at_idx" ON "spillway"."job_runs" USING btree ("started_at","id");
--> statement-breakpoint
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
	"details" jsonb DEFAULT '{}'::jsonb NOT NULL,
	CONSTRAINT "archival_runs_run_id_job_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "spillway"."job_runs"("id") ON DELETE cascade ON UPDATE no action,
	CONSTRAINT "archival_runs_status_check" CHECK ("archive"."archival_runs"."status" in ('running', 'completed', 'partial', 'failed', 'crashed'))
);
--> statement-breakpoint
CREATE INDEX "archival_runs_started_at_idx" ON "archive"."archival_runs" USING btree ("started_at");
--> statement-breakpoint
CREATE INDEX "archival_runs_run_idx" ON "archive"."archival_runs" USING btree ("run_id");
--> statement-breakpoint
CREATE INDEX "archival_runs_job_idx" ON "archive"."archival_runs" USING btree ("job_name","started_at" DESC);
--> statement-breakpoint
ALTER TABLE "archive"."archival_runs" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY spillway ON "archive"."archival_runs" TO CURRENT_USER USING (true) WITH CHECK (true);
--> statement-breakpoint
CREATE TABLE "spillway"."observer_turns" (
	"id" integer PRIMARY KEY DEFAULT 1 NOT NULL,
	"taken_at" timestamp with time zone NOT NULL,
	CONSTRAINT "observer_turns_one_row_check" CHECK ("spillway"."observer_turns"."id" = 1)
);
--> statement-breakpoint
CREATE TABLE "spillway"."partition_moves" (
	"partition_schema" text NOT NULL,
	"partition_name" text NOT NULL,
	"source_schema" text NOT NULL,
	"source_name" text NOT NULL,
	"target_schema" text NOT NULL,
	"target_name" text NOT NULL,
	"bound" text NOT NULL,
	"begun_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "partition_moves_pkey" PRIMARY KEY("partition_schema","partition_name")
);

-- Cold rows by month, and the history of maintenance. Edited by hand: PARTITION BY, which Drizzle can't say.
-- An archive has its live table's columns, in order, and `archived_at`. An application's live table is copied as it is; an
-- archive that the application has already stays as it is; a live table without a `created_at` of time gets none.
-- The partitions themselves are not made here: which months exist depends on the day, so migrate() ensures them after the
-- migrations. No DEFAULT partition on purpose: it would have to be scanned and locked whenever a month is attached, and
-- DETACH CONCURRENTLY refuses a table that has one. A row without its month is error 23514 and stays where it was.
DO $$ BEGIN
	-- IF NOT EXISTS asks for the right to make schemas even where there is one.
	IF to_regnamespace('archive') IS NULL THEN CREATE SCHEMA archive; END IF;
END $$;
--> statement-breakpoint
DO $$
DECLARE
	name text;
	live regclass;
	ours boolean;
BEGIN
FOREACH name IN ARRAY '{api_call_logs,audit_logs,generations}'::text[] LOOP
	live := to_regclass(format('public.%I', name));
	CONTINUE WHEN to_regclass(format('archive.%I', name)) IS NOT NULL OR NOT EXISTS (
		SELECT FROM pg_attribute WHERE attrelid = live AND attname = 'created_at' AND NOT attisdropped
			AND atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype));
	ours := EXISTS (SELECT FROM pg_policy WHERE polrelid = live AND polname = 'spillway');
	-- The defaults of an application's table may belong to its sequences.
	EXECUTE format('CREATE TABLE archive.%1$I (LIKE public.%1$I %2$s %3$s) PARTITION BY RANGE (created_at)', name,
		CASE WHEN ours THEN 'INCLUDING DEFAULTS' END,
		CASE WHEN NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = live AND attname = 'archived_at' AND NOT attisdropped)
			THEN ', archived_at timestamptz NOT NULL DEFAULT now()' END);
	-- The key holds created_at because a partitioned table's key must hold the partition column.
	IF EXISTS (
		SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = live AND a.attname = 'id'
		WHERE i.indrelid = live AND i.indisprimary AND i.indkey::text = a.attnum::text) THEN
		EXECUTE format('ALTER TABLE archive.%1$I ADD CONSTRAINT %2$I PRIMARY KEY (id, created_at)', name, name || '_pkey');
	END IF;
	EXECUTE format('CREATE INDEX %2$I ON archive.%1$I USING brin (created_at)', name, name || '_created_at_brin');
	EXECUTE format('ALTER TABLE archive.%I ENABLE ROW LEVEL SECURITY', name);
	EXECUTE format('CREATE POLICY spillway ON archive.%I TO CURRENT_USER USING (true) WITH CHECK (true)', name);
END LOOP;
END $$;
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
	CONSTRAINT "archival_runs_status_check" CHECK ("archive"."archival_runs"."status" in ('running', 'completed', 'partial', 'failed', 'crashed'))
);
--> statement-breakpoint
CREATE INDEX "archival_runs_started_at_idx" ON "archive"."archival_runs" USING btree ("started_at");
--> statement-breakpoint
CREATE INDEX "archival_runs_job_idx" ON "archive"."archival_runs" USING btree ("job_name","started_at" DESC);
--> statement-breakpoint
ALTER TABLE "archive"."archival_runs" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY spillway ON "archive"."archival_runs" TO CURRENT_USER USING (true) WITH CHECK (true);
--> statement-breakpoint
CREATE TABLE "spillway"."scheduled_runs" (
	"job_name" text NOT NULL,
	"slot" timestamp with time zone NOT NULL,
	"run_id" uuid,
	"status" text NOT NULL,
	"attempts" integer DEFAULT 1 NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"duration_ms" bigint,
	"error_message" text,
	CONSTRAINT "scheduled_runs_pkey" PRIMARY KEY("job_name","slot"),
	CONSTRAINT "scheduled_runs_status_check" CHECK ("spillway"."scheduled_runs"."status" in ('baseline', 'running', 'completed', 'partial', 'failed'))
);

-- When which job was due and ran, and room for what the counts of a run don't say.
CREATE TABLE "archive"."scheduled_runs" (
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
	CONSTRAINT "scheduled_runs_status_check" CHECK ("archive"."scheduled_runs"."status" in ('baseline', 'running', 'completed', 'partial', 'failed'))
);
--> statement-breakpoint
ALTER TABLE "archive"."archival_runs" ADD COLUMN "details" jsonb DEFAULT '{}'::jsonb NOT NULL;
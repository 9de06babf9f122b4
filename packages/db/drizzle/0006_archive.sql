-- Cold rows by month. Edited by hand: PARTITION BY, which Drizzle can't say, and IF NOT EXISTS: an application may have a
-- schema of this name.
-- The partitions themselves are not made here: which months exist depends on the day, so migrate() ensures them after the
-- migrations. No DEFAULT partition on purpose: it would have to be scanned and locked whenever a month is attached, and
-- DETACH CONCURRENTLY refuses a table that has one. A row without its month is error 23514 and stays where it was.
CREATE SCHEMA IF NOT EXISTS "archive";
--> statement-breakpoint
CREATE TABLE "archive"."api_call_logs" (
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"user_id" text,
	"request_id" text,
	"method" text NOT NULL,
	"endpoint" text NOT NULL,
	"status_code" integer NOT NULL,
	"duration_ms" integer NOT NULL,
	"ip_address" text,
	"user_agent" text,
	"error_message" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"archived_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "api_call_logs_pkey" PRIMARY KEY("id","created_at")
) PARTITION BY RANGE ("created_at");
--> statement-breakpoint
CREATE TABLE "archive"."audit_logs" (
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"actor_id" text,
	"action" text NOT NULL,
	"resource_type" text NOT NULL,
	"resource_id" text,
	"ip_address" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"archived_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "audit_logs_pkey" PRIMARY KEY("id","created_at")
) PARTITION BY RANGE ("created_at");
--> statement-breakpoint
CREATE TABLE "archive"."generations" (
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"user_id" text NOT NULL,
	"provider" text NOT NULL,
	"model" text,
	"status" text DEFAULT 'pending' NOT NULL,
	"prompt" text,
	"parameters" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"result_url" text,
	"error_message" text,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"archived_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "generations_pkey" PRIMARY KEY("id","created_at")
) PARTITION BY RANGE ("created_at");
--> statement-breakpoint
CREATE INDEX "api_call_logs_created_at_brin" ON "archive"."api_call_logs" USING brin ("created_at");--> statement-breakpoint
CREATE INDEX "audit_logs_created_at_brin" ON "archive"."audit_logs" USING brin ("created_at");--> statement-breakpoint
CREATE INDEX "generations_created_at_brin" ON "archive"."generations" USING brin ("created_at");

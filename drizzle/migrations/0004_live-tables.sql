-- The application's own live tables, kept small by the archival job. Edited by hand: an application that Spillway is added to
-- has them already, with columns of its own. Those are left alone, and the archival job says where they differ from its
-- archive before it moves anything.
DO $$
BEGIN
IF to_regclass('public.api_call_logs') IS NULL THEN
CREATE TABLE "public"."api_call_logs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
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
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "api_call_logs_created_at_idx" ON "public"."api_call_logs" USING btree ("created_at");
CREATE INDEX "api_call_logs_user_idx" ON "public"."api_call_logs" USING btree ("user_id","created_at");
ALTER TABLE "public"."api_call_logs" ENABLE ROW LEVEL SECURITY;
CREATE POLICY spillway ON "public"."api_call_logs" TO CURRENT_USER USING (true) WITH CHECK (true);
END IF;
END $$;
--> statement-breakpoint
DO $$
BEGIN
IF to_regclass('public.audit_logs') IS NULL THEN
CREATE TABLE "public"."audit_logs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"actor_id" text,
	"action" text NOT NULL,
	"resource_type" text NOT NULL,
	"resource_id" text,
	"ip_address" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "audit_logs_created_at_idx" ON "public"."audit_logs" USING btree ("created_at");
CREATE INDEX "audit_logs_actor_idx" ON "public"."audit_logs" USING btree ("actor_id","created_at");
CREATE INDEX "audit_logs_resource_idx" ON "public"."audit_logs" USING btree ("resource_type","resource_id","created_at");
ALTER TABLE "public"."audit_logs" ENABLE ROW LEVEL SECURITY;
CREATE POLICY spillway ON "public"."audit_logs" TO CURRENT_USER USING (true) WITH CHECK (true);
END IF;
END $$;
--> statement-breakpoint
DO $$
BEGIN
IF to_regclass('public.generations') IS NULL THEN
CREATE TABLE "public"."generations" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
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
	CONSTRAINT "generations_status_check" CHECK ("generations"."status" in ('pending', 'processing', 'completed', 'failed', 'cancelled'))
);
CREATE INDEX "generations_created_at_idx" ON "public"."generations" USING btree ("created_at");
CREATE INDEX "generations_user_idx" ON "public"."generations" USING btree ("user_id","created_at");
CREATE INDEX "generations_unfinished_idx" ON "public"."generations" USING btree ("created_at") WHERE "generations"."status" in ('pending', 'processing');
ALTER TABLE "public"."generations" ENABLE ROW LEVEL SECURITY;
CREATE POLICY spillway ON "public"."generations" TO CURRENT_USER USING (true) WITH CHECK (true);
END IF;
END $$;

-- Thresholds that were crossed, and who may use the HTTP API.
CREATE TABLE "spillway"."alerts" (
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
CREATE UNIQUE INDEX "alerts_open_key" ON "spillway"."alerts" USING btree ("rule") WHERE "spillway"."alerts"."resolved_at" is null;
--> statement-breakpoint
CREATE INDEX "alerts_opened_at_idx" ON "spillway"."alerts" USING btree ("opened_at");
--> statement-breakpoint
CREATE INDEX "alerts_untold_idx" ON "spillway"."alerts" USING btree ("opened_at") WHERE "spillway"."alerts"."notified_opened_at" is null or ("spillway"."alerts"."resolved_at" is not null and "spillway"."alerts"."notified_resolved_at" is null);
--> statement-breakpoint
CREATE TABLE "spillway"."api_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"scopes" text[] NOT NULL,
	"replaces" uuid,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone,
	"revoked_at" timestamp with time zone,
	"last_used_at" timestamp with time zone,
	CONSTRAINT "api_keys_hash_check" CHECK (octet_length("spillway"."api_keys"."secret_hash") = 32),
	CONSTRAINT "api_keys_scopes_check" CHECK (cardinality("spillway"."api_keys"."scopes") > 0 and "spillway"."api_keys"."scopes" <@ array['decide', 'report', 'read', 'metrics', 'operate', 'maintain', 'admin'])
);
--> statement-breakpoint
CREATE INDEX "api_keys_created_at_idx" ON "spillway"."api_keys" USING btree ("created_at","id");

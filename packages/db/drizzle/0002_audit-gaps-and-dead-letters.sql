-- What the trail does not hold, and what Postgres refused: the two tables that keep "nothing is lost" honest.
CREATE TABLE "audit_gaps" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"shard" integer,
	"epoch" bigint,
	"from_seq" bigint,
	"to_seq" bigint,
	"detail" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"detected_at" timestamp with time zone DEFAULT now() NOT NULL,
	"resolved_at" timestamp with time zone,
	"outbox_shard" integer,
	"outbox_epoch" bigint,
	"outbox_seq" bigint,
	CONSTRAINT "audit_gaps_range_check" CHECK ("audit_gaps"."from_seq" <= "audit_gaps"."to_seq")
);
--> statement-breakpoint
CREATE TABLE "audit_dead_letters" (
	"id" uuid PRIMARY KEY NOT NULL,
	"source_job" text NOT NULL,
	"reason" text NOT NULL,
	"payload" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"replayed_at" timestamp with time zone
);
--> statement-breakpoint
CREATE INDEX "audit_gaps_detected_at_idx" ON "audit_gaps" USING btree ("detected_at");--> statement-breakpoint
CREATE INDEX "audit_gaps_unresolved_idx" ON "audit_gaps" USING btree ("kind","detected_at") WHERE "audit_gaps"."resolved_at" is null;--> statement-breakpoint
CREATE INDEX "audit_dead_letters_created_at_idx" ON "audit_dead_letters" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "audit_dead_letters_waiting_idx" ON "audit_dead_letters" USING btree ("created_at") WHERE "audit_dead_letters"."replayed_at" is null;

-- What happened to breakers. A transition is unique by (breaker, epoch, type), so two reports of it leave one row.
CREATE TABLE "circuit_breaker_events" (
	"id" uuid PRIMARY KEY NOT NULL,
	"breaker_name" text NOT NULL,
	"event_type" text NOT NULL,
	"failure_count" bigint DEFAULT 0 NOT NULL,
	"error_message" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"breaker_epoch" bigint,
	"outbox_shard" integer NOT NULL,
	"outbox_epoch" bigint NOT NULL,
	"outbox_seq" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "circuit_breaker_events_event_type_check" CHECK ("circuit_breaker_events"."event_type" in ('opened', 'closed', 'half_open', 'failure', 'success'))
);
--> statement-breakpoint
CREATE UNIQUE INDEX "circuit_breaker_events_transition_key" ON "circuit_breaker_events" USING btree ("breaker_name","breaker_epoch","event_type") WHERE "circuit_breaker_events"."breaker_epoch" is not null;--> statement-breakpoint
CREATE INDEX "circuit_breaker_events_created_at_idx" ON "circuit_breaker_events" USING btree ("created_at","breaker_name","event_type");--> statement-breakpoint
CREATE INDEX "circuit_breaker_events_breaker_idx" ON "circuit_breaker_events" USING btree ("breaker_name","created_at");

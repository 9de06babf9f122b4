-- A dependency may have one breaker under each preset, so a transition is known by the preset too.
DROP INDEX "circuit_breaker_events_transition_key";--> statement-breakpoint
ALTER TABLE "circuit_breaker_events" ADD COLUMN "preset" text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "circuit_breaker_events_transition_key" ON "circuit_breaker_events" USING btree ("breaker_name","preset","breaker_epoch","event_type") WHERE "circuit_breaker_events"."breaker_epoch" is not null;
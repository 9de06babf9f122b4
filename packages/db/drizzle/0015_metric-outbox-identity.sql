-- Where a sample was in its outbox, for those that came through one: without it the reconcile would miss them.
ALTER TABLE "system_metrics" ADD COLUMN "outbox_shard" integer;--> statement-breakpoint
ALTER TABLE "system_metrics" ADD COLUMN "outbox_epoch" bigint;--> statement-breakpoint
ALTER TABLE "system_metrics" ADD COLUMN "outbox_seq" bigint;

-- One row per block. Edited by hand: fillfactor, which Drizzle can't say. The row is updated once or twice after its
-- insert (denied_count grows while the block lasts); with room on the page that update is HOT and touches no index.
CREATE TABLE "rate_limits_v2" (
	"id" uuid PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"tier" text NOT NULL,
	"action" text NOT NULL,
	"identifier" text NOT NULL,
	"limit_count" bigint NOT NULL,
	"window_ms" bigint NOT NULL,
	"request_count" bigint NOT NULL,
	"denied_count" bigint DEFAULT 0 NOT NULL,
	"window_start" timestamp with time zone NOT NULL,
	"last_request_at" timestamp with time zone NOT NULL,
	"blocked_until" timestamp with time zone NOT NULL,
	"mode" text DEFAULT 'enforce' NOT NULL,
	"outbox_shard" integer NOT NULL,
	"outbox_epoch" bigint NOT NULL,
	"outbox_seq" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "rate_limits_v2_mode_check" CHECK ("rate_limits_v2"."mode" in ('enforce', 'shadow'))
) WITH (fillfactor = 90);
--> statement-breakpoint
CREATE INDEX "rate_limits_v2_blocked_until_idx" ON "rate_limits_v2" USING btree ("blocked_until");--> statement-breakpoint
CREATE INDEX "rate_limits_v2_who_idx" ON "rate_limits_v2" USING btree ("tier","identifier","blocked_until");--> statement-breakpoint
CREATE INDEX "rate_limits_v2_created_at_idx" ON "rate_limits_v2" USING btree ("created_at","id");

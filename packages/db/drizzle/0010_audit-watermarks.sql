-- Up to where cleaned tables must not be searched for missing sequence numbers.
CREATE TABLE "audit_watermarks" (
	"shard" integer NOT NULL,
	"epoch" bigint NOT NULL,
	"through_seq" bigint NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "audit_watermarks_pkey" PRIMARY KEY("shard","epoch")
);

/**
 * An outbox entry on its way: its shard, the stream's id for it, and its names and values in turn, as they were written.
 * Only the sink reads the fields, so that a malformed entry can't stop the pump.
 */
export type AuditEntry = readonly [shard: number, id: string, fields: readonly string[]];

/**
 * An outbox entry on its way: its shard, the stream's id for it, and its names and values in turn, as they were written.
 * Nobody reads the fields before the sink does, so that an entry nobody understands can't stop the pump.
 */
export type AuditEntry = readonly [shard: number, id: string, fields: readonly string[]];

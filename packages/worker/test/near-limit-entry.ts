import { shardTag } from '@spillway/redis';
import type { AuditEntry } from '../src/queue/audit-entry.ts';
import { T0 } from './block-entries.ts';

/** What a test wants to say of a subject that came near its limit; the rest is made up. */
export interface NearLimitFacts {
  readonly seq: number;
  readonly shard?: number;
  readonly epoch?: number;
  readonly remaining?: string;
  readonly action?: string;
}

/** A `near_limit` event, as the limiter's script writes it and as it travels in a job. */
export function nearLimitEntry(facts: NearLimitFacts): AuditEntry {
  const { seq, shard = 0, epoch = T0, remaining = '20', action = 'upload' } = facts;
  const fields = { type: 'near_limit', epoch, seq, at: T0 + seq, limit: 100, remaining };
  const key = `${shardTag(shard)}:w:standard:${action.length}:${action}:ada`;
  const flat = Object.entries(fields).flatMap(([name, value]) => [name, String(value)]);
  return [shard, `${T0}-${seq}`, [...flat, 'key', key]];
}

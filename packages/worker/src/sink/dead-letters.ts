import { createHash } from 'node:crypto';
import { insertDeadLetter, type Queryable } from '@spillway/db';
import { outboxFields } from '@spillway/redis';
import type { AuditEntry } from '../queue/audit-entry.ts';
import type { Rejection } from './event-writer.ts';

/** What `audit_dead_letters.payload` holds of an entry: all of it, so that it can be replayed. */
export interface DeadLetterPayload {
  readonly shard: number;
  readonly entryId: string;
  /** Names and values in turn. */
  readonly fields: readonly string[];
}

/**
 * Keeps entries that can't be stored, whole and with the reason. The id is computed from the entry, so that a second
 * delivery adds nothing.
 *
 * @param sourceJob which job brought them, for whoever investigates.
 */
export async function keepDeadLetters(
  db: Queryable,
  sourceJob: string,
  rejections: readonly Rejection[],
): Promise<void> {
  await Promise.all(
    rejections.map(async ({ entry, reason }) => {
      const [shard, entryId, fields] = entry;
      const payload: DeadLetterPayload = { shard, entryId, fields: outboxFields(fields) };
      await insertDeadLetter(db, { id: deadLetterId(entry), sourceJob, reason, payload });
    }),
  );
}

/** A UUID version 8 (RFC 9562) made of a hash of the whole entry. */
function deadLetterId(entry: AuditEntry): string {
  const hex = createHash('sha256').update(JSON.stringify(entry)).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

import { insertDeadLetter, type Queryable } from '@spillway/db';
import { outboxFields } from '@spillway/redis';
import { deterministicUuid } from '../deterministic-uuid.ts';
import { sequenceOf } from '../reconcile/in-flight.ts';
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
 * @param sourceJob the job that delivered them, for the investigation.
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
      await insertDeadLetter(db, {
        id: deterministicUuid(entry),
        sourceJob,
        reason,
        payload,
        outbox: sequenceOf(entry),
      });
    }),
  );
}

import { type Queryable, upsertDropped } from '@spillway/db';
import { droppedId } from '../deterministic-uuid.ts';
import type { OutboxHead } from '../outbox-head.ts';

/**
 * Writes how many events full outboxes refused into `audit_gaps`: a row of kind `dropped` for each shard and epoch, whose
 * `detail.count` grows. Any number of workers may do it at once and as often as they like.
 */
export async function recordDropped(db: Queryable, heads: readonly OutboxHead[]): Promise<void> {
  await upsertDropped(
    db,
    heads.map(({ shard, epoch, dropped }) => ({
      id: droppedId(shard, epoch),
      shard,
      epoch,
      count: dropped,
    })),
  );
}

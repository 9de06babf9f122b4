/** Where an event stood in the outbox; the source of its primary key. */
export interface OutboxIdentity {
  /** Number of the hash-tag shard. */
  readonly outboxShard: number;
  /** Epoch of the shard's sequence counter; grows when the counter restarts. */
  readonly outboxEpoch: number;
  /** Sequence number within the epoch, from 1, without gaps. */
  readonly outboxSeq: number;
}

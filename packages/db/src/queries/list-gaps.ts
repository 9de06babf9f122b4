import { epochMs, keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** Something the trail knows it does not hold, as it is read. Times are epoch ms. */
export interface StoredGap {
  readonly id: string;
  readonly kind: string;
  readonly shard: number | null;
  readonly epoch: number | null;
  /** First and last missing sequence number, both included; null for a gap without a range. */
  readonly fromSeq: number | null;
  readonly toSeq: number | null;
  readonly detail: unknown;
  readonly detectedAtMs: number;
  /** Null while it is open. */
  readonly resolvedAtMs: number | null;
}

/** Which gaps, and from where on. */
export interface ListGapsOptions extends PageOptions {
  readonly kind?: string;
  /** true: closed again; false: open. @default both */
  readonly resolved?: boolean;
}

/** One page of gaps, the last found first, filtered. */
export const listGaps: ListRows<StoredGap, ListGapsOptions> = keysetList({
  table: 'spillway.audit_gaps',
  columns: `id, kind, shard, epoch::float8 AS epoch, from_seq::float8 AS "fromSeq", to_seq::float8 AS "toSeq", detail,
    ${epochMs('detected_at', 'detectedAtMs')}, ${epochMs('resolved_at', 'resolvedAtMs')}`,
  time: 'detected_at',
  timeMs: ({ detectedAtMs }) => detectedAtMs,
  filters: [
    { type: 'text', where: (kind) => `kind = ${kind}`, read: ({ kind }) => kind },
    { type: 'bool', where: (resolved) => `${resolved} = (resolved_at IS NOT NULL)`, read: ({ resolved }) => resolved },
  ],
});

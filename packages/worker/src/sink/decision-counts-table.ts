import { addDecisions, type DecisionReportRow } from '@spillway/db';
import { parseDecisionCountsEvent } from '@spillway/limiter';
import type { EventTable } from './event-writer.ts';

/** Events of type `decisions`: a row of `decision_reports` each, once added to the counts of its minute and its hour. */
export const decisionCountsTable: EventTable<DecisionReportRow> = {
  type: 'decisions',
  parse: (event) => {
    const { id, policy, outcome, count, overMs, atMs } = parseDecisionCountsEvent(event);
    const outbox = { outboxShard: event.shard, outboxEpoch: event.epoch, outboxSeq: event.seq };
    return { id, policy, outcome, count, overMs, recordedAtMs: atMs, ...outbox };
  },
  idOf: (row) => row.id,
  // An event happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: async (db, rows) => addDecisions(db, rows),
};

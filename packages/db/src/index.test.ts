import { expect, test } from 'vitest';
import * as db from './index.ts';

test('exports exactly these values', () => {
  expect(Object.keys(db).toSorted()).toMatchInlineSnapshot(`
    [
      "InvalidCursorError",
      "InvalidOptionError",
      "MigrationError",
      "PartitionError",
      "archiveTables",
      "classifyDbError",
      "createPool",
      "decodePayload",
      "ensurePartitions",
      "insertBreakerEvents",
      "insertDeadLetter",
      "insertGaps",
      "insertMetrics",
      "listBlocks",
      "migrate",
      "transaction",
      "upsertBlocks",
      "upsertOutages",
      "withConnection",
    ]
  `);
});

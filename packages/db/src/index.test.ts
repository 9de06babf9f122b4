import { expect, test } from 'vitest';
import * as db from './index.ts';

test('exports exactly these values', () => {
  expect(Object.keys(db).toSorted()).toMatchInlineSnapshot(`
    [
      "ArchiveError",
      "InvalidCursorError",
      "InvalidOptionError",
      "MigrationError",
      "PartitionError",
      "addToRun",
      "archiveRows",
      "archiveTables",
      "builtInArchives",
      "builtInCleanups",
      "classifyDbError",
      "cleanUpRows",
      "closeRun",
      "closeSlot",
      "completeArchiveTable",
      "createPool",
      "decodePayload",
      "ensurePartitions",
      "insertBreakerEvents",
      "insertDeadLetter",
      "insertGaps",
      "insertMetrics",
      "isSlotOpen",
      "listBlocks",
      "listPartitions",
      "markCrashedRuns",
      "migrate",
      "monthsReady",
      "openRun",
      "openSlot",
      "readClockMs",
      "retirePartitions",
      "transaction",
      "upsertBlocks",
      "withConnection",
      "withJobLock",
    ]
  `);
});

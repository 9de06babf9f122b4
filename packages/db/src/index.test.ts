import { expect, test } from 'vitest';
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { migrationsFolder } from './migrate/migration-folder.ts';
import * as db from './index.ts';
import * as schema from './schema/index.ts';
import path from 'node:path';

test('exports exactly these values', () => {
  expect(Object.keys(db).toSorted()).toEqual([
    'ArchiveError',
    'InvalidCursorError',
    'InvalidOptionError',
    'MigrationError',
    'PartitionError',
    'activeApiKeys',
    'addDecisions',
    'addToTableRun',
    'apiKeyScopes',
    'apiKeysVersion',
    'archivalRunStatuses',
    'archiveRows',
    'beginRun',
    'blockModes',
    'blockedActions',
    'blocksOverview',
    'breakerEventTypes',
    'breakerOverview',
    'builtInArchives',
    'builtInCleanups',
    'capacityMetrics',
    'causes',
    'classifyDbError',
    'cleanUpRows',
    'closeTableRun',
    'completeArchiveTable',
    'countBlocksRunning',
    'createApiKey',
    'createPool',
    'decisionRates',
    'decisionSeries',
    'decodePayload',
    'endEpochs',
    'endRun',
    'ensureMetricDays',
    'ensurePartitions',
    'findMissing',
    'gapChange',
    'gapKinds',
    'generateKey',
    'insertApiKey',
    'insertBreakerEvents',
    'insertChange',
    'insertChanges',
    'insertDeadLetters',
    'insertGaps',
    'insertMetrics',
    'inspectArchives',
    'isDue',
    'isOfStatement',
    'isPlainTable',
    'isRefusal',
    'isReservedMetric',
    'isStatementTimeout',
    'jobOverview',
    'latestMetrics',
    'listAlerts',
    'listApiKeys',
    'listArchivalRuns',
    'listBlocks',
    'listBreakerEvents',
    'listBreakers',
    'listChanges',
    'listDeadLetters',
    'listEpochs',
    'listExposures',
    'listGaps',
    'listJobRuns',
    'listMetrics',
    'listPartitions',
    'listPendingNotifications',
    'markDelivered',
    'markReplayed',
    'metricDaysReady',
    'metricSeries',
    'metricStats',
    'migrate',
    'monthsReady',
    'moveWatermarks',
    'noteSeen',
    'noteStored',
    'openAlert',
    'openTableRun',
    'parseKey',
    'presetsOfBreaker',
    'readApiKey',
    'readBackendPid',
    'readBehindMs',
    'readCapacity',
    'readClockMs',
    'readDeadLetter',
    'readRun',
    'readServer',
    'readTrailHealth',
    'recentEvents',
    'recordCapacity',
    'recordChange',
    'recordMetric',
    'recordMetrics',
    'replayedDeadLetters',
    'resolveAlerts',
    'resolveGap',
    'retirePartitions',
    'revokeApiKey',
    'rollUpMetrics',
    'rotateApiKey',
    'runningRun',
    'secretMatches',
    'setRunDetails',
    'sqlState',
    'takeDeadLetter',
    'takeTurn',
    'topUsers',
    'touchApiKeys',
    'transaction',
    'upsertBlocks',
    'upsertDropped',
    'upsertOutages',
    'waitingDeadLetters',
    'withConnection',
    'withJobLock',
  ]);
});

test('exports exactly these tables and enumerations to applications', () => {
  expect(Object.keys(schema).toSorted()).toEqual([
    'alerts',
    'apiCallLogs',
    'apiKeyScopes',
    'apiKeys',
    'archivalRunStatuses',
    'archivalRuns',
    'archive',
    'archivedApiCallLogs',
    'archivedAuditLogs',
    'archivedGenerations',
    'auditDeadLetters',
    'auditEpochs',
    'auditGaps',
    'auditLogs',
    'auditWatermarks',
    'blockModes',
    'breakerEventTypes',
    'changes',
    'circuitBreakerEvents',
    'decisionCounts',
    'decisionCountsHourly',
    'decisionReports',
    'gapKinds',
    'generations',
    'jobRunStatuses',
    'jobRuns',
    'observerTurns',
    'partitionMoves',
    'rateLimitsV2',
    'runTriggers',
    'spillway',
    'systemMetricLateMinutes',
    'systemMetricRollupState',
    'systemMetricRollups',
    'systemMetrics',
  ]);
});

async function packed(folder: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: folder,
  });
  return JSON.parse(stdout)[0].files.map((file: { path: string }) => file.path);
}

// migrate() in an installed package once found no migrations: they lay outside of what is packed.
test('the tarball of the migrations holds every one and the journal, and nothing for development only', async () => {
  const files = await packed(path.dirname(migrationsFolder));
  const migrations = (await readdir(migrationsFolder)).filter((file) => /^\d+_.*\.sql$/u.test(file));
  expect(files.toSorted()).toEqual(
    [
      ...migrations.map((file) => `migrations/${file}`),
      'migrations/meta/_journal.json',
      'README.md',
      'package.json',
    ].toSorted(),
  );
});

test('the tarball of the database package holds nothing for tests only', async () => {
  const files = await packed(fileURLToPath(new URL('../', import.meta.url)));
  expect(files).toContain('src/schema/index.ts');
  expect(files.filter((file) => /testing|\.test\./u.test(file))).toEqual([]);
});

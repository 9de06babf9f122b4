import { randomUUID } from 'node:crypto';
import type { BlockRow, BreakerEventRow } from '../src/trail/event-rows.ts';

/** 2025-06-01 12:00:00.123 UTC. */
export const noonMs = 1_748_779_200_123;

/** A valid block, with what the test is about overridden. */
export function blockRow(overrides: Partial<BlockRow> = {}): BlockRow {
  return {
    id: randomUUID(),
    key: '{sw:07}:w:generation:generate-content:user-1',
    tier: 'generation',
    action: 'generate-content',
    identifier: 'user-1',
    limitCount: 20,
    windowMs: 60_000,
    requestCount: 20,
    deniedCount: 1,
    windowStartMs: noonMs - 60_000,
    lastRequestAtMs: noonMs,
    blockedUntilMs: noonMs + 120_000,
    mode: 'enforce',
    outboxShard: 7,
    outboxEpoch: 1_748_000_000_000,
    outboxSeq: 1,
    createdAtMs: noonMs,
    updatedAtMs: noonMs,
    ...overrides,
  };
}

/** A valid breaker event, with what the test is about overridden. */
export function breakerEventRow(overrides: Partial<BreakerEventRow> = {}): BreakerEventRow {
  return {
    id: randomUUID(),
    breakerName: 'runware',
    preset: 'ai_provider',
    eventType: 'opened',
    failureCount: 5,
    errorMessage: 'timeout',
    metadata: { preset: 'ai_provider' },
    breakerEpoch: 1,
    outboxShard: 7,
    outboxEpoch: 1_748_000_000_000,
    outboxSeq: 1,
    createdAtMs: noonMs,
    ...overrides,
  };
}

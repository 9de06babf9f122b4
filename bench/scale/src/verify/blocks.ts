import { createHash } from 'node:crypto';
import type { BlockReport } from '../ledger/ledger.ts';
import { apiKeyOf, kinds } from '../load/traffic.ts';
import type { Check } from './check.ts';

/** A row of `rate_limits_v2`. */
export interface StoredBlock {
  readonly tier: string;
  readonly action: string;
  readonly identifier: string;
  readonly createdAtMs: number;
}

/**
 * Compares the blocks that users saw begin with the rows. A block that surely began between a request and its answer has
 * exactly one row, made between the two; one that may have begun there has one or none; and no row is without a block.
 */
export function checkBlocks(seen: readonly BlockReport[], stored: readonly StoredBlock[]): Check {
  const rows = groupBy(stored, ({ tier, action, identifier }) => keyOf(tier, action, identifier));
  const blocks = groupBy(seen, ({ user, kind }) => {
    const { tier, action } = kinds[kind];
    return keyOf(tier, action, subjectOf(user));
  });
  const missing: string[] = [];
  const twice: string[] = [];
  const unknown: string[] = [];
  for (const key of new Set([...rows.keys(), ...blocks.keys()])) {
    const left = new Set(rows.get(key));
    // The sure ones choose first: an unsure one may overlap them.
    const ordered = (blocks.get(key) ?? []).toSorted((one, other) => Number(other.sure) - Number(one.sure));
    for (const { sentMs, receivedMs, sure } of ordered) {
      const inside = [...left].filter(({ createdAtMs }) => createdAtMs >= sentMs && createdAtMs <= receivedMs);
      if (sure && inside.length === 0) missing.push(`${key} between ${sentMs} and ${receivedMs}`);
      if (inside.length > 1) twice.push(`${key} at ${inside.map(({ createdAtMs }) => createdAtMs).join(', ')}`);
      for (const row of inside) left.delete(row);
    }
    for (const { createdAtMs } of left) unknown.push(`${key} at ${createdAtMs}`);
  }
  const sure = seen.filter((block) => block.sure).length;
  const problems = [
    ...missing.map((text) => `no row: ${text}`),
    ...twice.map((text) => `several rows: ${text}`),
    ...unknown.map((text) => `nobody saw it: ${text}`),
  ];
  return {
    name: 'Every block is in Postgres exactly once',
    promised: `${sure} blocks that users saw begin`,
    found: `${stored.length} rows; ${missing.length} missing, ${twice.length} double, ${unknown.length} that nobody saw`,
    passed: problems.length === 0,
    details: problems.slice(0, 20),
  };
}

/** The subject of an API key, computed independently of the limiter. */
export function subjectOf(user: number): string {
  return `api_key:${createHash('sha256').update(apiKeyOf(user)).digest('hex').slice(0, 32)}`;
}

function keyOf(tier: string, action: string, identifier: string): string {
  return `${tier} ${action} ${identifier}`;
}

function groupBy<Item>(items: readonly Item[], keyOfItem: (item: Item) => string): ReadonlyMap<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOfItem(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

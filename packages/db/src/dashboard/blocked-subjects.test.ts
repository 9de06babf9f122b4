import { expect, it } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { blockedActions, blocksOverview, topUsers } from './blocked-subjects.ts';

const database = useDatabase();
const HOUR = 3_600_000;

interface Block {
  readonly id: string;
  readonly identifier: string;
  readonly tier: string;
  readonly action: string;
  readonly mode: string;
  readonly denied: number;
  readonly beginsMs: number;
  readonly endsMs: number;
}

/** Begins and ends lie five minutes from each bound that a test asks for; many begin at one moment, and no two end at one. */
const INSERT = `
  INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, mode,
    window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq, created_at)
  SELECT md5('block ' || n)::uuid, 'k', 'tier-' || n * 31 % 5, 'action-' || n * 17 % 3, 'user-' || to_char(n * 7919 % 1500, 'FM0000'),
    1, 1, 1, n * 13 % 7, CASE WHEN n % 11 = 0 THEN 'shadow' ELSE 'enforce' END,
    begins, begins, begins + (1 + n * 7907 % 24) * interval '10 minutes' + n * interval '1 microsecond', 1, 1, n, begins
  FROM generate_series(1, $1::int) AS n
  CROSS JOIN LATERAL (SELECT now() - interval '5 minutes' - n * 10427 % 25 * interval '10 minutes') AS t (begins)`;

async function blocksOf(count: number): Promise<readonly Block[]> {
  await database.pool.query(INSERT, [count]);
  const { rows } = await database.pool.query<Block>(`
    SELECT id, identifier, tier, action, mode, denied_count::float8 AS denied, (extract(epoch FROM created_at) * 1000)::float8 AS "beginsMs",
           (extract(epoch FROM blocked_until) * 1000)::float8 AS "endsMs"
    FROM rate_limits_v2`);
  return rows;
}

function groups(
  blocks: readonly Block[],
  keyOf: (block: Block) => string,
): readonly (readonly [string, readonly Block[]])[] {
  const found = new Map<string, Block[]>();
  for (const block of blocks) found.set(keyOf(block), [...(found.get(keyOf(block)) ?? []), block]);
  return [...found];
}

const sum = (blocks: readonly Block[]): number => blocks.reduce((all, { denied }) => all + denied, 0);
const byName = (a: string, b: string): number => (a < b ? -1 : 1);

/** Which blocks are looked at, one by one. */
function lookedAt(blocks: readonly Block[], most: number, rangeMs: number) {
  const nowMs = Date.now();
  const inRange = blocks.filter(({ beginsMs }) => beginsMs >= nowMs - rangeMs);
  const run = blocks.filter(({ endsMs }) => endsMs > nowMs);
  const newest = inRange.toSorted((a, b) => b.beginsMs - a.beginsMs || byName(b.id, a.id)).slice(0, most);
  const running = run.toSorted((a, b) => b.endsMs - a.endsMs).slice(0, most);
  return { nowMs, looked: [...new Set([...newest, ...running])], cut: inRange.length >= most || run.length >= most };
}

/** The same as {@link blocksOverview}, as many as there are. */
function overviewOf(looked: readonly Block[], nowMs: number) {
  const blocked = groups(looked, ({ identifier, tier, action, mode }) => [identifier, tier, action, mode].join(' '));
  const enforced = looked.filter(({ mode, denied }) => mode === 'enforce' && denied > 0);
  return {
    blocked: blocked
      .map(([who, some]) => {
        const endsMs = Math.max(...some.map((each) => each.endsMs));
        return { who, blocks: some.length, deniedCount: sum(some), endsMs, active: endsMs > nowMs };
      })
      .toSorted((a, b) => Number(b.active) - Number(a.active) || b.deniedCount - a.deniedCount || byName(a.who, b.who)),
    refused: groups(enforced, ({ identifier }) => identifier)
      .map(([identifier, some]) => {
        const tiers = [...new Set(some.map(({ tier }) => tier))].toSorted();
        return { identifier, blocks: some.length, deniedCount: sum(some), tiers };
      })
      .toSorted((a, b) => b.deniedCount - a.deniedCount || byName(a.identifier, b.identifier)),
  };
}

// Of 3,000 all are looked at, of 14,000 some, and of 45,000 also behind a filter.
it.each([3_000, 14_000, 45_000])(
  'is what counting %i blocks one by one gives, for each range and filter',
  async (count) => {
    const blocks = await blocksOf(count);
    for (const rangeMs of [HOUR, 5 * HOUR]) {
      const pairs = lookedAt(blocks, 5_000, rangeMs).looked.map(({ tier, action }) => `${tier} ${action}`);
      const actions = await blockedActions(database.pool, rangeMs);
      expect(new Set(actions.map(({ tier, action }) => `${tier} ${action}`))).toEqual(new Set(pairs));
      for (const filter of [{}, { tier: 'tier-3' }, { action: 'action-1' }, { tier: 'tier-0', action: 'action-2' }]) {
        const most = Object.keys(filter).length === 0 ? 5_000 : 20_000;
        const { nowMs, looked, cut } = lookedAt(blocks, most, rangeMs);
        const passing = looked.filter((block) =>
          Object.entries(filter).every(([name, value]) => Reflect.get(block, name) === value),
        );
        const wanted = overviewOf(passing, nowMs);
        const all = await blocksOverview(database.pool, rangeMs, 1_000_000, filter);
        expect(all.newestOnly).toBe(cut ? most : null);
        expect(all.refused).toEqual(wanted.refused);
        const blocked = all.blocked.map(({ identifier, tier, action, mode, blockedUntilMs, ...rest }) => ({
          ...rest,
          who: [identifier, tier, action, mode].join(' '),
          endsMs: blockedUntilMs,
        }));
        // Subjects that tie are in no order but by identifier.
        expect(blocked.map(({ deniedCount, active }) => [active, deniedCount])).toEqual(
          wanted.blocked.map(({ deniedCount, active }) => [active, deniedCount]),
        );
        expect(blocked.toSorted((a, b) => byName(a.who, b.who))).toEqual(
          wanted.blocked.toSorted((a, b) => byName(a.who, b.who)),
        );
        const few = await blocksOverview(database.pool, rangeMs, 7, filter);
        expect(few.refused).toEqual(all.refused.slice(0, 7));
        expect(few.blocked.map(({ deniedCount, active }) => [active, deniedCount])).toEqual(
          blocked.slice(0, 7).map(({ deniedCount, active }) => [active, deniedCount]),
        );
      }
    }
  },
);

it('counts over the newest 20,000 calls, those without a user too, and shows who made most of them', async () => {
  await database.pool.query(`
    INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT CASE WHEN n % 10 > 0 THEN 'user-' || n * n % 97 END, 'GET', '/', CASE WHEN n % 7 = 0 THEN 429 ELSE 200 END, 1, now() - n * interval '100 ms'
    FROM generate_series(1, 25000) AS n`);
  const { rows } = await database.pool.query<{ user: string | null; status: number; at: number }>(`
    SELECT user_id AS user, status_code AS status, (extract(epoch FROM created_at) * 1000)::float8 AS at FROM api_call_logs`);
  const newest = rows.toSorted((a, b) => b.at - a.at).slice(0, 20_000);
  const users = [...new Set(newest.flatMap(({ user }) => (user === null ? [] : [user])))].map((user) => {
    const own = newest.filter((call) => call.user === user);
    const refused = own.filter(({ status }) => status === 429).length;
    return { user, calls: own.length, refused, lastCallAtMs: Math.max(...own.map(({ at }) => at)) };
  });
  const most = users.toSorted((a, b) => b.calls - a.calls || byName(a.user, b.user));
  const found = await topUsers(database.pool, HOUR, 1_000);
  expect({ ...found, users: found.users.toSorted((a, b) => b.calls - a.calls || byName(a.user, b.user)) }).toEqual({
    users: most,
    calls: 20_000,
    newestOnly: 20_000,
  });
  expect((await topUsers(database.pool, HOUR, 3)).users).toEqual(found.users.slice(0, 3));
});

it('counts calls by user in the range, and how many were refused', async () => {
  await database.pool.query(`INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT who, 'GET', '/', status, 1, now() - ago FROM (VALUES
      ('a', 200, interval '1 minute'), ('a', 429, interval '2 minutes'), ('b', 200, interval '3 minutes'),
      (null, 200, interval '3 minutes'), ('b', 200, interval '2 hours'), ('b', 200, interval '3 hours')
    ) AS call (who, status, ago)`);
  const { users, calls, newestOnly } = await topUsers(database.pool, HOUR, 10);
  expect(users.map(({ user, calls: made, refused }) => [user, made, refused])).toEqual([
    ['a', 2, 1],
    ['b', 1, 0],
  ]);
  expect([calls, newestOnly]).toEqual([4, null]);
  expect((await topUsers(database.pool, 4 * HOUR, 1)).users).toMatchObject([{ user: 'b', calls: 3 }]);
});

import { randomUUID } from 'node:crypto';
import { definePolicy } from '@spillway/limiter';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { useApi } from '../../test/use-api.ts';
import type { Scope } from '../openapi/api-app.ts';

const api = useApi();
const found = z.looseObject({
  windows: z.array(z.looseObject({ policy: z.string(), action: z.string(), remaining: z.number() })),
  blocks: z.array(z.looseObject({})),
});

const ask = async (body: unknown, as: Scope = 'read'): Promise<Response> =>
  api.ask('POST', '/v1/subjects/look-up', { body, as });
const lookUp = async (body: unknown) => found.parse(await (await ask(body)).json());

async function block(who: string, tier: string, action: string, until = `now() + interval '1 hour'`): Promise<void> {
  await api.pool.query(
    `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
       window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
     VALUES ($1, 'k', $2, $3, $4, 5, 60000, 5, 7, now(), now(), ${until}, 0, 1, 1)`,
    [randomUUID(), tier, action, who],
  );
}

describe('POST /v1/subjects/look-up', () => {
  it('tells all windows of a subject: of every policy, of what it or another was blocked for, of what is asked', async () => {
    await block('ada', 'ten', 'export');
    await block('bob', 'strict', 'sign-in');
    await block('bob', 'gone', 'sign-in');
    await api.limiter.consume('ten', 'ada', { cost: 3 });
    await api.limiter.consume('ten', 'ada', { cost: 4, action: 'export' });
    await api.limiter.consume('ten', 'ada', { cost: 5, action: 'typed' });
    const { windows } = await lookUp({ subject: 'ada', action: 'typed' });
    const of = (policy: string): unknown =>
      windows.filter((each) => each.policy === policy).map(({ action, remaining }) => [action, remaining]);
    expect(of('ten')).toEqual([
      ['default', 7],
      ['typed', 5],
      ['export', 6],
    ]);
    expect(windows.map(({ policy, action }) => `${policy} ${action}`)).toContain('strict sign-in');
    expect(of('gone')).toEqual([]);
    expect(new Set(windows.map(({ policy }) => policy))).toEqual(new Set(api.limiter.policies.keys()));
  });

  it('shows a window as the override says that holds for the subject, and a live policy beside those in code', async () => {
    const live = api.limiter.live ?? expect.fail('made with live');
    await live.setPolicy(definePolicy({ name: 'added', limit: 3, windowMs: 60_000 }));
    await live.setOverride({ policy: 'ten', subject: 'user:*', limit: 90 });
    await live.setOverride({ policy: 'ten', subject: 'user:7', limit: 70, mode: 'shadow' });
    await live.setOverride({ policy: 'ten', subject: 'org:*', limit: 1 });
    const answer = await lookUp({ subject: 'user:7' });
    expect(answer['overrides']).toEqual([
      { policy: 'ten', subject: 'user:7', limit: 70, mode: 'shadow' },
      { policy: 'ten', subject: 'user:*', limit: 90 },
    ]);
    const ten = answer.windows.find(({ policy }) => policy === 'ten');
    expect(ten).toMatchObject({ limit: 70, remaining: 70, mode: 'shadow', allowed: true, reason: 'allowed' });
    expect(answer.windows.map(({ policy }) => policy)).toContain('added');
  });

  it('tells blocks with and without an end, in Redis and in the trail, and of everything', async () => {
    await api.limiter.block('ten', 'ada', { durationMs: 60_000 });
    await api.limiter.block('strict', 'ada');
    await block('ada', 'ten', 'export', `'infinity'`);
    await block('eve', 'ten', 'export');
    const answer = await lookUp({ subject: 'ada' });
    const of = (policy: string): unknown => answer.windows.find((each) => each.policy === policy);
    expect(of('ten')).toMatchObject({ reason: 'blocked', blockedUntilMs: expect.any(Number) as number });
    expect(of('strict')).toMatchObject({ reason: 'blocked', blockedUntilMs: null, retryAfterMs: null });
    expect(answer.blocks).toMatchObject([
      { tier: 'ten', action: 'export', deniedCount: 7, blockedUntilMs: null, mode: 'enforce' },
    ]);
    expect(answer).not.toHaveProperty('blockedEverywhereUntilMs');
    await api.limiter.blockEverywhere('ada');
    expect(await lookUp({ subject: 'ada' })).toMatchObject({ blockedEverywhereUntilMs: null });
  });

  it('tells which entries of the lists fit, patterns and networks too', async () => {
    const live = api.limiter.live ?? expect.fail('made with live');
    await live.allow('10.0.0.0/8');
    await live.deny('ip:10.*');
    await live.deny('someone');
    expect(await lookUp({ subject: 'ip:10.1.2.3' })).toMatchObject({ allowed: ['10.0.0.0/8'], denied: ['ip:10.*'] });
  });

  it('charges, blocks and records nothing', async () => {
    for (let time = 0; time < 3; time += 1) await lookUp({ subject: 'ada', action: 'x' });
    expect(await api.limiter.peek('ten', 'ada')).toMatchObject({ remaining: 10 });
    const { rows } = await api.pool.query('SELECT 1 FROM spillway.changes UNION ALL SELECT 1 FROM rate_limits_v2');
    expect(rows).toEqual([]);
  });

  it('asks for no more than 200 windows, those of the subject first, and says how many it left out', async () => {
    await api.pool.query(`
      INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
        window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
      SELECT gen_random_uuid(), 'k', 'ten', 'made-up-' || n, 'bot', 5, 60000, 5, 7, now(), now(), now(), 0, 1, n FROM generate_series(1, 230) AS n`);
    await block('ada', 'ten', 'export');
    const answer = await lookUp({ subject: 'ada' });
    expect(answer.windows.map(({ action }) => action)).toContain('export');
    expect(answer.windows).toHaveLength(200);
    expect(answer['windowsLeftOut']).toBeGreaterThan(0);
  });

  it('is refused without the scope to read, and for what is no subject', async () => {
    expect((await ask({ subject: 'ada' }, 'decide')).status).toBe(403);
    for (const [bad, field] of [
      [{ subject: '' }, 'subject'],
      [{ subject: 'x'.repeat(1_025) }, 'subject'],
      [{ subject: 'a\0b' }, 'subject'],
      [{ subject: 'a', action: '' }, 'action'],
      [{ subject: 'a', actoin: 'x' }, ''],
    ] as const) {
      const response = await ask(bad);
      expect(response.status).toBe(400);
      expect(JSON.stringify(await response.json())).toContain(`"field":"${field}`);
    }
  });
});

import { rmSync } from 'node:fs';
import { createLimiter, type Limiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openHome, processesOf, type ScaleTestProcess, spawnScaleTest } from '../test/spawn-scale-test.ts';
import { floodOf } from './load/virtual-users.ts';
import { GENERATE, kinds, planRun, profiles } from './plan.ts';
import type { Report } from './report/report.ts';
import { subjectOf } from './verify/trail.ts';

const WAIT = { timeout: 60_000, interval: 20 };
const { profile, abusers } = planRun(profiles.pro, 12_000, { cores: 2 });

let home: string;
let run: ScaleTestProcess;
beforeEach(() => {
  home = openHome();
  run = spawnScaleTest(home, '--profile', profile.name, '--duration', '12s', '--json');
});
afterEach(async () => {
  run.child.kill('SIGKILL');
  await run.exited;
  await vi.waitUntil(() => processesOf(home).length === 0, WAIT);
  rmSync(home, { recursive: true });
});

/** The port in the command line of one of the run's servers. */
function portOf(server: RegExp): number {
  for (const { command } of processesOf(home)) {
    const port = server.exec(command)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`no process is ${server}`);
}

/** Loses the rows of all blocks of sign-ins and reads, and doubles each row that tells of the breaker's opening. */
async function tamperWithRows(): Promise<void> {
  const port = portOf(/postgres .*-c port=(\d+)/);
  const client = new Client({ connectionString: `postgres://postgres@127.0.0.1:${port}/spillway` });
  await client.connect();
  await client.query(`
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
      $$ BEGIN DELETE FROM public.rate_limits_v2 WHERE id = NEW.id; RETURN NULL; END $$;
    CREATE TRIGGER lose AFTER INSERT ON rate_limits_v2 FOR EACH ROW
      WHEN (NEW.tier IN ('auth', 'standard')) EXECUTE FUNCTION lose();
    CREATE FUNCTION double() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
      $$ BEGIN
        NEW.id := gen_random_uuid();
        NEW.preset := 'again';
        INSERT INTO public.circuit_breaker_events SELECT NEW.*;
        RETURN NULL;
      END $$;
    CREATE TRIGGER double AFTER INSERT ON circuit_breaker_events FOR EACH ROW
      WHEN (NEW.event_type = 'opened' AND NEW.preset <> 'again') EXECUTE FUNCTION double();`);
  await client.end();
}

/** An abuser's generations are forgotten again and again: in the end there were more than the limit in one window. */
async function admitTooMany(limiter: Limiter<'generation'>): Promise<void> {
  const abuser = Array.from({ length: abusers }, (_, index) => profile.users - 1 - index).find(
    (user) => floodOf(user) === GENERATE,
  );
  const subject = subjectOf(abuser ?? 0);
  const { action } = kinds[GENERATE];
  for (let round = 0; round < 3; round += 1) {
    await vi.waitUntil(async () => (await limiter.peek('generation', subject, { action })).remaining <= 10, WAIT);
    await limiter.reset('generation', subject, { action });
  }
}

// The checks' own tests feed them lists. Here a whole run is lied to from outside, and has to find each lie.
it('finds one admission too many, an unjust refusal, a lost row and a doubled one, and nothing else', async () => {
  await vi.waitUntil(() => run.stderr().includes('Steady load'), WAIT);
  await tamperWithRows();
  const redis = new Redis(portOf(/redis-server .*--port (\d+)/), '127.0.0.1', hotPathOptions);
  await vi.waitUntil(() => redis.status === 'ready', WAIT);
  const limiter = createLimiter({ redis, policies: tiers, deadlineMs: 10_000 });
  for (let user = 0; user < 20; user += 1) await limiter.block('standard', subjectOf(user), { durationMs: 60_000 });
  await admitTooMany(limiter);
  await limiter.close();
  redis.disconnect();

  expect(await run.exited, run.stderr()).toBe(1);
  const report: Report = JSON.parse(run.stdout());
  expect(report.passed).toBe(false);
  // Not how many generations an hour were served: a busy machine may serve fewer, and a run this short has few.
  expect(report.capacity).toContainEqual(expect.objectContaining({ metric: 'Concurrent users', passed: true }));
  const failed = report.checks.filter(({ passed }) => !passed);
  expect(failed.map(({ name, details }) => [name, details?.[0]])).toEqual([
    [
      'No user ever got more than the limit in any trailing window',
      expect.stringMatching(/^over-limit: user \d+, generations/),
    ],
    ['Nobody within limits was refused', expect.stringMatching(/^refused-within-limit: user \d+, reads/)],
    ['Every block is in Postgres exactly once', expect.stringMatching(/^no row: (auth|standard) /)],
    [expect.stringMatching(/^Every transition of the breaker/), 'opened after opened'],
  ]);
}, 120_000);

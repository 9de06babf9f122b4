/*
 * What a call through a breaker costs by its door, in CPU µs of this process, beside the peers, which know one process only: run with
 * `node bench/dist/doors/breakers.js [ROUNDS]`. 64 calls in flight of a function that returns
 * at once, or of which each tenth rejects; nothing opens. Redis, and the API with its Redis and Postgres, are processes beside it.
 * Medians of the rounds, in which the doors take turns; what the calls cost without a breaker is taken off.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createBreakers, definePreset } from '@spillway/breaker';
import { createBreakers as createHttpBreakers, httpStore } from '@spillway/breaker/http-store';
import { migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { circuitBreaker, ConsecutiveBreaker, handleAll } from 'cockatiel';
import { Redis } from 'ioredis';
import CircuitBreaker from 'opossum';
import { built } from '../built.ts';
import { redisCost } from '../redis-usage.ts';
import { median } from '../section.ts';

const CALLS = 50_000;
/** Failures are some fifty times dearer. */
const FAILING_CALLS = 5_000;
const IN_FLIGHT = 64;
const FAILS_EACH = 10;
const rounds = Number(process.argv[2] ?? 7);

let made = 0;
let failing = false;
const work = async (): Promise<number> => {
  made += 1;
  if (failing && made % FAILS_EACH === 0) throw new Error('HTTP 503');
  return 1;
};

const preset = definePreset({ name: 'bench', trip: { strategy: 'consecutive', failures: 100 }, openMs: 60_000 });
const [server, postgres] = await Promise.all([startRedis(), startPostgres()]);
await migrate({ connectionString: postgres.url });
const program = built('http/api-server.js');
const beside = spawn(process.execPath, [program, 'breakers', server.url, postgres.url], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const [url = '', key = ''] = String((await once(beside.stdout, 'data'))[0])
  .trim()
  .split(' ');

let trips = 0;
const store = httpStore({
  url: new URL(url).origin,
  key,
  deadlineMs: 5_000,
  fetch: async (place: string, init: RequestInit) => {
    trips += 1;
    return fetch(place, init);
  },
});
const redis = new Redis(server.url, hotPathOptions);
const overRedis = createBreakers({ redis, presets: [preset] });
const overHttp = createHttpBreakers({ store, presets: [preset] });
const fused = new CircuitBreaker(work, {
  errorThresholdPercentage: 99,
  timeout: false,
  // Its fastest setting: with them each failure sorts all calls of the last ten seconds.
  rollingPercentilesEnabled: false,
});
const counted = circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: new ConsecutiveBreaker(100) });

/** What makes a call; 'none' first, which is taken off. */
const doors = new Map<string, () => Promise<unknown>>([
  ['none', work],
  ['Spillway over Redis', async () => overRedis.run('over-redis', 'bench', work)],
  ['Spillway over HTTP', async () => overHttp.run('over-http', 'bench', work)],
  ['opossum, timeout off', async () => fused.fire()],
  ['cockatiel ConsecutiveBreaker', async () => counted.execute(work)],
]);

const calls = (): number => (failing ? FAILING_CALLS : CALLS);

/** CPU µs a call. */
async function cost(call: () => Promise<unknown>): Promise<number> {
  let next = 0;
  let refused = 0;
  const before = process.cpuUsage();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while ((next += 1) <= calls()) {
        await call().catch((error: unknown) => {
          if (!(error instanceof Error) || error.message !== 'HTTP 503') refused += 1;
        });
        // As in life, other things come in between: reports leave, and their answers are heard.
        if (next % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }),
  );
  const { user, system } = process.cpuUsage(before);
  if (refused > 0) throw new Error(`${refused} calls were refused`);
  return (user + system) / calls();
}

process.setSourceMapsEnabled(false);
for (failing of [false, true]) {
  const measured = new Map([...doors.keys()].map((name) => [name, [] as number[]]));
  const sent = new Map<string, number>();
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, call] of doors) {
      const tripsBefore = trips;
      let micros = 0;
      const { sent: scripts } = await redisCost(server.url, async () => void (micros = await cost(call)));
      if (round < 0) continue;
      measured.get(name)?.push(micros);
      const commands = name === 'Spillway over HTTP' ? trips - tripsBefore : scripts;
      sent.set(name, (sent.get(name) ?? 0) + (1_000 * commands) / calls() / rounds);
    }
  }
  const bare = median(measured.get('none') ?? []);
  process.stdout.write(
    `${failing ? `each ${FAILS_EACH}th call fails` : 'all calls succeed'}: bare ${bare.toFixed(3)} µs\n`,
  );
  for (const [name, micros] of [...measured].slice(1)) {
    const added = (median(micros) - bare).toFixed(3);
    process.stdout.write(`  ${name}: +${added} µs, ${(sent.get(name) ?? 0).toFixed(3)} trips per 1,000 calls\n`);
  }
}
await Promise.all([overRedis.close(), overHttp.close()]);
redis.disconnect();
beside.kill();
await Promise.all([server.stop(), postgres.stop()]);

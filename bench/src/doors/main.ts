/*
 * What each door adds to a request, in CPU µs of this process, beside the peer of that door: run with
 * `node bench/dist/doors/main.js [ROUNDS]`. Requests are handed to the frameworks in this
 * process, 64 in flight, by 1,000 subjects that are all admitted; the counts are in a Redis beside it. Medians of the rounds, in which
 * the apps take turns; what the app without a limiter takes is taken off.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fastifyRateLimit from '@fastify/rate-limit';
import { createLimiter, hotPathOptions } from '@spillway/limiter';
import { rateLimit as expressLimit } from '@spillway/limiter/express';
import { rateLimit as fastifyLimit } from '@spillway/limiter/fastify';
import { rateLimit as honoLimit } from '@spillway/limiter/hono';
import { guard } from '@spillway/limiter/http';
import { createLimiter as createHttpLimiter, httpStore } from '@spillway/limiter/http-store';
import { startRedis } from '@spillway/local-servers';
import express from 'express';
import { rateLimit as expressRateLimit } from 'express-rate-limit';
import fastify from 'fastify';
import { Hono } from 'hono';
import { rateLimiter, RedisStore as HonoRedisStore } from 'hono-rate-limiter';
import { Redis } from 'ioredis';
import inject, { type DispatchFunc } from 'light-my-request';
import { RedisStore } from 'rate-limit-redis';
import { built } from '../built.ts';
import { peerReply } from '../limiter/contenders.ts';
import { median } from '../section.ts';

const LIMIT = 1_000_000;
const WINDOW_MS = 60_000;
const REQUESTS = 20_000;
const IN_FLIGHT = 64;
const rounds = Number(process.argv[2] ?? 5);

/** Takes one request of a subject; rejects unless it was admitted. */
type App = (subject: string) => Promise<unknown>;

const policies = [{ name: 'bench', limit: LIMIT, windowMs: WINDOW_MS, algorithm: 'sliding-window' }] as const;
const server = await startRedis();
const redis = new Redis(server.url, hotPathOptions);
const peers = new Redis(server.url, { enableAutoPipelining: true });
const limiter = createLimiter({ redis, policies, trail: false });
const identify = ({ headers }: { readonly headers: Pick<Headers, 'get'> }): string => headers.get('x-user') ?? '';

/** Who is asking, for the peers. */
const byHonoHeader = ({ req }: { req: { header(name: string): string | undefined } }): string =>
  req.header('x-user') ?? '';
const byNodeHeader = ({ headers }: { headers: NodeJS.Dict<string | string[]> }): string => String(headers['x-user']);

function honoApp(kind: 'none' | 'ours' | 'peer'): App {
  const app = new Hono();
  if (kind === 'ours') app.use(honoLimit({ limiter, policy: 'bench', identify }));
  if (kind === 'peer') {
    const client = {
      scriptLoad: async (script: string) => String(await peers.script('LOAD', script)),
      evalsha: async <Reply>(hash: string, keys: string[], args: unknown[]) =>
        peerReply<Reply>(await peers.evalsha(hash, keys.length, ...keys, ...args.map(String))),
      decr: (key: string) => peers.decr(key),
      del: (key: string) => peers.del(key),
    };
    app.use(
      rateLimiter({
        store: new HonoRedisStore({ client }),
        limit: LIMIT,
        windowMs: WINDOW_MS,
        keyGenerator: byHonoHeader,
      }),
    );
  }
  app.get('/', (context) => context.text('in'));
  return async (subject) => admitted((await app.request('/', { headers: { 'x-user': subject } })).status);
}

function expressApp(kind: 'none' | 'ours' | 'peer'): App {
  const app = express();
  if (kind === 'ours') app.use(expressLimit({ limiter, policy: 'bench', identify }));
  if (kind === 'peer') {
    const sendCommand = async (command: string, ...args: string[]) =>
      peerReply<number>(await peers.call(command, args));
    const store = new RedisStore({ prefix: 'erl:', sendCommand });
    const headers = { standardHeaders: 'draft-8', legacyHeaders: true, validate: false } as const;
    app.use(expressRateLimit({ store, limit: LIMIT, windowMs: WINDOW_MS, keyGenerator: byNodeHeader, ...headers }));
  }
  app.get('/', (_request, response) => void response.send('in'));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what inject makes is what Express asks of a request
  const dispatch = app as unknown as DispatchFunc;
  return async (subject) => {
    const answer = await inject(dispatch, {
      url: '/',
      headers: { 'x-user': subject },
    });
    admitted(answer.statusCode);
  };
}

async function fastifyApp(kind: 'none' | 'ours' | 'peer'): Promise<App> {
  const app = fastify();
  if (kind === 'ours') app.addHook('onRequest', fastifyLimit({ limiter, policy: 'bench', identify }));
  if (kind === 'peer') {
    await app.register(fastifyRateLimit, {
      max: LIMIT,
      timeWindow: WINDOW_MS,
      redis: peers,
      keyGenerator: byNodeHeader,
    });
  }
  app.get('/', async () => 'in');
  await app.ready();
  return async (subject) => admitted((await app.inject({ url: '/', headers: { 'x-user': subject } })).statusCode);
}

function fetchApp(kind: 'none' | 'ours'): App {
  return async (subject) => {
    const request = new Request('http://app.test/', { headers: { 'x-user': subject } });
    const result = kind === 'none' ? undefined : await guard(request, { limiter, policy: 'bench', identify });
    if (result?.kind === 'refused') throw new Error('refused');
    return new Response('in', { headers: result?.headers ?? {} });
  };
}

/** A decision over HTTP from a process beside this one; the peer sends one request for each, as REST clients do. */
function httpApp(kind: 'none' | 'ours' | 'peer', url: string): App {
  if (kind === 'none') return async () => undefined;
  const store = httpStore({ url, key: 'k', deadlineMs: 5_000 });
  const overHttp = createHttpLimiter({ store, policies });
  if (kind === 'ours')
    return async (subject) => admitted((await overHttp.consume('bench', subject)).reason === 'allowed' ? 200 : 500);
  return async (subject) => {
    const body = JSON.stringify({ requests: [{ subject }] });
    const answer = await fetch(`${url}/v1/limits/bench/batch`, { method: 'POST', body });
    await answer.json();
    admitted(answer.status);
  };
}

function admitted(status: number): void {
  if (status !== 200) throw new Error(`status ${status}`);
}

/** CPU µs a request. */
async function cost(app: App): Promise<number> {
  let next = 0;
  const before = process.cpuUsage();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (next < REQUESTS) await app(`user-${(next += 1) % 1_000}`);
    }),
  );
  const { user, system } = process.cpuUsage(before);
  return (user + system) / REQUESTS;
}

const program = built('doors/server.js');
const beside = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
const apiUrl = String((await once(beside.stdout, 'data'))[0]).trim();
const doors: readonly (readonly [string, Readonly<Record<string, App>>])[] = [
  ['Hono, beside hono-rate-limiter', { none: honoApp('none'), ours: honoApp('ours'), peer: honoApp('peer') }],
  [
    'Express 5, beside express-rate-limit',
    { none: expressApp('none'), ours: expressApp('ours'), peer: expressApp('peer') },
  ],
  [
    'Fastify, beside @fastify/rate-limit',
    { none: await fastifyApp('none'), ours: await fastifyApp('ours'), peer: await fastifyApp('peer') },
  ],
  ['(Request) => Response', { none: fetchApp('none'), ours: fetchApp('ours') }],
  [
    'over HTTP, beside one fetch a decision',
    { none: httpApp('none', apiUrl), ours: httpApp('ours', apiUrl), peer: httpApp('peer', apiUrl) },
  ],
];
for (const [name, apps] of doors) {
  const measured = new Map<string, number[]>(Object.keys(apps).map((kind) => [kind, []]));
  for (const app of Object.values(apps)) await cost(app);
  for (let round = 0; round < rounds; round += 1) {
    for (const [kind, app] of Object.entries(apps)) measured.get(kind)?.push(await cost(app));
  }
  const bare = median(measured.get('none') ?? []);
  const added = (kind: string): string => (median(measured.get(kind) ?? []) - bare).toFixed(1);
  const peer = measured.has('peer') ? `, peer +${added('peer')}` : '';
  process.stdout.write(`${name}: bare ${bare.toFixed(1)} µs, Spillway +${added('ours')}${peer}\n`);
}
await limiter.close();
redis.disconnect();
peers.disconnect();
beside.kill();
await server.stop();

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { LimiterInputError } from '../src/errors.ts';
import { createLimiter } from '../src/limiter/create-limiter.ts';
import type { Limiter } from '../src/limiter/limiter.ts';
import type { PolicyOptions } from '../src/policy.ts';
import { memoryStore } from '../src/store/memory-store.ts';

/** How a {@link PlayedApi} answers: by deciding (`decides`), never (`hang`), by a cut (`cut`), a status, or else this text. */
export type Mood = number | string;

/** The routes of the API that decide, over a limiter in memory, by a server that can be told to fail. */
export interface PlayedApi {
  readonly url: string;
  readonly limiter: Limiter;
  /** The bodies of requests, with their paths. */
  readonly asked: { readonly path: string; readonly body: Body }[];
  mood: Mood;
}

interface Asked {
  readonly policy?: string;
  readonly subject: string;
  readonly action?: string;
  readonly cost?: number;
  readonly slot?: string;
  readonly durationMs?: number;
  readonly why?: string;
}
type Body = Asked & { readonly requests?: readonly Asked[] };

/** Starts it; it ends with the test. */
export async function playApi(policies: readonly PolicyOptions[], key = 'right'): Promise<PlayedApi> {
  const limiter: Limiter = createLimiter({ store: memoryStore(), policies });
  const server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const api: PlayedApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    limiter,
    asked: [],
    mood: 'decides',
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as Body;
    const path = request.url ?? '';
    api.asked.push({ path, body });
    if (api.mood === 'hang') return;
    if (api.mood === 'cut') {
      response.destroy();
      return;
    }
    if (typeof api.mood !== 'number' && api.mood !== 'decides') {
      response.end(api.mood);
      return;
    }
    if (request.headers.authorization !== `Bearer ${key}`) response.statusCode = 401;
    else if (typeof api.mood === 'number') response.writeHead(api.mood, { Location: '/elsewhere' });
    else return answer(response, path, body);
    response.end('{}');
  }

  async function answer(response: ServerResponse, path: string, body: Body): Promise<void> {
    try {
      const made = await decide(path, body);
      response.statusCode = made === undefined ? 204 : 200;
      // JSON has no Infinity: null stands for it, as in the API.
      response.end(made === undefined ? undefined : JSON.stringify(made));
    } catch (error) {
      const field = error instanceof LimiterInputError ? error.field : 'body';
      response.statusCode = field === 'policy' ? 404 : 400;
      response.end(JSON.stringify({ errors: [{ field, detail: String(error) }] }));
    }
  }

  async function decide(path: string, { subject, requests = [], slot = '', durationMs, ...options }: Body) {
    if (path === '/v1/limits/consume-all') {
      return limiter.consumeAll(requests.map(({ policy = '', ...one }) => ({ policy, ...one })));
    }
    const [, , , policy = '', operation = ''] = path.split('/');
    if (operation === 'batch') {
      // As in the API nothing is charged when one can't be.
      await Promise.all(requests.map(({ subject: who, ...one }) => limiter.peek(policy, who, one)));
      const decided = requests.map(({ subject: who, ...one }) => limiter.consume(policy, who, one));
      return { decisions: await Promise.all(decided) };
    }
    const { action } = options;
    const place = action === undefined ? {} : { action };
    if (operation === 'release') return limiter.release(policy, subject, slot, place);
    if (operation === 'renew') return limiter.renew(policy, subject, slot, place);
    if (operation === 'reset') return limiter.reset(policy, subject, options);
    if (operation === 'unblock') return { wasBlocked: await limiter.unblock(policy, subject, options) };
    if (operation === 'block') {
      const time = durationMs === undefined ? {} : { durationMs };
      return { blockedUntilMs: await limiter.block(policy, subject, { ...options, ...time }) };
    }
    if (operation === 'peek' || operation === 'penalize' || operation === 'reward') {
      return limiter[operation](policy, subject, options);
    }
    throw new LimiterInputError('policy', 'is unknown');
  }

  return api;
}

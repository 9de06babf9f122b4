import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BreakerExchange } from '../src/exchange.ts';
import type { News, SentCommand, SentView } from '../src/http-store/protocol.ts';

/** How it answers: by doing what it is asked, never, by a cut, by a status, or by this text. */
export type Mood = 'works' | 'hang' | 'cut' | number | { readonly text: string };

/** The API's routes of breakers over an exchange, by a server that can be told to fail. */
export interface PlayedApi {
  readonly url: string;
  /** Paths that were asked for, with the numbers of commands or breakers. */
  readonly asked: [path: string, count: number][];
  mood: Mood;
  /** Whose key it is; undefined: one that may not move breakers by hand. */
  actor: string | undefined;
  close(): Promise<void>;
}

interface Body {
  readonly instance: string;
  readonly commands?: readonly SentCommand[];
  readonly breakers?: readonly SentView[];
  readonly seen?: News['seen'];
}

export async function playApi(exchange: BreakerExchange, key = 'right'): Promise<PlayedApi> {
  const server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const api: PlayedApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    mood: 'works',
    actor: undefined,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { instance, commands = [], breakers = [], seen = {} } = JSON.parse(text) as Body;
    const path = request.url ?? '';
    const { mood } = api;
    api.asked.push([path, commands.length + breakers.length]);
    if (mood === 'hang') return;
    if (mood === 'cut') response.destroy();
    else if (request.headers.authorization !== `Bearer ${key}`) response.writeHead(401).end('{}');
    else if (typeof mood === 'number') response.writeHead(mood, { Location: '/elsewhere' }).end('{}');
    else if (typeof mood === 'object') response.end(mood.text);
    else if (path === '/v1/breakers/news') response.end(JSON.stringify(await exchange.news(breakers, seen)));
    else response.end(JSON.stringify({ answers: await exchange.carryOut({ instance, actor: api.actor }, commands) }));
  }

  return api;
}

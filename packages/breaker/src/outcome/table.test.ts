import { readFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import axios from 'axios';
import { got } from 'got';
import ky from 'ky';
import superagent from 'superagent';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomeCases } from '../../test/outcome-cases.ts';
import type { Given } from '../../test/outcome-givens.ts';
import { defaultClassifier } from './classify.ts';
import type { Outcome } from './outcome.ts';

function outcomeOf(given: Given): string {
  const { ofResult, ofError } = defaultClassifier;
  return worded('gave' in given ? ofResult(given.gave) : ofError(given.threw, given.callerAborted ?? false));
}

describe('the table of outcomes in docs/breaker.md', () => {
  const { rows } = headersAndRows('| client | what it throws or gives');

  it('has a row for each case that is known, and no other', () => {
    expect(rows.map(([client, what]) => `${client}: ${what}`).toSorted()).toEqual(Object.keys(outcomeCases).toSorted());
  });

  it.each(rows)('is right of %s: %s', (client, what, counts) => {
    const given = outcomeCases[`${client}: ${what}`]?.() ?? [];
    expect(given.map(outcomeOf)).toEqual(given.map(() => counts));
    expect(given.length).toBeGreaterThan(0);
  });
});

let server: Server;
let base: string;
beforeAll(async () => {
  server = createServer((incoming, response) => {
    if (incoming.url === '/hang') return;
    const status = Number(incoming.url?.slice(1));
    if (status === 429) response.setHeader('Retry-After', '20');
    response.statusCode = status;
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const viaNode = (url: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    get(url, (response) => resolve(response.resume())).on('error', reject);
  });

const clients: Readonly<Record<string, (url: string, signal?: AbortSignal) => Promise<unknown>>> = {
  fetch: (url, signal) => fetch(url, signal === undefined ? {} : { signal }),
  'undici.request': (url, signal) => request(url, signal === undefined ? {} : { signal }),
  'node:http': viaNode,
  axios: (url, signal) => axios.get(url, signal === undefined ? {} : { signal }),
  'axios with validateStatus': (url) => axios.get(url, { validateStatus: () => true }),
  got: (url, signal) => got(url, { retry: { limit: 0 }, ...(signal && { signal }) }),
  'got with throwHttpErrors: false': (url) => got(url, { retry: { limit: 0 }, throwHttpErrors: false }),
  ky: (url, signal) => ky(url, { retry: 0, ...(signal && { signal }) }),
  'ky with throwHttpErrors: false': (url) => ky(url, { retry: 0, throwHttpErrors: false }),
  superagent: (url) => superagent.get(url).then((response) => response),
  'superagent with ok': (url) =>
    superagent
      .get(url)
      .ok(() => true)
      .then((response) => response),
};

async function counted(call: Promise<unknown>): Promise<string> {
  return worded(
    await call.then(
      (value) => defaultClassifier.ofResult(value),
      (error: unknown) => defaultClassifier.ofError(error, false),
    ),
  );
}

describe('the table of HTTP clients in docs/breaker.md', () => {
  const { headers, rows } = headersAndRows('| client | 200');

  it('names every client that is tried here, and no other', () => {
    expect(rows.map(([client]) => client?.replaceAll('`', ''))).toEqual(Object.keys(clients));
  });

  it.each(rows)('is right of %s', async (...cells) => {
    const [client = '', ...said] = cells;
    const call = clients[client.replaceAll('`', '')];
    for (const [index, outcome] of said.entries()) {
      const status = headers[index + 1]?.slice(0, 3) ?? '';
      expect(await counted(call?.(`${base}/${status}`) ?? Promise.reject(new Error(client)))).toBe(outcome);
    }
    expect(await counted(call?.(`${base}/408`) ?? Promise.resolve())).toBe('failure');
    expect(await counted(call?.(`${base}/422`) ?? Promise.resolve())).toBe('answered');
    expect(await counted(call?.('http://127.0.0.1:1/') ?? Promise.resolve())).toBe('failure');
  });

  it.each(['fetch', 'undici.request', 'axios', 'got', 'ky'])(
    'tells a deadline from an abort by a person where %s was given the signal',
    async (client) => {
      const call = clients[client];
      expect(await counted(call?.(`${base}/hang`, AbortSignal.timeout(20)) ?? Promise.resolve())).toBe(
        'failure, timeout',
      );
      const person = new AbortController();
      const hung = counted(call?.(`${base}/hang`, person.signal) ?? Promise.resolve());
      setTimeout(() => person.abort(), 20);
      expect(await hung).toBe('not asked');
    },
  );
});

it('reads Retry-After wherever a client keeps headers', () => {
  const shapes: unknown[] = [
    new Headers({ 'Retry-After': '20' }),
    new Map([['retry-after', '20']]),
    { 'retry-after': '20' },
    { 'Retry-After': 20 },
    { 'RETRY-AFTER': ['20', '30'] },
    ['Content-Type', 'text/plain', 'Retry-After', '20'],
    [Buffer.from('retry-after'), Buffer.from('20')],
    [['Retry-After', '20']],
  ];
  for (const headers of shapes) {
    for (const key of ['status', 'statusCode']) {
      expect(worded(defaultClassifier.ofResult({ [key]: 429, headers }))).toBe('quota for 20 s');
      const places = [{ headers }, { responseHeaders: headers }, { response: { headers } }, { $response: { headers } }];
      for (const place of places) {
        const error = Object.assign(new Error('x'), { [key]: 429, ...place });
        expect(worded(defaultClassifier.ofError(error, false))).toBe('quota for 20 s');
      }
    }
  }
});

const page = readFileSync(new URL('../../../../docs/breaker.md', import.meta.url), 'utf8');

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The table in docs/breaker.md whose header begins so. */
function headersAndRows(header: string): { headers: string[]; rows: string[][] } {
  const lines = page.slice(page.indexOf(header)).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return { headers: cellsOf(lines[0] ?? ''), rows: lines.slice(2, end).map(cellsOf) };
}

/** An outcome in the words of the tables. */
function worded(outcome: Outcome): string {
  if (outcome.kind === 'quota') return `quota for ${outcome.retryAfterMs / 1_000} s`;
  if (outcome.kind === 'neutral') return outcome.answered === true ? 'answered' : 'not asked';
  return outcome.kind === 'failure' && outcome.reason === 'timeout' ? 'failure, timeout' : outcome.kind;
}

import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { BreakerInputError } from '../errors.ts';
import { callWithTimeout, type CallOptions } from '../timeout/call.ts';
import { breakerFetch, type CallRunner, type Fetch } from './index.ts';

/** Breakers that are always closed, and write down what they were asked to run. */
function closedBreakers() {
  const runs: (readonly [name: string, preset: string, timeoutScope: CallOptions['timeoutScope']])[] = [];
  const breakers: CallRunner = {
    run: (name, preset, fn, options) => {
      runs.push([name, preset, options?.timeoutScope]);
      return callWithTimeout(fn, { timeoutMs: 10_000, ...options });
    },
  };
  return { breakers, runs };
}

/** A fetch that answers what it was asked, or hangs until it is aborted. */
const echo: Fetch = async (input, init) => {
  const request = new Request(input, init);
  if (!request.url.endsWith('/hang')) return Response.json({ url: request.url, method: request.method });
  return new Promise((_resolve, reject) => {
    init?.signal?.addEventListener('abort', () => reject(new Error('the inner fetch was aborted')));
  });
};

describe('breakerFetch', () => {
  it('runs a fetch under its name and preset', async () => {
    const { breakers, runs } = closedBreakers();
    const guarded = breakerFetch(breakers, 'runware', 'ai_provider', { fetch: echo });
    const response = await guarded('http://a.test/x', { method: 'POST', body: '{}' });
    expect(await response.json()).toEqual({ url: 'http://a.test/x', method: 'POST' });
    expect(await (await guarded(new Request('http://a.test/y'))).json()).toMatchObject({ url: 'http://a.test/y' });
    expect(runs).toEqual([
      ['runware', 'ai_provider', 'headers'],
      ['runware', 'ai_provider', 'headers'],
    ]);
  });

  it('takes a request of the runtime where a server has put its own class in the place of Request', async () => {
    const { breakers, runs } = closedBreakers();
    const request = new Request('http://a.test/y', { signal: AbortSignal.abort(new Error('gone')) });
    class OfTheServer extends Request {}
    vi.stubGlobal('Request', OfTheServer);
    onTestFinished(() => void vi.unstubAllGlobals());
    const guarded = breakerFetch(breakers, ({ host }) => host, 'ai_provider', { fetch: echo });
    await expect(guarded(request)).rejects.toThrow('gone');
    expect(runs).toEqual([['a.test', 'ai_provider', 'headers']]);
  });

  it('names the breaker by the URL if told how', async () => {
    const { breakers, runs } = closedBreakers();
    const guarded = breakerFetch(breakers, ({ host }) => host, 'webhook', { fetch: echo, timeoutScope: 'body' });
    for (const input of ['http://a.test/1', new URL('http://b.test:8080/'), new Request('http://c.test/')]) {
      await guarded(input);
    }
    expect(runs.map(([name, , timeoutScope]) => [name, timeoutScope])).toEqual([
      ['a.test', 'body'],
      ['b.test:8080', 'body'],
      ['c.test', 'body'],
    ]);
  });

  it.each(['in init', 'in the request'])('ends with a signal %s', async (where) => {
    const controller = new AbortController();
    const { signal } = controller;
    const guarded = breakerFetch(closedBreakers().breakers, 'a', 'webhook', { fetch: echo });
    const url = 'http://a.test/hang';
    const call = where === 'in init' ? guarded(url, { signal }) : guarded(new Request(url, { signal }));
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });

  it("takes a null signal as the request's being taken away", async () => {
    const request = new Request('http://a.test/', { signal: AbortSignal.abort() });
    const guarded = breakerFetch(closedBreakers().breakers, 'a', 'webhook', { fetch: echo });
    expect((await guarded(request, { signal: null })).status).toBe(200);
  });

  it('looks the global fetch up when it is called', async () => {
    const guarded = breakerFetch(closedBreakers().breakers, 'a', 'webhook');
    const { fetch } = globalThis;
    globalThis.fetch = async () => new Response('replaced');
    const response = await guarded('http://a.test/').finally(() => {
      globalThis.fetch = fetch;
    });
    expect(await response.text()).toBe('replaced');
  });

  it.each([
    ['', {}, 'name'],
    ['a', { timeoutScope: 'all' }, 'timeoutScope must be one of headers, body, not "all"'],
    ['a', { fetch: 'undici' }, 'fetch must be a function, not "undici"'],
    ['a', { timeoutMs: 5 }, 'timeoutMs is not an option; there are fetch, timeoutScope'],
  ])('refuses %j with %j at construction', (name, options, message) => {
    const make = (): unknown => breakerFetch(closedBreakers().breakers, name, 'webhook', options as object);
    expect(make).toThrow(BreakerInputError);
    expect(make).toThrow(message);
  });
});

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { CallTimeoutError } from '../errors.ts';
import { callWithTimeout } from './call.ts';

const told = {
  resolved: vi.fn<(value: unknown) => void>(),
  rejected: vi.fn<(error: unknown, aborted: boolean) => void>(),
};
const within = (timeoutMs: number) => ({ timeoutMs, timeoutScope: 'body', observer: told }) as const;

/** Answers `/ok` whole, and everything else with a first chunk, after which it does what the path says. */
let server: Server;
let origin = '';
/** Resolves when the client of the latest request hangs up. */
let hungUp: Promise<unknown> = Promise.resolve();

beforeAll(async () => {
  server = createServer((request, response) => {
    hungUp = once(response, 'close');
    response.writeHead(200, { 'Content-Type': 'text/plain', 'X-Kept': 'yes' });
    response.write('first ');
    if (request.url === '/ok') response.end('last');
    if (request.url === '/cut') setImmediate(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  origin = typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

function reset(): void {
  told.resolved.mockClear();
  told.rejected.mockClear();
}

describe('a call that covers the body', () => {
  it('covers it too where a server has put its own class in the place of Response', async () => {
    class OfTheServer extends Response {}
    vi.stubGlobal('Response', OfTheServer);
    onTestFinished(() => void vi.unstubAllGlobals());
    reset();
    const response = await callWithTimeout((signal) => fetch(`${origin}/ok`, { signal }), within(10_000));
    expect(told.resolved).not.toHaveBeenCalled();
    expect(await response.text()).toBe('first last');
    expect(told.resolved).toHaveBeenCalledOnce();
  });

  it('is over when the body was read, and the response is as it was', async () => {
    reset();
    const response = await callWithTimeout((signal) => fetch(`${origin}/ok`, { signal }), within(10_000));
    expect(told.resolved).not.toHaveBeenCalled();
    expect([response.status, response.url, response.type, response.redirected]).toEqual([
      200,
      `${origin}/ok`,
      'basic',
      false,
    ]);
    expect(response.headers.get('X-Kept')).toBe('yes');
    expect(await response.text()).toBe('first last');
    expect(told.resolved).toHaveBeenCalledOnce();
    expect(told.rejected).not.toHaveBeenCalled();
  });

  it('times out while its reader waits for the next chunk', async () => {
    reset();
    const response = await callWithTimeout((signal) => fetch(`${origin}/hang`, { signal }), within(200));
    await expect(response.text()).rejects.toBeInstanceOf(CallTimeoutError);
    expect(told.rejected).toHaveBeenCalledExactlyOnceWith(expect.any(CallTimeoutError), false);
    await hungUp;
  });

  it('frees the connection even if the function ignored its signal', async () => {
    reset();
    const response = await callWithTimeout(() => fetch(`${origin}/hang`), within(200));
    await expect(response.text()).rejects.toBeInstanceOf(CallTimeoutError);
    await hungUp;
  });

  it('is let go when time is up and nobody reads', async () => {
    reset();
    await callWithTimeout((signal) => fetch(`${origin}/hang`, { signal }), within(100));
    await expect.poll(() => told.resolved.mock.calls.length, { timeout: 10_000 }).toBe(1);
    expect(told.rejected).not.toHaveBeenCalled();
  });

  it('reads nothing ahead: a sender that nobody listens to is not slow', async () => {
    reset();
    await callWithTimeout(async () => new Response(new ReadableStream()), within(50));
    await expect.poll(() => told.resolved.mock.calls.length, { timeout: 10_000 }).toBe(1);
    expect(told.rejected).not.toHaveBeenCalled();
  });

  it('fails with the connection', async () => {
    reset();
    const response = await callWithTimeout((signal) => fetch(`${origin}/cut`, { signal }), within(10_000));
    await expect(response.text()).rejects.toThrow('terminated');
    expect(told.rejected).toHaveBeenCalledExactlyOnceWith(expect.any(Error), false);
  });

  it('ends with the abort of the caller', async () => {
    reset();
    const controller = new AbortController();
    const options = { ...within(10_000), signal: controller.signal };
    const response = await callWithTimeout((signal) => fetch(`${origin}/hang`, { signal }), options);
    const text = response.text();
    controller.abort(new Error('enough'));
    await expect(text).rejects.toThrow('enough');
    expect(told.rejected).toHaveBeenCalledExactlyOnceWith(expect.any(Error), true);
  });

  it('is over when its reader wants no more', async () => {
    reset();
    const response = await callWithTimeout((signal) => fetch(`${origin}/hang`, { signal }), within(10_000));
    await response.body?.cancel();
    expect(told.resolved).toHaveBeenCalledOnce();
    await hungUp;
  });

  it.each([new Response(null, { status: 204 }), 'text', undefined])('has nothing to wait for in %s', async (result) => {
    reset();
    expect(await callWithTimeout(async () => result, within(10_000))).toBe(result);
    expect(told.resolved).toHaveBeenCalledOnce();
  });
});

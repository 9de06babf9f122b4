import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LocalServerError } from './errors.ts';
import { findFreePort, startOnPort } from './port.ts';

describe('findFreePort', () => {
  test('gives a different port to each caller, outside the range of outgoing connections', async () => {
    const ports = await Promise.all(Array.from({ length: 200 }, () => findFreePort()));
    expect(new Set(ports).size).toBe(200);
    expect(Math.max(...ports)).toBeLessThan(32_768);
  });
});

describe('startOnPort', () => {
  test('moves on to another port when somebody was faster', async () => {
    const tried: number[] = [];
    const result = await startOnPort(undefined, async (port) => {
      tried.push(port);
      if (tried.length < 3) throw new LocalServerError('port_taken', 'taken');
      return port;
    });
    expect(new Set(tried).size).toBe(3);
    expect(result).toBe(tried[2]);
  });

  test('does not move on from a port that was asked for, nor after any other error', async () => {
    const tried: (number | string)[] = [];
    const fail = (code: 'port_taken' | 'start_failed') => async (port: number) => {
      tried.push(port);
      throw new LocalServerError(code, 'no');
    };
    await expect(startOnPort(7777, fail('port_taken'))).rejects.toMatchObject({ code: 'port_taken' });
    expect(tried).toEqual([7777]);
    await expect(startOnPort(undefined, fail('start_failed'))).rejects.toMatchObject({ code: 'start_failed' });
    expect(tried).toHaveLength(2);
  });

  test('leaves room for the second port of a cluster node', async () => {
    const port = await findFreePort({ clusterBus: true });
    const bus = createServer();
    onTestFinished(() => void bus.close());
    await new Promise<void>((resolve, reject) => {
      bus.once('error', reject);
      bus.listen(port + 10_000, '127.0.0.1', resolve);
    });
    expect(bus.listening).toBe(true);
  });
});

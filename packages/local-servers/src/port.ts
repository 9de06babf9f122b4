import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { LocalServerError, invalidOption } from './errors.ts';

/** The only address that servers of this package listen on. */
export const loopback: string = '127.0.0.1';

/**
 * Ports are taken from below the range that the kernel gives to outgoing connections (32768 and up on Linux,
 * 49152 on macOS). Inside it a client of ours could sit on the port of a server that is being restarted, and a
 * client that reconnects to a dead port could even reach itself. The upper bound leaves room for a Redis
 * Cluster's second port, 10000 above the first.
 */
const lowestPort = 10_000;
const highestPort = 22_000;
const clusterBusOffset = 10_000;
const attempts = 20;

/** Ports given out by this process, so that two starts in a row don't race for the same one. */
const givenOut = new Set<number>();

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, loopback, () => server.close(() => resolve(true)));
  });
}

/**
 * A port on the loopback address that nothing listens on right now.
 *
 * @param options.clusterBus whether the port 10000 above must be free too. @default false
 */
export async function findFreePort(options: { readonly clusterBus?: boolean } = {}): Promise<number> {
  for (;;) {
    const port = randomInt(lowestPort, highestPort);
    if (givenOut.has(port)) continue;
    // eslint-disable-next-line no-await-in-loop -- tries one after the other
    const free = (await isFree(port)) && (options.clusterBus !== true || (await isFree(port + clusterBusOffset)));
    if (!free || givenOut.has(port)) continue;
    givenOut.add(port);
    return port;
  }
}

/** @throws LocalServerError `invalid_option` unless the port is undefined or 1…65535 */
export function checkPort(port: number | undefined): void {
  if (port === undefined) return;
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw invalidOption('port', port, 'an integer from 1 to 65535');
}

/**
 * Starts something on the given port, or on free ones until it works: between finding a free port and binding
 * it another process may come first.
 *
 * @throws LocalServerError `port_taken` when the port was given and is taken, or when luck runs out
 */
export async function startOnPort<T>(
  wanted: number | undefined,
  start: (port: number) => Promise<T>,
  options: { readonly clusterBus?: boolean } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    // eslint-disable-next-line no-await-in-loop -- the next try is only made when this one failed
    const port = wanted ?? (await findFreePort(options));
    try {
      // eslint-disable-next-line no-await-in-loop -- as above
      return await start(port);
    } catch (error) {
      const taken = error instanceof LocalServerError && error.code === 'port_taken';
      if (!taken || wanted !== undefined || attempt === attempts) throw error;
    }
  }
}

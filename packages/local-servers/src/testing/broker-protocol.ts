import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * What test files and the broker say to each other, over a local socket: one line of JSON each way. The
 * connection is the lease. When it closes, because the file is done or its process died, the server is free again.
 */
export interface BrokerRequest {
  /** A server, or the turn to compile: two compilers at once would write the same files. */
  readonly want: 'redis' | 'postgres' | 'compiler';
}

/** The broker's answer. */
export type BrokerReply =
  | {
      readonly kind: 'lease';
      /** Of the server; '' for a turn. */
      readonly url: string;
      /** Names this test run; part of the names of everything that must not outlive it. */
      readonly run: string;
    }
  | { readonly kind: 'failure'; readonly message: string };

/** @throws Error when the line is not a request */
export function parseRequest(line: string): BrokerRequest {
  const value: unknown = JSON.parse(line);
  const want = typeof value === 'object' && value !== null && 'want' in value ? value.want : undefined;
  if (want === 'redis' || want === 'postgres' || want === 'compiler') return { want };
  throw new Error(`not a request: ${line}`);
}

/** @throws Error when the line is not a reply */
export function parseReply(line: string): BrokerReply {
  const value: unknown = JSON.parse(line);
  if (typeof value === 'object' && value !== null) {
    if ('url' in value && typeof value.url === 'string' && 'run' in value && typeof value.run === 'string') {
      return { kind: 'lease', url: value.url, run: value.run };
    }
    if ('message' in value && typeof value.message === 'string') return { kind: 'failure', message: value.message };
  }
  throw new Error(`not a reply: ${line}`);
}

/** The first line that arrives; rejects when the connection closes before. */
export function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: socket });
    lines.once('line', resolve);
    lines.once('close', () => reject(new Error('the connection closed before a line arrived')));
  });
}

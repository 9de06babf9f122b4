import { createServer } from 'node:http';
import { guardLogger, type LogLine, shutDownInOrder } from '../src/index.ts';

/** A program that says its port, or what it logs, a line each, and fails on request: `GET /KIND`. */
const [closing = 'quick', startedBy = 'service'] = process.argv.slice(2);

const line: LogLine = (facts: object | string, message?: string) =>
  void process.stdout.write(
    `${JSON.stringify(typeof facts === 'string' ? { message: facts } : { ...facts, message })}\n`,
  );
const logger = guardLogger({ debug: line, info: line, warn: line, error: line });

const faults: Readonly<Record<string, () => void>> = {
  '/rejects-nothing': () => void Promise.reject(),
  '/rejects-null': () => void Promise.reject(null),
  '/rejects-zero': () => void Promise.reject(0),
  '/rejects': () => void Promise.reject(new Error('stray')),
  '/throws': () =>
    void setImmediate(() => {
      throw new Error('stray');
    }),
  // The log's quota for warnings and errors of this second is used up first.
  '/floods': () => {
    for (let index = 0; index < 20; index += 1) logger.error(`trouble ${index}`);
    void Promise.reject(new Error('stray'));
  },
};

/** Answers the request that is in flight. */
let finish = (): void => {};
const server = createServer((request, response) => {
  if (request.url === '/slow') {
    logger.info('in flight');
    finish = () => response.end('finished');
    return;
  }
  response.end();
  faults[request.url ?? '']?.();
});

shutDownInOrder({
  name: 'fixture',
  logger,
  ...(startedBy === 'person' && { terminal: { underPackageManager: false } }),
  deadlineMs: closing === 'late' ? 300 : 60_000,
  close: async () => {
    if (closing === 'fails') throw new Error('close failed');
    if (closing === 'late' || closing === 'hangs') await new Promise(() => {});
    await new Promise((resolve) => {
      server.close(resolve);
      finish();
      server.closeIdleConnections();
    });
  },
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  logger.info({ port: typeof address === 'object' ? address?.port : undefined }, 'listening');
});

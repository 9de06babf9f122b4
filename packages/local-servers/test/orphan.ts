import { startPostgres } from '../src/postgres/start-postgres.ts';
import { startRedis } from '../src/redis/start-redis.ts';
import type { Stack } from '../src/config.ts';

/** Run as a process of its own: starts both servers, reports them in one line, and then waits to be killed. */
const stack: Stack = process.argv[2] === 'containers' ? 'containers' : 'local';
const [redis, postgres] = await Promise.all([startRedis({ stack }), startPostgres({ stack })]);
if (process.argv[3] === 'paused') await Promise.all([redis.pause(), postgres.pause()]);
const report = [redis, postgres].map(({ pid, port }) => ({ pid, port }));
process.stdout.write(`${JSON.stringify(report)}\n`);
setInterval(() => {}, 60_000);

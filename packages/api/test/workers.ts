import { startMaintenance } from '@spillway/worker';
import type { ApiDeps } from '../src/app.ts';
import { maintenanceControl } from '../src/maintenance/maintenance-control.ts';
import { openWorkerQueues } from '../src/queues/worker-queues.ts';
import { memoryLog } from './memory-log.ts';
import type { ApiTools } from './use-api.ts';

/** What {@link queuesOf} connects. */
interface QueueOptions extends ApiTools {
  readonly redisUrl: string;
  /** @default 0: it is answered at once */
  readonly answerWithinMs?: number;
}

/** The workers' queues, without a worker: what is asked for waits. */
export function queuesOf({ pool, onClose, redisUrl, answerWithinMs = 0 }: QueueOptions) {
  const queues = openWorkerQueues(redisUrl, '', memoryLog().logger);
  onClose(() => queues.close());
  return { queues, maintenance: maintenanceControl({ queues, db: pool, answerWithinMs }) } satisfies Partial<ApiDeps>;
}

/** The same with a worker that does maintenance, and time to wait for it. */
export function workersOf({ answerWithinMs = 30_000, ...options }: QueueOptions): ReturnType<typeof queuesOf> {
  const { redisUrl: redis, pool, onClose } = options;
  const worker = startMaintenance({ redis, pool, shards: 1, logger: memoryLog().logger });
  onClose(async () => (await worker).close());
  return queuesOf({ ...options, answerWithinMs });
}

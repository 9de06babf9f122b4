import type { AppEvent, AppQuestion } from './app/messages.ts';
import type { LoadCommand, LoadEvent } from './load/messages.ts';
import type { Plan } from './plan.ts';
import { type Child, startChild } from './processes/child.ts';
import type { ProviderCommand, ProviderEvent } from './provider/messages.ts';
import type { Stack } from './stack.ts';
import type { WorkerEvent, WorkerQuestion } from './worker/messages.ts';

/** One API process. */
export type ApiProcess = Child<AppQuestion, AppEvent>;
/** One worker. */
export type WorkerProcess = Child<WorkerQuestion, WorkerEvent>;
/** The load generator. */
export type LoadProcess = Child<LoadCommand, LoadEvent>;

/** All processes but the servers. */
export interface Fleet {
  readonly apis: ApiProcess[];
  readonly workers: WorkerProcess[];
  readonly provider: Child<ProviderCommand, ProviderEvent>;
  readonly load: LoadProcess;
  readonly ports: readonly number[];
  /** Kills an API process (kill -9) and starts another in its place, as a supervisor would. */
  replaceApi(index: number): Promise<void>;
  replaceWorker(index: number): Promise<void>;
  stop(): Promise<void>;
}

/** `main.ts` from source, `main.js` when built. */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

function entry(folder: string): URL {
  return new URL(`./${folder}/main.${extension}`, import.meta.url);
}

/** Starts everything that has to be there before users come. */
export async function startFleet(plan: Plan, { redis, pgbouncer }: Stack): Promise<Fleet> {
  const all: { stop(): Promise<void> }[] = [];
  const kept = <Process extends { stop(): Promise<void> }>(process: Process): Process => {
    all.push(process);
    return process;
  };
  const stop = async (): Promise<void> => void (await Promise.all(all.map((process) => process.stop())));
  const servers = { REDIS_URL: redis.url, DATABASE_URL: pgbouncer.url, DATABASE_SERVER: 'pgbouncer' };
  const env = { ...servers, LOG_LEVEL: 'warn', NODE_ENV: 'production', BREAKER_OPEN_MS: String(plan.breakerOpenMs) };
  try {
    const provider = kept(
      startChild<ProviderCommand, ProviderEvent>({
        name: 'provider',
        entry: entry('provider'),
        args: [String(plan.providerMs)],
      }),
    );
    const providerUrl = `http://127.0.0.1:${await provider.next(portOf)}`;
    const startApi = (index: number, port: number): ApiProcess =>
      kept(
        startChild({
          name: `api ${index + 1}`,
          entry: entry('app'),
          env: { ...env, PROVIDER_URL: providerUrl, PORT: String(port) },
        }),
      );
    const startWorker = (index: number): WorkerProcess =>
      kept(startChild({ name: `worker ${index + 1}`, entry: entry('worker'), env }));
    const apis = Array.from({ length: plan.apiProcesses }, (_, index) => startApi(index, 0));
    const workers = Array.from({ length: plan.workers }, (_, index) => startWorker(index));
    const load = kept(startChild<LoadCommand, LoadEvent>({ name: 'load generator', entry: entry('load') }));
    const ready = load.next((event) => (event.kind === 'ready' ? true : undefined));
    const ports = await Promise.all(apis.map((api) => api.next(portOf)));
    await ready;
    return {
      apis,
      workers,
      provider,
      load,
      ports,
      replaceApi: async (index) => {
        await apis[index]?.kill();
        const next = startApi(index, ports[index] ?? 0);
        apis[index] = next;
        await next.next(portOf);
      },
      replaceWorker: async (index) => {
        await workers[index]?.kill();
        workers[index] = startWorker(index);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function portOf(event: AppEvent | ProviderEvent): number | undefined {
  return event.kind === 'listening' ? event.port : undefined;
}
